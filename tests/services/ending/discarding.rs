//! What is thrown away behind an end that the peer brought about is bounded in bytes, however fast and for how long it
//! sends; and a regular close still waits for a peer that keeps sending.

use std::io::{self, Read, Write};
use std::net::{self, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::Stream;
use leads_comm::transport::tcp::TcpListener;
use leads_comm::{Closing, DisconnectCause, Error, RefusalCause, Server, ServerBuilder, Timeouts};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;

/// The longest message.
const LIMIT: usize = 100_000;

/// The largest read, of which one may have begun below the bound.
const ONE_READ: usize = 128 * 1024;

/// Longer than a peer is to be read from, so that nothing but the bound ends that.
const LONG: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counting {
    read: AtomicUsize,
}

impl Layer for Counting {
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let read = stream.read(buffer);
        self.read.fetch_add(*read.as_ref().unwrap_or(&0), Ordering::Relaxed);
        read
    }
}

struct Started {
    server: Server,
    events: Receiver<Event>,
    counting: Arc<Counting>,
}

fn start(adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    let listener = TcpListener::new(net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let counting = Arc::<Counting>::default();
    let (callback, events) = recorder();
    let builder = Server::builder()
        .transport(layer::listener(listener, &counting))
        .max_received_len(LIMIT)
        .closing(Closing::new().flush_timeout(LONG).drain_timeout(LONG).close_timeout(LONG))
        .callback(callback);
    let server = adapt(builder).build().unwrap();
    server.start(true).unwrap();
    Started { server, events, counting }
}

impl Started {
    fn call(&self) -> TcpStream {
        let socket = TcpStream::connect(self.server.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn read(&self) -> usize {
        self.counting.read.load(Ordering::Relaxed)
    }

    fn close(&self) {
        let server = self.server.clone();
        in_time("close", move || server.close());
    }
}

/// Sends `first`, and then without end, until that fails.
fn flood(mut socket: &TcpStream, first: &[u8]) {
    let noise = [b'x'; 16 * 1024];
    if socket.write_all(first).is_ok() {
        while socket.write_all(&noise).is_ok() {}
    }
}

fn assert_bounded(started: &Started, from: usize, bound: usize) {
    let read = started.read() - from;
    assert!(read <= bound, "{read} bytes read of a peer that is to be ended, more than {bound}");
}

#[test]
fn behind_a_message_that_is_too_long() {
    let started = start(|builder| builder);
    let socket = started.call();
    in_time("the end", move || flood(&socket, b""));
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::MessageTooLong { .. }));
    // The message itself, and as much again.
    assert_bounded(&started, 0, 2 * (LIMIT + ONE_READ));
    started.close();
}

#[test]
fn behind_the_goodbye() {
    let started = start(|builder| builder);
    let socket = started.call();
    in_time("the end", move || flood(&socket, b"disconnect;"));
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PeerGoodbye));
    assert_bounded(&started, 0, LIMIT + 2 * ONE_READ);
    started.close();
}

#[test]
fn behind_a_message_that_is_not_finished_in_time() {
    let started = start(|builder| builder.timeouts(Timeouts::new().partial_message_timeout(Duration::from_millis(20))));
    let mut socket = started.call();
    socket.write_all(b"unfinished").unwrap();
    // It is told the goodbye when its time is over.
    let mut goodbye = [0; 11];
    socket.read_exact(&mut goodbye).unwrap();
    assert_eq!(&goodbye, b"disconnect;");
    let from = started.read();
    in_time("the end", move || flood(&socket, b""));
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PartialMessageTimeout { .. }));
    assert_bounded(&started, from, LIMIT + ONE_READ);
    started.close();
}

/// The least that a refused caller may send for the goodbye to reach it.
const REFUSED: usize = 64 * 1024;

fn refused(events: &Receiver<Event>) -> RefusalCause {
    find(events, |event| match event {
        Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
        _ => None,
    })
}

#[test]
fn of_a_caller_who_is_refused_at_the_door() {
    let started = start(|builder| builder.admit(|_| false));
    let socket = started.call();
    in_time("the end", move || flood(&socket, b""));
    assert!(matches!(refused(&started.events), RefusalCause::NotAdmitted));
    // The last look may go beyond it by a little, and one more is made when it is let go.
    assert_bounded(&started, 0, 2 * REFUSED);
    started.close();
}

#[test]
fn of_a_caller_who_is_refused_on_the_way_in() {
    let started = start(|builder| builder.token("secret").timeouts(Timeouts::new().handshake_timeout(LONG)));
    let socket = started.call();
    in_time("the end", move || flood(&socket, b"guess;"));
    assert!(matches!(refused(&started.events), RefusalCause::NotAuthenticated { .. }));
    assert_bounded(&started, 0, 2 * REFUSED);
    started.close();
}

#[test]
fn the_goodbye_reaches_a_peer_in_the_middle_of_a_message_a_little_too_long() {
    let started = start(|builder| builder);
    let mut socket = started.call();
    socket.write_all(&[b'x'; LIMIT + LIMIT / 2]).unwrap();
    let mut goodbye = [0; 11];
    socket.read_exact(&mut goodbye).unwrap();
    assert_eq!(&goodbye, b"disconnect;");
    drop(socket);
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::MessageTooLong { .. }));
    started.close();
}

#[test]
fn a_regular_close_waits_for_a_peer_that_keeps_sending() {
    let started = start(|builder| builder);
    let socket = started.call();
    let connection = connected(&started.events);
    connection.send(b"the last").unwrap();
    connection.close();
    // Far more than any bound, before anything is read.
    let mut reading = socket.try_clone().unwrap();
    in_time("sending", move || {
        let mut socket = socket;
        for _ in 0..100 {
            socket.write_all(&[b'x'; LIMIT]).unwrap();
        }
        socket.shutdown(net::Shutdown::Write).unwrap();
    });
    let mut rest = Vec::new();
    reading.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"the last;disconnect;");
    assert!(matches!(disconnected(&started.events).cause, DisconnectCause::LocalClose));
    assert_eq!(started.read(), 100 * LIMIT);
    started.close();
}

/// A peer that waits for room which a blocked callback does not make is told of the end when its time is over. The system
/// alone would keep it waiting for a minute: what has been read since is no room that it hears of, and leaves nothing
/// unread that would have it told.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
fn a_peer_that_is_stuck_learns_of_the_end_in_time() {
    use std::sync::{Mutex, mpsc};
    use std::thread;

    use leads_comm::{Client, callback};

    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (begin, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let callback = callback::on_receive(move |_, _| {
        let _ = begin.send(());
        // Until the test lets it, and not again.
        let _ = may_go_on.lock().unwrap().recv();
    });
    let short = Duration::from_millis(50);
    let closing = Closing::new().flush_timeout(short).drain_timeout(short).close_timeout(short);
    let client = Client::builder().port(listener.local_addr().unwrap().port()).closing(closing).callback(callback);
    let client = client.build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"first;").unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    // More than there is room for: no byte of it has been taken for so long.
    peer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while peer.write(&[b'x'; 64 * 1024]).is_ok() {}
    peer.set_write_timeout(None).unwrap();
    let writing = thread::spawn(move || while peer.write(&[b'x'; 64 * 1024]).is_ok() {});
    let connection = client.connection().unwrap();
    connection.close();
    // Long over.
    thread::sleep(10 * short);
    drop(go_on);
    in_time("the peer's end", || writing.join().unwrap());
    client.close();
}
