//! TLS over any transport, by [rustls]: nobody in between can read or change what is said, and both sides know whom
//! they talk to.
//!
//! A server has an [`Identity`], which is a certificate and its private key. A client has the [`Authorities`] whose
//! certificates it believes. That is TLS as browsers use it; with [`mutual`](ServerConfig::mutual), clients have an
//! identity as well, and servers believe authorities. Everything else (callbacks, framing, limits, slow consumers,
//! closing) is as without TLS, over TCP, [Unix sockets](crate::transport::unix), [memory](crate::transport::memory), or
//! a transport of the program's own.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use leads_comm::transport::tls::{Authorities, ClientConfig, Identity, ServerConfig};
//! use leads_comm::{Client, Server, callback::{self, Event}};
//!
//! let file = |name: &str| Path::new("/etc/leads").join(name);
//! let authorities = Authorities::from_pem_file(file("ca.pem"))?;
//!
//! let identity = Identity::from_pem_files(file("server.pem"), file("server.key"))?;
//! let (events, heard) = callback::channel(16);
//! let server = Server::builder()
//!     .port(0)
//!     .tls(ServerConfig::mutual(identity, authorities.clone()))
//!     .callback(events)
//!     .build()?;
//! server.start(true)?;
//!
//! let identity = Identity::from_pem_files(file("client.pem"), file("client.key"))?;
//! let client = Client::builder().port(server.port()).tls(ClientConfig::mutual(identity, authorities)).build()?;
//! client.start("localhost", true)?;
//! let certificates = heard.iter().find_map(|event| match event {
//!     Event::Connect { connection } => Some(connection.peer_certificates().to_vec()),
//!     _ => None,
//! });
//! // The client's own, in DER, which `on_connect` sees as well.
//! assert_eq!(certificates.unwrap().len(), 1);
//!
//! client.close();
//! server.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The handshake
//!
//! It comes before the connection: a caller who is in it is in no table, gets no broadcast, and no callback has been
//! told. A server has it made on the thread that becomes the connection's reader, within
//! [`handshake_timeout`](crate::Timeouts::handshake_timeout) and for no more than
//! [`max_handshakes`](crate::ServerBuilder::max_handshakes) callers at once; a client makes it where it connects.
//!
//! TLS 1.3 is spoken with every peer that can, and 1.2 with others; nothing older. Every connection makes a full
//! handshake, so that dates and revocation lists are looked at each time.
//!
//! | What goes wrong | The server is told, in `on_fail` | The client is told |
//! |---|---|---|
//! | the server's certificate is expired, revoked, of an unknown authority, or for another name | [`RefusalCause::HandshakeFailed`](crate::RefusalCause::HandshakeFailed): *the peer refuses the handshake*, with the alert | [`Error::Connect`](crate::Error::Connect): *the peer's certificate is refused*, and why |
//! | the client's certificate is, or there is none | `HandshakeFailed`: *the peer's certificate is refused*, or *the peer has no certificate* | the alert; with TLS 1.3 as [`DisconnectCause::Io`](crate::DisconnectCause::Io) just after `start` has returned, with 1.2, or where the client has a token, as `Error::Connect` |
//! | a plain peer at a TLS port | `HandshakeFailed`: *the peer does not speak TLS* | a goodbye, which it understands, and the end, at once: [`DisconnectCause::NotLetIn`](crate::DisconnectCause::NotLetIn), or [`Error::NotLetIn`](crate::Error::NotLetIn) where it has a token |
//! | a TLS client at a plain port | what the client says is no message of sense to it | `Error::Connect`: *the peer does not speak TLS*, *the peer ended the stream in the TLS handshake*, or that the handshake *was not over* in time |
//! | a caller who says nothing | [`RefusalCause::HandshakeTimeout`](crate::RefusalCause::HandshakeTimeout) | the end of the stream |
//! | a caller who is refused at the door | as without TLS | `Error::Connect`: *the peer refuses the handshake*, with the alert `AccessDenied` in place of the goodbye |
//!
//! What was reported by rustls is the source of the error in each case: `error.get_ref()` and then `source()` is a
//! [`rustls::Error`].
//!
//! # The end
//!
//! Behind its last message, which is the goodbye, each side says `close_notify`, and then ends its half of the stream.
//! A stream that ends without either was cut off, maybe by somebody in between who would have the last messages go
//! unnoticed; that is [`DisconnectCause::Truncated`](crate::DisconnectCause::Truncated). An
//! [abort](crate::Connection::abort) says nothing, so to the peer it looks like that.
//!
//! # What it costs
//!
//! One lock guards the keys of both directions; it is held while bytes are encrypted or decrypted, and never while they
//! move. Messages are encrypted only when they are written, so that [`SlowConsumer::DropOldest`] may drop whatever is
//! still in the outbox. Up to 48 KiB of what has been encrypted is held for a peer that takes nothing; it counts
//! neither as queued nor against [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes). One end of a
//! connection on which nothing has moved takes some 25 KiB more than without TLS (45 instead of 22: most of that is the
//! stack of its thread that the handshake has touched), one on which something has some 10 KiB, and one on which much
//! does up to 160 KiB. The repository's test `alone tls_costs` measures it.
//!
//! Of a record that has not arrived whole nothing can be delivered; like a message that is not whole, it has to be
//! within [`partial_message_timeout`](crate::Timeouts::partial_message_timeout).
//!
//! Keys are renewed by rustls, and whenever the peer asks for it, without anything being seen of that. TLS 1.2 cannot
//! renew them: after 2²⁴ records (a lone message is one) with AES, such a connection ends, with
//! [`DisconnectCause::Io`](crate::DisconnectCause::Io).
//!
//! # More than that
//!
//! [`ServerBuilder::tls`](crate::ServerBuilder::tls) and [`ClientBuilder::tls`](crate::ClientBuilder::tls) also take an
//! `Arc` of a configuration of [rustls] itself: for certificates that change while the server runs, for other cipher
//! suites, for the authorities of the operating system. What such a configuration says of resumption holds: a client
//! that resumes a session is not looked at anew. Early data is for nobody here, and lost, so that `max_early_data_size`
//! has to stay 0. [`TlsListener`], [`TlsConnector`] and [`TlsStream`] are for programs that put streams together
//! themselves.
//!
//! [`SlowConsumer::DropOldest`]: crate::SlowConsumer::DropOldest

mod config;
mod credentials;
mod ends;
mod error;
mod failure;
mod handshake;
mod records;
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
