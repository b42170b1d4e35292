use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

use crate::error::{OneLine, write_sources};

/// What is wrong with certificates, keys and names that a program gives.
///
/// What goes wrong between two peers is no such error: a server tells of it as
/// [`RefusalCause::HandshakeFailed`](crate::RefusalCause::HandshakeFailed), a client as
/// [`Error::Connect`](crate::Error::Connect).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    File {
        /// Its path.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// What should be PEM is not.
    Pem {
        /// What was read from it.
        what: &'static str,
        /// The file, if it came from one.
        path: Option<PathBuf>,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is none where some were expected.
    None {
        /// What there is none of.
        what: &'static str,
        /// The file, if it was looked for in one.
        path: Option<PathBuf>,
    },
    /// A private key is broken, or of a kind that is not supported.
    Key {
        /// The file, if it came from one.
        path: Option<PathBuf>,
        /// What rustls reported.
        source: rustls::Error,
    },
    /// A certificate cannot be used, or it and the key do not belong together.
    Unusable {
        /// What rustls reported.
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    Crl {
        /// What rustls reported.
        source: VerifierBuilderError,
    },
    /// It is neither the name of a host nor an IP address.
    Name {
        /// What was given.
        name: String,
    },
}

impl Error {
    /// Names the file that it is about, where it says nothing of one.
    pub(super) fn in_file(mut self, file: &Path) -> Self {
        if let Self::Pem { path, .. } | Self::None { path, .. } | Self::Key { path, .. } = &mut self {
            *path = Some(file.to_owned());
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Pem { path: Some(path), .. }
        | Self::None { path: Some(path), .. }
        | Self::Key { path: Some(path), .. } = self
        {
            write!(f, "{}: ", OneLine(path.display()))?;
        }
        match self {
            Self::File { path, .. } => write!(f, "cannot read {}", OneLine(path.display())),
            Self::Pem { what, source: pem::Error::MissingSectionEnd { .. }, .. } => {
                write!(f, "the PEM of a {what} has no end")
            }
            Self::Pem { what, .. } => write!(f, "no PEM of a {what}"),
            Self::None { what, .. } => write!(f, "no {what} found"),
            Self::Unusable { source: rustls::Error::InconsistentKeys(_) } => {
                f.write_str("the certificate and the private key do not belong together")
            }
            Self::Key { .. } => f.write_str(
                "the private key is broken, or of a kind that is not supported: it has to be RSA with 2048 to 8192 bits, \
                 ECDSA with P-256 or P-384, or Ed25519",
            ),
            Self::Unusable { .. } => f.write_str("unusable certificate"),
            Self::Crl { .. } => f.write_str("unusable revocation list"),
            Self::Name { name } => write!(f, "neither a host's name nor an IP address: {name:?}"),
        }?;
        write_sources(f, self)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            // Says where the end is missing in a list of numbers.
            Self::Pem { source: pem::Error::MissingSectionEnd { .. }, .. } => None,
            Self::Pem { source, .. } => Some(source),
            Self::Key { source, .. } | Self::Unusable { source } => Some(source),
            Self::Crl { source } => Some(source),
            Self::None { .. } | Self::Name { .. } => None,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(source: rustls::Error) -> Self {
        Self::Unusable { source }
    }
}
