//! What the library brings, and what its example does, passes.

use std::io::{ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
#[cfg(unix)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
#[cfg(unix)]
use std::{env, process};

use leads_comm::transport::tcp::{TcpConnector, TcpListener, TcpStream};
#[cfg(unix)]
use leads_comm::transport::unix::{UnixConnector, UnixListener};
use leads_comm::transport::{Connector, Listener, Stream, memory};
use leads_comm_conformance::{StreamCheck, Suite};

use crate::packed::{PackedConnector, PackedListener, Traffic};

/// Enough to fill what lies between two ends in memory, for what takes its time without optimisation.
pub(crate) const LITTLE: usize = 300_000;

pub(crate) fn memory_suite() -> Suite {
    Suite::new().poll_fd(false).wait_readable(false)
}

pub(crate) fn memory_pair() -> (Box<dyn Stream>, Box<dyn Stream>) {
    let (one, other) = memory::pair();
    (Box::new(one), Box::new(other))
}

pub(crate) fn memory_listener() -> (Box<dyn Listener>, Box<dyn Connector>, String) {
    let (listener, connector) = memory::listener();
    (Box::new(listener), Box::new(connector), "anywhere".into())
}

/// What can be expected of TCP where writes can be made non-blocking, and where they cannot.
pub(crate) fn tcp_suite() -> Suite {
    Suite::new()
}

pub(crate) fn tcp_pair() -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    (Box::new(TcpStream::new(one).unwrap()), Box::new(TcpStream::new(other).unwrap()))
}

fn tcp_listener() -> (Box<dyn Listener>, Box<dyn Connector>, String) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (Box::new(listener), Box::new(TcpConnector::new(1, Duration::from_secs(5))), address)
}

#[test]
fn memory() {
    memory_suite().check_streams(memory_pair);
    memory_suite().check_listener(memory_listener);
}

/// An abort makes room and ends the stream: a writer never sees the one without the other.
#[test]
fn an_abort_in_memory_fails_the_write_that_waits() {
    for round in 0..500 {
        let (one, _other) = memory_pair();
        let one: Arc<dyn Stream> = Arc::from(one);
        while one.try_write_vectored(&[IoSlice::new(&[0; 1024])]).is_ok() {}
        let writer = Arc::clone(&one);
        let (begin, begun) = mpsc::channel();
        let writing = thread::spawn(move || {
            begin.send(()).unwrap();
            writer.write_vectored(&[IoSlice::new(b"late")])
        });
        begun.recv().unwrap();
        one.abort().unwrap();
        assert_eq!(writing.join().unwrap().map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe), "round {round}");
    }
}

#[test]
fn tcp() {
    tcp_suite().check_streams(tcp_pair);
    tcp_suite().check_listener(tcp_listener);
}

#[test]
fn tcp_connected_by_our_own() {
    tcp_suite().check_streams(|| {
        let (listener, connector, address) = tcp_listener();
        let one = connector.connect(&address).unwrap();
        (one, listener.accept().unwrap().unwrap())
    });
}

#[cfg(unix)]
#[test]
fn unix() {
    fn listener() -> (Box<dyn Listener>, Box<dyn Connector>, String) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("leads-comm-transports-{}-{}.sock", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name).to_str().unwrap().to_owned();
        (Box::new(UnixListener::bind(&path, 16, None).unwrap()), Box::new(UnixConnector::new()), path)
    }
    // What can be expected is the same.
    tcp_suite().check_listener(listener);
    tcp_suite().check_streams(|| {
        let (listener, connector, path) = listener();
        let one = connector.connect(&path).unwrap();
        (one, listener.accept().unwrap().unwrap())
    });
}

/// The example's layer, over a transport that cannot be polled.
#[test]
fn custom_transport() {
    fn listener() -> (Box<dyn Listener>, Box<dyn Connector>, String) {
        let traffic = Arc::new(Traffic::default());
        let (listener, connector) = memory::listener();
        let connector = PackedConnector { connector, traffic: Arc::clone(&traffic) };
        (Box::new(PackedListener { listener, traffic }), Box::new(connector), "anywhere".into())
    }
    memory_suite().check_listener(listener);
    memory_suite().bulk(LITTLE).check_streams(|| {
        let (listener, connector, address) = listener();
        let one = connector.connect(&address).unwrap();
        (one, listener.accept().unwrap().unwrap())
    });
}

/// Over one that can, except that the layer has no `wait_readable`; the rest is the same, and takes longer.
#[test]
fn custom_transport_over_tcp() {
    fn listener() -> (Box<dyn Listener>, Box<dyn Connector>, String) {
        let traffic = Arc::new(Traffic::default());
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connector = TcpConnector::new(1, Duration::from_secs(5));
        let connector = PackedConnector { connector, traffic: Arc::clone(&traffic) };
        (Box::new(PackedListener { listener, traffic }), Box::new(connector), address)
    }
    // It fills some megabytes of the system's, in small pieces.
    let suite = tcp_suite().wait_readable(false).bulk(LITTLE).time(Duration::from_secs(60));
    suite.check_listener(listener);
    for check in [StreamCheck::FullDuplex, StreamCheck::TryWrite, StreamCheck::PollWritable, StreamCheck::HalfClose] {
        let pair = || {
            let (listener, connector, address) = listener();
            let one = connector.connect(&address).unwrap();
            (one, listener.accept().unwrap().unwrap())
        };
        check.run(&suite, pair).unwrap();
    }
}

/// Connects to where nobody answers: callers wait in a backlog that is full.
#[test]
#[cfg(target_os = "linux")]
fn tcp_connector() {
    use socket2::{Domain, Socket, Type};

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let callers = (0..4).map(|_| {
        let caller = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        caller.set_nonblocking(true).unwrap();
        let _ = caller.connect(&address);
        caller
    });
    let _waiting: Vec<_> = callers.collect();
    let address = address.as_socket().unwrap().to_string();
    tcp_suite().check_connector(move || (Box::new(TcpConnector::new(1, Duration::from_secs(3600))), address.clone()));
}
