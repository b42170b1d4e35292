//! The TLS options of a command. Built without the feature `tls`, it says so when one is given.

use std::ffi::OsString;

use leads_comm::{ClientBuilder, ServerBuilder};

#[cfg(feature = "tls")]
use support::fail;
use support::{Failure, usage};

/// The files that were named.
#[derive(Default)]
pub(crate) struct TlsFiles {
    pub(crate) certificates: Option<OsString>,
    pub(crate) key: Option<OsString>,
    pub(crate) authorities: Option<OsString>,
}

#[cfg(feature = "tls")]
mod imp {
    use leads_comm::transport::tls::{Authorities, ClientConfig, Error, Identity, ServerConfig};

    use super::*;

    impl TlsFiles {
        /// A server with a certificate, and, where authorities are named, clients that need one.
        #[allow(dead_code, reason = "the client has no use for it")]
        pub(crate) fn serve(&self, builder: ServerBuilder) -> Result<ServerBuilder, Failure> {
            if self.certificates.is_none() && self.key.is_none() && self.authorities.is_some() {
                return Err(usage("--tls-ca needs --tls-cert and --tls-key"));
            }
            let config = match (self.identity()?, self.authorities()?) {
                (None, _) => return Ok(builder),
                (Some(identity), None) => ServerConfig::new(identity),
                (Some(identity), Some(clients)) => ServerConfig::mutual(identity, clients),
            };
            Ok(builder.tls(config))
        }

        /// A client that believes these authorities, and, where one is named, has a certificate.
        #[allow(dead_code, reason = "the server has no use for it")]
        pub(crate) fn connect(&self, builder: ClientBuilder, name: Option<&str>) -> Result<ClientBuilder, Failure> {
            let is_plain = self.certificates.is_none() && self.key.is_none() && name.is_none();
            if self.authorities.is_none() && !is_plain {
                return Err(usage("TLS needs --tls-ca"));
            }
            let mut config = match (self.identity()?, self.authorities()?) {
                (_, None) => return Ok(builder),
                (None, Some(servers)) => ClientConfig::new(servers),
                (Some(identity), Some(servers)) => ClientConfig::mutual(identity, servers),
            };
            if let Some(name) = name {
                config = config.server_name(name).map_err(failed)?;
            }
            Ok(builder.tls(config))
        }

        fn identity(&self) -> Result<Option<Identity>, Failure> {
            match (&self.certificates, &self.key) {
                (None, None) => Ok(None),
                (Some(certificates), Some(key)) => {
                    Identity::from_pem_files(certificates, key).map(Some).map_err(failed)
                }
                _ => Err(usage("--tls-cert and --tls-key go together")),
            }
        }

        fn authorities(&self) -> Result<Option<Authorities>, Failure> {
            self.authorities.as_ref().map(Authorities::from_pem_file).transpose().map_err(failed)
        }
    }

    fn failed(error: Error) -> Failure {
        fail(format!("{error:#}"))
    }
}

#[cfg(not(feature = "tls"))]
impl TlsFiles {
    #[allow(dead_code, reason = "the client has no use for it")]
    pub(crate) fn serve(&self, builder: ServerBuilder) -> Result<ServerBuilder, Failure> {
        self.refuse(false).map(|()| builder)
    }

    #[allow(dead_code, reason = "the server has no use for it")]
    pub(crate) fn connect(&self, builder: ClientBuilder, name: Option<&str>) -> Result<ClientBuilder, Failure> {
        self.refuse(name.is_some()).map(|()| builder)
    }

    fn refuse(&self, is_named: bool) -> Result<(), Failure> {
        if !is_named && self.certificates.is_none() && self.key.is_none() && self.authorities.is_none() {
            return Ok(());
        }
        Err(usage("built without TLS, which takes `--features tls`"))
    }
}
