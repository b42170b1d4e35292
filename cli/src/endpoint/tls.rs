//! The files of TLS.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use leads_comm::transport::tls::{Authorities, ClientConfig, Error, Identity, ServerConfig};
use leads_comm::{ClientBuilder, ServerBuilder};

use super::secrets::{Names, ONLY};
use crate::address::Address;
use crate::console::{Failure, fail, usage};

/// The files that were named.
#[derive(Debug)]
pub(super) struct TlsFiles {
    /// What they were named by.
    names: &'static Names,
    authorities: Option<PathBuf>,
    /// A certificate, and its key.
    identity: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
}

impl TlsFiles {
    /// None.
    pub(super) fn none() -> Self {
        Self { names: &ONLY, authorities: None, identity: None, server_name: None }
    }

    /// Those for this address, which has to be one of TLS where there are any.
    pub(super) fn of(matches: &ArgMatches, names: &'static Names, address: &Address) -> Result<Self, Failure> {
        let file = |name| matches.get_one::<PathBuf>(name).cloned();
        let files = Self {
            names,
            authorities: file(names.tls_ca),
            identity: file(names.tls_cert).zip(file(names.tls_key)),
            server_name: matches.get_one::<String>(names.tls_name).cloned(),
        };
        let are_named = files.authorities.is_some() || files.identity.is_some() || files.server_name.is_some();
        if are_named && !matches!(address, Address::Tcp { tls: true, .. }) {
            let all = names.tls_ca.trim_end_matches("ca");
            return Err(usage(format!("--{all}... need an address that begins with tls://")));
        }
        Ok(files)
    }

    /// Whether clients of a server need a certificate.
    pub(super) fn asks_clients(&self) -> bool {
        self.authorities.is_some()
    }

    /// A server with a certificate, and, where authorities are named, clients that need one.
    pub(super) fn serve(&self, builder: ServerBuilder) -> Result<ServerBuilder, Failure> {
        if self.server_name.is_some() {
            let name = self.names.tls_name;
            return Err(usage(format!("--{name} is for clients: a server has the names in its certificate")));
        }
        let config = match (self.identity()?, self.authorities()?) {
            (None, _) => {
                let Names { tls_cert, tls_key, .. } = self.names;
                return Err(usage(format!("a tls:// server needs --{tls_cert} and --{tls_key}")));
            }
            (Some(identity), None) => ServerConfig::new(identity),
            (Some(identity), Some(clients)) => ServerConfig::mutual(identity, clients),
        };
        Ok(builder.tls(config))
    }

    /// A client that believes these authorities, and, where one is named, has a certificate.
    pub(super) fn connect(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        Ok(builder.tls(self.client_config()?))
    }

    /// What makes such a client.
    pub(super) fn client_config(&self) -> Result<ClientConfig, Failure> {
        let mut config = match (self.identity()?, self.authorities()?) {
            (_, None) => {
                let authorities = self.names.tls_ca;
                return Err(usage(format!(
                    "tls:// needs --{authorities}, the authority that the server's certificate is of"
                )));
            }
            (None, Some(servers)) => ClientConfig::new(servers),
            (Some(identity), Some(servers)) => ClientConfig::mutual(identity, servers),
        };
        if let Some(name) = &self.server_name {
            config = config.server_name(name).map_err(failed)?;
        }
        Ok(config)
    }

    fn identity(&self) -> Result<Option<Identity>, Failure> {
        let Some((certificates, key)) = &self.identity else { return Ok(None) };
        let identity = Identity::from_pem_files(certificates, key);
        identity.map(Some).map_err(|error| unusable(&error, certificates, key))
    }

    fn authorities(&self) -> Result<Option<Authorities>, Failure> {
        self.authorities.as_ref().map(Authorities::from_pem_file).transpose().map_err(failed)
    }
}

fn failed(error: Error) -> Failure {
    fail(format!("{error:#}"))
}

/// What is wrong with a certificate and its key, and with which file.
fn unusable(error: &Error, certificates: &Path, key: &Path) -> Failure {
    let text = format!("{error:#}");
    let (certificates, key) = (certificates.display(), key.display());
    fail(match error {
        Error::Unusable { .. } if text.contains("KeyMismatch") => format!("{key} is not the key of {certificates}"),
        Error::Unusable { .. } if text.contains("UnsupportedCertVersion") => format!(
            "{certificates} is an X.509 certificate of version 1, and 3 is needed: openssl x509 -req makes one with \
             -extfile, openssl req -x509 with -addext"
        ),
        Error::Unusable { .. } => format!("{certificates}: {text}"),
        _ => text,
    })
}
