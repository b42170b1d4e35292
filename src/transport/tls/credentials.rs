//! Who a service is, and whom it believes.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore};

use super::{Error, provider};

/// By what a service proves who it is: a certificate, those that certify it, and its private key. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads PEM files: the chain of certificates, the service's own first and the authority's left out; and the
    /// private key (PKCS #8, PKCS #1 or SEC 1, not encrypted). Both may be in one file.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Pem`], [`Error::None`], [`Error::Key`]; [`Error::Unusable`] when the two do not belong
    /// together.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        let chain = all_of("certificate", &read(certificates)?).map_err(|error| error.in_file(certificates))?;
        let private = private_key(&read(key)?).map_err(|error| error.in_file(key))?;
        Self::new(chain, private).map_err(|error| error.in_file(key))
    }

    /// Takes what [`from_pem_files`](Self::from_pem_files) reads.
    ///
    /// # Errors
    ///
    /// The same, without [`Error::File`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        Self::new(all_of("certificate", certificates)?, private_key(key)?)
    }

    /// Takes the chain of certificates and the private key in DER.
    ///
    /// # Errors
    ///
    /// [`Error::Key`], [`Error::Unusable`].
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Error> {
        let key = provider().key_provider.load_private_key(key).map_err(|source| Error::Key { path: None, source })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Only a key that does not tell its public half is of unknown consistency.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key: Arc::new(certified) })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(Arc::clone(&self.key).into())
    }
}

/// Never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Whose certificates a service believes, and which of them have been revoked. Cheap to clone.
///
/// There are none to begin with: a vehicle and its crew have an authority of their own, and the hundreds that browsers
/// believe have no business with them.
#[derive(Debug, Clone)]
pub struct Authorities {
    roots: Arc<RootCertStore>,
    crls: Vec<CertificateRevocationListDer<'static>>,
}

impl Authorities {
    /// Reads the certificates of authorities from a PEM file.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Pem`], [`Error::None`]; [`Error::Unusable`] when one is no certificate.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_pem(&read(path.as_ref())?).map_err(|error| error.in_file(path.as_ref()))
    }

    /// Takes what [`from_pem_file`](Self::from_pem_file) reads.
    ///
    /// # Errors
    ///
    /// The same, without [`Error::File`].
    pub fn from_pem(certificates: &[u8]) -> Result<Self, Error> {
        Self::new(all_of("certificate", certificates)?)
    }

    /// Takes certificates in DER.
    ///
    /// # Errors
    ///
    /// [`Error::None`], [`Error::Unusable`].
    pub fn new(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate)?;
        }
        if roots.is_empty() {
            return Err(Error::None { what: "certificate", path: None });
        }
        Ok(Self { roots: Arc::new(roots), crls: Vec::new() })
    }

    /// Reads, in addition, revocation lists (CRLs) of the authorities from a PEM file.
    ///
    /// With the first list, every certificate of a peer's chain has to be covered by one, and the peer is refused
    /// otherwise. A list that is out of date counts still: a service that has to have the newest builds another
    /// configuration, or brings one of [rustls](super#more-than-that)'s own.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Pem`], [`Error::None`]; [`Error::Crl`] when one cannot be read.
    pub fn with_crls_from_pem_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.with_crls_from_pem(&read(path.as_ref())?).map_err(|error| error.in_file(path.as_ref()))
    }

    /// Takes what [`with_crls_from_pem_file`](Self::with_crls_from_pem_file) reads.
    ///
    /// # Errors
    ///
    /// The same, without [`Error::File`].
    pub fn with_crls_from_pem(self, crls: &[u8]) -> Result<Self, Error> {
        self.with_crls(all_of("revocation list", crls)?)
    }

    /// Takes revocation lists in DER.
    ///
    /// # Errors
    ///
    /// [`Error::Crl`].
    pub fn with_crls(
        mut self,
        crls: impl IntoIterator<Item = CertificateRevocationListDer<'static>>,
    ) -> Result<Self, Error> {
        self.crls.extend(crls);
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        builder.with_crls(self.crls.iter().cloned()).build().map_err(|source| Error::Crl { source })?;
        Ok(self)
    }

    /// Believes servers.
    pub(super) fn server_verifier(&self) -> Arc<WebPkiServerVerifier> {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        builder.with_crls(self.crls.iter().cloned()).build().expect("there are roots, and the lists have been tried")
    }

    /// Believes clients.
    pub(super) fn client_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        builder.with_crls(self.crls.iter().cloned()).build().expect("there are roots, and the lists have been tried")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Everything of one kind that there is in PEM, at least one.
fn all_of<T: PemObject>(what: &'static str, pem: &[u8]) -> Result<Vec<T>, Error> {
    let items: Vec<T> = T::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| not_pem(what, error))?;
    if items.is_empty() { Err(Error::None { what, path: None }) } else { Ok(items) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::None { what: "unencrypted private key", path: None },
        source => Error::Pem { what: "private key", path: None, source },
    })
}

fn not_pem(what: &'static str, error: pem::Error) -> Error {
    match error {
        pem::Error::NoItemsFound => Error::None { what, path: None },
        source => Error::Pem { what, path: None, source },
    }
}
