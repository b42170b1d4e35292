//! TLS streams do what is asked of every stream, whatever they are over.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use leads_comm::transport::tcp::{TcpConnector, TcpListener};
use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::{TlsConnector, TlsListener, TlsStream};
use leads_comm::transport::{Connector, Listener, Stream, memory};
use leads_comm_conformance::{LayerCheck, Suite};
use leads_comm_testing::certificates::Pki;
use leads_comm_testing::net::blocking::blocking;

use super::pairs::Below;

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::new)
}

fn over((server, client): (Box<dyn Stream>, Box<dyn Stream>)) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let name = ServerName::try_from("localhost").unwrap();
    let server = TlsStream::server(server, &pki().mutual_server()).unwrap();
    let client = TlsStream::client(client, &pki().mutual_client(), name).unwrap();
    (Box::new(server), Box::new(client))
}

#[test]
fn over_tcp() {
    let suite = Suite::new();
    suite.check_streams(|| over(Below::Tcp.pair()));
    suite.check_listener(|| -> (Box<dyn Listener>, Box<dyn Connector>, String) {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connector = TcpConnector::new(1, Duration::from_secs(5));
        let listener = TlsListener::new(listener, pki().mutual_server());
        (Box::new(listener), Box::new(TlsConnector::new(connector, pki().mutual_client())), address)
    });
}

#[test]
fn over_memory() {
    let suite = Suite::new().poll_fd(false).wait_readable(false);
    suite.check_streams(|| over(Below::Memory.pair()));
    suite.check_listener(|| -> (Box<dyn Listener>, Box<dyn Connector>, String) {
        let (listener, connector) = memory::listener();
        let config = pki().mutual_client().server_name("localhost").unwrap();
        let listener = TlsListener::new(listener, pki().mutual_server());
        (Box::new(listener), Box::new(TlsConnector::new(connector, config)), "anywhere".into())
    });
}

#[test]
fn over_streams_that_block_in_writing() {
    Suite::basic().check_streams(|| {
        let (server, client) = Below::Memory.pair();
        over((blocking(server), blocking(client)))
    });
}

#[test]
fn over_tls() {
    Suite::new().check_streams(|| over(over_shaken(Below::Tcp.pair())));
}

/// A handshake below the handshake.
fn over_shaken(ends: (Box<dyn Stream>, Box<dyn Stream>)) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let (server, client) = over(ends);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| server.handshake().unwrap());
        client.handshake().unwrap();
        serving.join().unwrap();
    });
    (server, client)
}

/// Handshake, certificates, and the end of the stream are its own.
#[test]
fn it_passes_on_what_it_has_no_part_in() {
    use LayerCheck::{
        Abort, Addresses, DropCloses, HasEnd, KeepAlive, LimitUnsent, Shutdown, SystemQueued, Unanswered,
    };
    let client = |below| -> Box<dyn Stream> {
        let name = ServerName::try_from("localhost").unwrap();
        Box::new(TlsStream::client(below, &pki().mutual_client(), name).unwrap())
    };
    for check in [Addresses, KeepAlive, Unanswered, LimitUnsent, SystemQueued, Abort, Shutdown, DropCloses] {
        check.run(&Suite::new(), client).unwrap();
    }
    let ends = HasEnd.run(&Suite::new(), client).unwrap_err();
    assert_eq!(ends.to_string(), "has end: has_end says true, and the stream below false", "close_notify is an end");
}
