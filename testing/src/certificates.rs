//! Certificates made for a test: authorities, and whom they certify.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leads_comm::transport::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use leads_comm::transport::tls::rustls::{self, SupportedProtocolVersion};
use leads_comm::transport::tls::{Authorities, ClientConfig, Identity, ServerConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// The names by which clients in tests reach servers, over any transport.
pub const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Certifies others.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Certified {
    /// The certificate.
    pub certificate: rcgen::Certificate,
    /// Its key.
    pub key: KeyPair,
    serial: SerialNumber,
}

impl Authority {
    /// One that certifies itself.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Certifies whoever has these names, as `adapt` says besides.
    pub fn certify_as(&self, names: &[&str], adapt: impl FnOnce(&mut CertificateParams)) -> Certified {
        static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SerialNumber::from(NEXT_SERIAL.fetch_add(1, Ordering::Relaxed));
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(serial.clone());
        adapt(&mut params);
        let key = KeyPair::generate().unwrap();
        Certified { certificate: params.signed_by(&key, &self.issuer).unwrap(), key, serial }
    }

    /// Certifies whoever has these names.
    pub fn certify(&self, names: &[&str]) -> Certified {
        self.certify_as(names, |_| ())
    }

    /// Was good until twenty years ago.
    pub fn certify_expired(&self, names: &[&str]) -> Certified {
        self.certify_as(names, |params| params.not_after = date_time_ymd(2006, 1, 1))
    }

    /// A list of those that are not to be believed any more.
    pub fn revoke(&self, revoked: &[&Certified]) -> rcgen::CertificateRevocationList {
        let revoke = |certified: &&Certified| RevokedCertParams {
            serial_number: certified.serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(3000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(revoke).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap()
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// What those have who believe it.
    pub fn authorities(&self) -> Authorities {
        Authorities::new([self.certificate()]).unwrap()
    }
}

impl Certified {
    /// The certificate, as DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// Its key.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// What those have who show it.
    pub fn identity(&self) -> Identity {
        Identity::new(vec![self.certificate.der().clone()], self.private_key()).unwrap()
    }
}

/// A server, a client, and authorities that go together.
pub struct Pki {
    /// Certifies servers; clients believe it.
    pub server_authority: Authority,
    /// Certifies clients; servers believe it.
    pub client_authority: Authority,
    /// Whom clients reach, by [any of these names](SERVER_NAMES).
    pub server: Certified,
    /// Who reaches it.
    pub client: Certified,
}

impl Pki {
    /// Fresh ones.
    pub fn new() -> Self {
        let (server_authority, client_authority) = (Authority::new("servers"), Authority::new("clients"));
        let server = server_authority.certify(&SERVER_NAMES);
        let client = client_authority.certify(&["vehicle"]);
        Self { server_authority, client_authority, server, client }
    }

    /// A server that takes whoever comes.
    pub fn server(&self) -> ServerConfig {
        ServerConfig::new(self.server.identity())
    }

    /// A server that takes whom the authority of clients has certified.
    pub fn mutual_server(&self) -> ServerConfig {
        ServerConfig::mutual(self.server.identity(), self.client_authority.authorities())
    }

    /// A server of rustls itself.
    pub fn rustls_server(&self, version: &'static SupportedProtocolVersion) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_no_client_auth();
        let chain = vec![self.server.certificate.der().clone()];
        Arc::new(builder.with_single_cert(chain, self.server.private_key()).unwrap())
    }

    /// A client of rustls itself, with or without a certificate.
    pub fn rustls_client(
        &self,
        version: &'static SupportedProtocolVersion,
        client: Option<&Certified>,
    ) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.server_authority.certificate()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match client {
            Some(client) => {
                let chain = vec![client.certificate.der().clone()];
                builder.with_client_auth_cert(chain, client.private_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }

    /// A client that shows nothing.
    pub fn client(&self) -> ClientConfig {
        ClientConfig::new(self.server_authority.authorities())
    }

    /// A client that shows its certificate.
    pub fn mutual_client(&self) -> ClientConfig {
        ClientConfig::mutual(self.client.identity(), self.server_authority.authorities())
    }
}
