//! TLS over TCP, with certificates on both sides.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use leads_comm::transport::Stream;
use leads_comm::transport::tls::TlsStream;
use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::raw::Raw;
use super::tcp::Tcp;
use super::{Dial, Transport};
use crate::certificates::Pki;
use crate::layer::{self, Below, How, Layer};

/// See [`Net::Tls`](super::Net::Tls).
pub struct Tls;

/// The same for all tests of a suite.
fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::new)
}

impl Transport for Tls {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        (Server::builder().port(0).tls(pki().mutual_server()), Box::new(Tls))
    }

    fn holds(&self) -> usize {
        20_000_000
    }

    fn has_addresses(&self) -> bool {
        true
    }

    /// They get an alert, because they have not shaken hands.
    fn tells_the_refused(&self) -> bool {
        false
    }
}

impl Dial for Tls {
    fn client(&self, server: &Server) -> ClientBuilder {
        Client::builder().port(server.port()).tls(pki().mutual_client())
    }

    fn raw(&self, server: &Server) -> Raw {
        over(Tcp.raw(server))
    }

    fn stalled(&self, server: &Server) -> Raw {
        over(Tcp.stalled(server))
    }
}

/// TLS over what a raw peer has.
fn over(raw: Raw) -> Raw {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsStream::client(raw.stream, &pki().mutual_client(), name).unwrap();
    match stream.handshake() {
        Ok(()) => {
            let polite = Arc::new(Polite { aborted: AtomicBool::new(false) });
            Raw::of(layer::stream(Box::new(stream), &polite))
        }
        Err(error) => {
            assert_eq!(crate::chain(&error), "the peer refuses the handshake: received fatal alert: AccessDenied");
            Raw::of(Box::new(Refused))
        }
    }
}

/// To a peer that is refused, the stream is over before it has begun.
struct Refused;

impl Stream for Refused {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_vectored(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> String {
        "refused".into()
    }
}

/// A peer that says `close_notify` when it goes, unless it gives up.
struct Polite {
    aborted: AtomicBool,
}

impl Layer for Polite {
    /// As a socket does: what is taken is out.
    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        let count = how.write(stream, buffers)?;
        how.flush(stream)?;
        Ok(count)
    }

    fn abort(&self, stream: &dyn Stream) -> io::Result<()> {
        self.aborted.store(true, Ordering::Relaxed);
        stream.abort()
    }

    fn dropped(&self, below: Below<'_>) {
        if let (Below::Stream(stream), false) = (below, self.aborted.load(Ordering::Relaxed)) {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}
