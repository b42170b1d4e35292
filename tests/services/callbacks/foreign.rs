//! The program's code where nobody looks for it: in destructors, in errors, on whatever thread; and threads of the
//! library that end by it. Each costs what the documentation says, is told, and everything still ends.

use std::error;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::transport::{Connector, Listener, Stream, memory};
use leads_comm::{
    Authenticator, Callback, Caller, Client, CloseOnDrop, Closing, Connection, Denied, DisconnectCause,
    DisconnectReason, Error, MemoryLimits, Reconnect, Server, Service, callback,
};
use leads_comm_testing::layer::{self, Below, Layer};
use leads_comm_testing::*;

/// Longer than a test waits for anything.
const NEVER: Duration = Duration::from_secs(600);

/// Something whose destructor panics, where the library drops it.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!is_on("leads-comm"), "boom");
    }
}

fn is_on(thread: &str) -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(thread))
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl error::Error for Bomb {}

impl Callback for Bomb {}

impl Authenticator for Bomb {
    fn authenticate(&self, _: &Caller<'_>, _: &[u8]) -> Result<(), Denied> {
        Ok(())
    }
}

fn bomb(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, Bomb)
}

/// Tells of the ends, and of the end of all: of nothing that holds a bomb.
struct Tell(mpsc::Sender<Told>);

#[derive(Debug)]
enum Told {
    Connect(Connection),
    Disconnect(DisconnectReason),
    Fail,
}

impl Tell {
    fn new() -> (Self, mpsc::Receiver<Told>) {
        let (tell, told) = mpsc::channel();
        (Self(tell), told)
    }
}

impl Callback for Tell {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let _ = self.0.send(Told::Connect(connection.clone()));
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        let _ = self.0.send(Told::Disconnect(reason.clone()));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        if matches!(error, Error::ServiceFailed { .. }) {
            let _ = self.0.send(Told::Fail);
        }
    }
}

fn opened(told: &mpsc::Receiver<Told>) -> Connection {
    match told.recv_timeout(PATIENCE).expect("nothing more is told") {
        Told::Connect(connection) => connection,
        told => panic!("{told:?}"),
    }
}

#[test]
fn a_million_callbacks_are_called_in_order_and_dropped() {
    struct Counting {
        number: usize,
        called: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
    }
    impl Callback for Counting {
        fn on_receive(&self, _: &dyn Service, _: &Connection, _: &[u8]) {
            assert_eq!(self.called.fetch_add(1, Ordering::Relaxed), self.number, "out of order");
        }
    }
    impl Drop for Counting {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    const CALLBACKS: usize = 1_000_000;
    let (callback, events) = recorder();
    let (listener, connector) = memory::listener();
    let server = Server::builder().transport(listener).build().unwrap();
    let (called, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    for number in 0..CALLBACKS {
        server.set_callback(Counting { number, called: Arc::clone(&called), dropped: Arc::clone(&dropped) });
    }
    server.set_callback(callback);
    server.start(true).unwrap();
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    client.send(b"m").unwrap();
    assert_eq!(received(&events), b"m");
    assert_eq!(called.load(Ordering::Relaxed), CALLBACKS);
    client.close();
    server.close();
    until("the end of all callbacks", || dropped.load(Ordering::Relaxed) == CALLBACKS);
}

#[test]
fn callbacks_behind_one_that_panics_are_called_and_the_first_panic_is_told() {
    expect_panics_in_callbacks();
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder().transport(listener).build().unwrap();
    server.set_callback(callback::on_receive(|_, _| panic!("the first")));
    server.set_callback(callback::on_receive(|_, _| panic!("the second")));
    server.set_callback(callback);
    server.start(true).unwrap();
    let peer = connector.open().unwrap();
    peer.write_vectored(&[io::IoSlice::new(b"m;")]).unwrap();
    assert_eq!(received(&events), b"m");
    match disconnected(&events).cause {
        DisconnectCause::CallbackPanicked { message, .. } => assert_eq!(message, "the first"),
        cause => panic!("{cause}"),
    }
    server.close();
}

#[test]
fn a_guard_that_a_thread_of_the_library_drops_waits_for_nobody() {
    /// Closes the server when it is dropped, and tells on which thread that was.
    struct Owner {
        server: Mutex<Option<CloseOnDrop<Server>>>,
        dropped: mpsc::Sender<String>,
    }
    impl Callback for Owner {}
    impl Drop for Owner {
        fn drop(&mut self) {
            drop(self.server.lock().unwrap().take());
            let _ = self.dropped.send(thread::current().name().unwrap_or_default().to_owned());
        }
    }

    let (listener, connector) = memory::listener();
    // Whoever waits for its own thread here waits for longer than this test does.
    let server = Server::builder().transport(listener).closing(Closing::new().close_timeout(NEVER)).build().unwrap();
    let (dropped, is_dropped) = mpsc::channel();
    server.set_callback(Owner { server: Mutex::new(Some(CloseOnDrop::new(server.clone()))), dropped });
    server.start(true).unwrap();
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    until("the connection", || server.num_connections() == 1);
    server.replace_callback(());
    client.close();
    let thread = is_dropped.recv_timeout(PATIENCE).expect("the guard is not dropped, or waits");
    assert!(thread.starts_with("leads-comm reader"), "{thread}");
    assert!(server.wait_timeout(PATIENCE));
}

#[test]
fn the_thread_that_a_service_is_run_on_waits_for_no_service() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let other =
        Server::builder().port(0).closing(Closing::new().close_timeout(NEVER).flush_timeout(NEVER)).build().unwrap();
    // A callback of the other one that does not return, so that waiting for that one would take for ever.
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (entered, has_entered) = mpsc::channel();
    other.set_callback(callback::closures().on_connect(move |_, _| {
        entered.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
    }));
    other.start(true).unwrap();
    let _caller = std::net::TcpStream::connect(("127.0.0.1", other.port())).unwrap();
    has_entered.recv_timeout(PATIENCE).unwrap();

    struct Closes(Server);
    impl Callback for Closes {}
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.close();
            assert!(!self.0.wait_timeout(NEVER), "it has a callback that does not return");
        }
    }
    let server = Server::builder().transport(listener).callback((Closes(other.clone()), callback)).build().unwrap();
    let running = server.clone();
    let run = thread::spawn(move || running.start(false));
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    connected(&events);
    client.close();
    server.close();
    in_time("the start that serves", move || run.join()).unwrap().unwrap();
    release.send(()).unwrap();
    assert!(other.wait_timeout(PATIENCE));
}

#[test]
fn destructors_that_panic_cost_nobody_anything() {
    expect_panics_in_callbacks();
    struct Fragile;
    impl Layer for Fragile {
        fn dropped(&self, below: Below<'_>) {
            panic!("dropping a {below}");
        }
    }

    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let (admits, authenticates) = (Bomb, Bomb);
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(Fragile)))
        .callback((Bomb, callback))
        .admit(move |_| {
            let _ = &admits;
            true
        })
        .authenticate(authenticates)
        .build()
        .unwrap();
    server.start(true).unwrap();
    for _ in 0..3 {
        let client = Client::builder()
            .transport(layer::connector(connector.clone(), &Arc::new(Fragile)))
            .callback(Bomb)
            .token("let me in")
            .build()
            .unwrap();
        client.start("", true).unwrap();
        client.send(b"served").unwrap();
        assert_eq!(received(&events), b"served");
        client.close();
        assert!(client.wait_timeout(PATIENCE));
        assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
    }
    assert_eq!(server.num_connections(), 0);
    server.close();
    assert!(server.wait_timeout(PATIENCE));
    // On this thread, where the program would hear of it.
    in_time("dropping the handle", move || drop(server));
}

#[test]
fn a_callback_that_its_connection_is_the_last_to_hold_may_panic_when_it_is_dropped() {
    expect_panics_in_callbacks();
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder().transport(listener).callback((callback.clone(), Bomb)).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().transport(connector.clone()).build().unwrap();
    client.start("", true).unwrap();
    connected(&events);
    server.replace_callback(callback);
    client.close();
    disconnected(&events);
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    client.send(b"served").unwrap();
    assert_eq!(received(&events), b"served");
    server.close();
    assert!(server.wait_timeout(PATIENCE));
}

#[test]
fn a_reader_that_panics_outside_callbacks_leaves_as_every_other() {
    expect_panics_in_callbacks();
    /// One stream is cut off, with an error that panics when it is dropped.
    struct CutOff(AtomicBool);
    impl Layer for CutOff {
        fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
            match stream.read(buffer) {
                Ok(0) if !self.0.swap(true, Ordering::Relaxed) => Err(bomb(io::ErrorKind::UnexpectedEof)),
                read => read,
            }
        }
    }

    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(CutOff(AtomicBool::new(false)))))
        .max_connections(1)
        .memory_limits(MemoryLimits::new().max_total_unfinished_bytes(2 << 20))
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let peer = connector.open().unwrap();
    connected(&events);
    // Memory that has to be given back, for the next one to have it.
    let unfinished = vec![b'x'; 1 << 20];
    write_all(&peer, &unfinished);
    drop(peer);
    // The end had begun when it panicked.
    assert!(matches!(disconnected(&events).cause, DisconnectCause::Truncated));
    assert_eq!(server.num_connections(), 0);
    // The only place there is, and all of the memory.
    let client = Client::builder().transport(connector).build().unwrap();
    client.start("", true).unwrap();
    for _ in 0..3 {
        client.send(&unfinished).unwrap();
        assert_eq!(received(&events).len(), unfinished.len());
    }
    client.close();
    server.close();
    assert!(server.wait_timeout(PATIENCE));
    assert_eq!(server.stats().ended.total(), 2);
}

/// Whoever is ended to make room for others may want room itself, on the same thread.
#[test]
fn an_abort_for_want_of_room_may_send_over_the_same_service() {
    const LEN: usize = 400_000;
    const TOTAL: usize = 1_000_000;
    struct Farewell {
        server: Mutex<Option<Server>>,
        accepted: mpsc::Sender<usize>,
    }
    impl Layer for Farewell {
        fn abort(&self, stream: &dyn Stream) -> io::Result<()> {
            let server = self.server.lock().unwrap().clone();
            for _ in 0..3 {
                if let Some(server) = &server {
                    self.accepted.send(server.broadcast(&[b'x'; LEN]).unwrap()).unwrap();
                }
            }
            stream.abort()
        }
    }

    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let (accepted, told) = mpsc::channel();
    let farewell = Arc::new(Farewell { server: Mutex::new(None), accepted });
    let server = Server::builder()
        .transport(layer::listener(listener, &farewell))
        .max_sent_len(LEN)
        .max_queued_bytes(TOTAL)
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(TOTAL))
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let peers: Vec<_> = (0..4).map(|_| (connector.open().unwrap(), connected(&events))).collect();
    *farewell.server.lock().unwrap() = Some(server.clone());
    let (sender, connections) = (server.clone(), peers.iter().map(|(_, connection)| connection.clone()));
    let connections: Vec<_> = connections.collect();
    in_time("sending", move || {
        while sender.num_connections() > 1 {
            for connection in &connections {
                let _ = connection.send(&[b'x'; LEN]);
            }
        }
    });
    assert!(told.try_iter().count() >= 3);
    *farewell.server.lock().unwrap() = None;
    drop(peers);
    server.close();
    assert!(server.wait_timeout(PATIENCE));
}

fn write_all(stream: &dyn Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = stream.write_vectored(&[io::IoSlice::new(bytes)]).unwrap();
        bytes = &bytes[count..];
    }
}

#[test]
fn errors_whose_destructors_panic_end_no_thread() {
    expect_panics_in_callbacks();
    /// Every second caller is announced by an error that panics when it is dropped; and so does what the pump is told
    /// when it cuts a stream off.
    struct Fails(AtomicUsize);
    impl Layer for Fails {
        fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
            let accepted = listener.accept()?;
            match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
                1 => Err(bomb(io::ErrorKind::Other)),
                _ => Ok(accepted),
            }
        }

        fn shutdown(&self, stream: &dyn Stream, how: Shutdown) -> io::Result<()> {
            stream.shutdown(how)?;
            if is_on("leads-comm pump") { Err(bomb(io::ErrorKind::Other)) } else { Ok(()) }
        }
    }

    let (listener, connector) = memory::listener();
    let (tell, told) = Tell::new();
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(Fails(AtomicUsize::new(0)))))
        // What is closed is cut off by the pump a moment later.
        .closing(Closing::new().drain_timeout(Duration::from_millis(1)))
        .callback(tell)
        .build()
        .unwrap();
    server.start(true).unwrap();
    for _ in 0..3 {
        let _let_in = connector.open().unwrap();
        let connection = opened(&told);
        let _not = connector.open().unwrap();
        connection.close();
        match told.recv_timeout(PATIENCE).unwrap() {
            Told::Disconnect(DisconnectReason { cause: DisconnectCause::LocalClose, .. }) => {}
            told => panic!("{told:?}"),
        }
    }
    in_time("close", move || server.close());
    assert!(told.recv_timeout(PATIENCE).is_err(), "more was told");
}

#[test]
fn a_client_goes_on_trying_whatever_the_errors_of_its_transport_do() {
    expect_panics_in_callbacks();
    struct Fails;
    impl Layer for Fails {
        fn connect(&self, _: &dyn Connector, _: &str) -> io::Result<Box<dyn Stream>> {
            Err(bomb(io::ErrorKind::ConnectionRefused))
        }
    }

    let (_listener, connector) = memory::listener();
    let (tried, tries) = mpsc::channel();
    let delay = Duration::from_millis(1);
    let client = Client::builder()
        .transport(layer::connector(connector, &Arc::new(Fails)))
        .reconnect(Reconnect::new().at_start(true).first_delay(delay).longest_delay(delay))
        .callback(callback::closures().on_reconnect(move |_, _| tried.send(()).unwrap_or_default()))
        .build()
        .unwrap();
    client.start("", true).unwrap();
    for _ in 0..5 {
        tries.recv_timeout(PATIENCE).expect("it tries no more");
    }
    in_time("close", move || client.close());
}

/// The error itself is the source of what is shown in its place.
#[test]
fn an_error_of_a_transport_can_still_be_found() {
    let connect = |_: &str| -> io::Result<Box<dyn Stream>> { Err(io::Error::other(Marked)) };
    let client = Client::builder().transport(connect).build().unwrap();
    let Err(Error::Connect { source, .. }) = client.start("", true) else { panic!("connected") };
    assert_eq!(source.to_string(), "marked");
    let inner = source.get_ref().and_then(error::Error::source);
    assert!(inner.is_some_and(<dyn error::Error>::is::<Marked>));
}

#[derive(Debug)]
struct Marked;

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("marked")
    }
}

impl error::Error for Marked {}
