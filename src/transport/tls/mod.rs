//! TLS over any transport, by [rustls].

mod config;
mod credentials;
mod ends;
mod error;
mod failure;
mod handshake;
mod session;
mod stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use config::{ClientConfig, ServerConfig};
pub use credentials::{Authorities, Identity};
pub use ends::{TlsConnector, TlsListener};
pub use error::Error;
/// The crate that does the cryptography, for configurations of a program's own.
pub use rustls;
pub use stream::TlsStream;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
