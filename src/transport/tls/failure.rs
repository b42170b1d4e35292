//! What goes wrong with a stream, said in such a way that one sees whose fault it was.

use std::error;
use std::fmt;
use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

use crate::error::write_sources;

/// What it means, and what rustls said.
#[derive(Debug)]
struct Failure {
    meaning: &'static str,
    source: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning)?;
        write_sources(f, self)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

fn failure(kind: io::ErrorKind, meaning: &'static str, source: Error) -> io::Error {
    io::Error::new(kind, Failure { meaning, source })
}

const NOT_TLS: &str = "the peer does not speak TLS";

/// A peer whose first bytes are no record.
pub(super) fn not_tls() -> io::Error {
    failure(io::ErrorKind::Unsupported, NOT_TLS, Error::InvalidMessage(InvalidMessage::InvalidContentType))
}

/// Before anything could be agreed on.
pub(super) fn of_handshake(error: Error) -> io::Error {
    let meaning = match &error {
        Error::InvalidMessage(_) => NOT_TLS,
        Error::InvalidCertificate(error) if is_of_an_authority(error) => {
            "the peer's certificate is refused: it is for an authority (CA:TRUE), and cannot be a service's own"
        }
        Error::InvalidCertificate(_) => "the peer's certificate is refused",
        Error::NoCertificatesPresented => "the peer has no certificate",
        Error::AlertReceived(_) => "the peer refuses the handshake",
        Error::PeerIncompatible(_) => "the peer's TLS does not go with this one",
        _ => "the handshake failed",
    };
    failure(io::ErrorKind::InvalidData, meaning, error)
}

/// Whether a peer shows the certificate of an authority as its own, which many tools make when they are asked for one
/// that is signed by itself. The type of the error is nobody's but rustls's.
fn is_of_an_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(error) if error.0.to_string() == "CaUsedAsEndEntity")
}

/// Of a connection that was there. A server that refuses a certificate tells its client here, where both speak TLS 1.3:
/// the client's handshake is over before the server has seen it.
pub(super) fn of_traffic(error: Error) -> io::Error {
    let meaning = match &error {
        Error::AlertReceived(_) => "the peer ends the connection",
        _ => "what the peer sent cannot be trusted",
    };
    failure(io::ErrorKind::InvalidData, meaning, error)
}

pub(super) fn of_config(error: Error) -> io::Error {
    failure(io::ErrorKind::InvalidInput, "TLS cannot begin", error)
}

pub(super) fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended without close_notify")
}

pub(super) fn ended_in_handshake() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer ended the stream in the TLS handshake")
}

pub(super) fn not_connected() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake has not been made")
}

pub(super) fn keys_used_up() -> io::Error {
    io::Error::other("the keys are used up, and TLS 1.2 cannot renew them")
}
