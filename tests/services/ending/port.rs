//! The port, or the path, is free when `close` returns: whatever the accepting thread is doing then, and wherever
//! `close` is called from. Callers are refused by the system from then on, and the one who is being asked about is
//! ended.

use std::io::{self, Read, Write};
use std::net::{self, SocketAddr};
#[cfg(unix)]
use std::os::unix::net as unix;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use leads_comm::{
    Callback, Caller, Closing, Connection, Denied, DisconnectReason, Error, Server, ServerBuilder, Service,
};
use leads_comm_testing::*;

/// Where a server listens.
#[derive(Debug, Clone)]
enum Place {
    /// An address that the server binds, or one that it is given a bound socket for.
    Tcp { given: bool },
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Somebody who has connected.
trait Peer: Read + Write + Send {}
impl<T: Read + Write + Send> Peer for T {}

impl Place {
    fn all() -> Vec<Self> {
        vec![
            Self::Tcp { given: false },
            Self::Tcp { given: true },
            #[cfg(unix)]
            Self::Unix(std::env::temp_dir().join(format!("leads-comm-port-{}.sock", free_port()))),
        ]
    }

    fn server(&self) -> ServerBuilder {
        let builder = Server::builder().port(0);
        match self {
            Self::Tcp { given: false } => builder,
            Self::Tcp { given: true } => builder.listener(net::TcpListener::bind("127.0.0.1:0").unwrap()),
            #[cfg(unix)]
            Self::Unix(path) => builder.unix(path),
        }
    }

    fn connect(&self, addr: Option<SocketAddr>) -> io::Result<Box<dyn Peer>> {
        match self {
            Self::Tcp { .. } => {
                let socket = net::TcpStream::connect(addr.unwrap())?;
                socket.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(socket))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let socket = unix::UnixStream::connect(path)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(socket))
            }
        }
    }

    /// Checks that nobody listens there, and that somebody else can.
    fn assert_free(&self, addr: Option<SocketAddr>) {
        let late = self.connect(addr).map(drop);
        assert!(late.is_err(), "{self:?}: a caller after the close is not refused");
        match self {
            Self::Tcp { .. } => drop(net::TcpListener::bind(addr.unwrap()).unwrap()),
            #[cfg(unix)]
            Self::Unix(path) => {
                assert!(!path.exists(), "the file is still there");
                drop(unix::UnixListener::bind(path).unwrap());
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// Where the program is while the server is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Admit,
    Initialize,
    /// Told of by the reports of the accepting thread.
    Fail,
    Connect,
    Receive,
    Disconnect,
    Authenticate,
    /// In the destructor of the callback, which a reader drops.
    Drop,
}

const EVERYWHERE: [Where; 8] = [
    Where::Admit,
    Where::Initialize,
    Where::Fail,
    Where::Connect,
    Where::Receive,
    Where::Disconnect,
    Where::Authenticate,
    Where::Drop,
];

type Run = Box<dyn FnOnce() + Send>;

/// Runs what a test wants, once, at one place.
#[derive(Clone)]
struct At {
    place: Where,
    run: Arc<Mutex<Option<Run>>>,
}

impl At {
    fn new(place: Where, run: impl FnOnce() + Send + 'static) -> Self {
        Self { place, run: Arc::new(Mutex::new(Some(Box::new(run)))) }
    }

    fn pass(&self, place: Where) {
        let run = if place == self.place { self.run.lock().unwrap().take() } else { None };
        if let Some(run) = run {
            run();
        }
    }
}

impl Callback for At {
    fn on_initialize(&self, _: &dyn Service) {
        self.pass(Where::Initialize);
    }

    fn on_connect(&self, _: &dyn Service, _: &Connection) {
        self.pass(Where::Connect);
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, _: &[u8]) {
        self.pass(Where::Receive);
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, _: &DisconnectReason) {
        self.pass(Where::Disconnect);
    }

    fn on_fail(&self, _: &dyn Service, _: &Error) {
        self.pass(Where::Fail);
    }
}

/// The last handle of the callback that the first connection began with.
struct Dropped(At);
impl Callback for Dropped {}
impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.pass(Where::Drop);
    }
}

/// Starts a server and brings it to where `at` runs something; the peers that took.
fn reach(place: &Place, at: &At, server: &Arc<Mutex<Option<Server>>>) -> (Option<SocketAddr>, Vec<Box<dyn Peer>>) {
    let mut builder = place
        .server()
        .closing(Closing::new().close_timeout(Duration::from_millis(300)).flush_timeout(Duration::from_millis(200)));
    let (admits, authenticates) = (at.clone(), at.clone());
    builder = match at.place {
        Where::Admit => builder.admit(move |_| {
            admits.pass(Where::Admit);
            true
        }),
        Where::Fail => builder.admit(|_| false),
        Where::Authenticate => builder.authenticate(move |_: &Caller<'_>, _: &[u8]| -> Result<(), Denied> {
            authenticates.pass(Where::Authenticate);
            Ok(())
        }),
        _ => builder,
    };
    let started = match at.place {
        Where::Drop => builder.callback(Dropped(at.clone())),
        _ => builder.callback(at.clone()),
    };
    let started = started.build().unwrap();
    *server.lock().unwrap() = Some(started.clone());
    started.start(true).unwrap();
    let addr = started.local_addr();
    let mut peers = Vec::new();
    match at.place {
        Where::Initialize => {}
        Where::Admit | Where::Fail | Where::Connect => peers.push(place.connect(addr).unwrap()),
        Where::Receive | Where::Authenticate => {
            let mut peer = place.connect(addr).unwrap();
            peer.write_all(b"m;").unwrap();
            peers.push(peer);
        }
        Where::Disconnect => drop(place.connect(addr).unwrap()),
        Where::Drop => {
            let peer = place.connect(addr).unwrap();
            until("the connection", || started.num_connections() == 1);
            started.replace_callback(());
            drop(peer);
        }
    }
    (addr, peers)
}

/// Checks that a peer is ended, however.
fn assert_ended(mut peer: Box<dyn Peer>) {
    let mut rest = Vec::new();
    match peer.read_to_end(&mut rest) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            panic!("a caller is left hanging")
        }
        _ => {}
    }
}

#[test]
fn the_port_is_free_when_close_returns_while_the_program_takes_its_time() {
    for place in Place::all() {
        for position in EVERYWHERE {
            let (entered, has_entered) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let at = At::new(position, move || {
                entered.send(()).unwrap();
                let _ = released.recv();
            });
            let server = Arc::default();
            let (addr, peers) = reach(&place, &at, &server);
            has_entered.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{position:?} is not reached"));
            let server = server.lock().unwrap().take().unwrap();
            let closing = server.clone();
            in_time("close", move || closing.close());
            place.assert_free(addr);
            drop(release);
            peers.into_iter().for_each(assert_ended);
            assert!(server.wait_timeout(PATIENCE), "{place:?}, {position:?}");
            until("the end of every connection", || server.num_connections() == 0);
        }
    }
}

#[test]
fn the_port_is_free_when_close_returns_wherever_it_is_called() {
    for place in Place::all() {
        for position in EVERYWHERE {
            let server = Arc::<Mutex<Option<Server>>>::default();
            let (closed, is_closed) = mpsc::channel();
            let (go_on, goes_on) = mpsc::channel::<()>();
            let at = At::new(position, {
                let server = Arc::clone(&server);
                move || {
                    let server = server.lock().unwrap().clone().unwrap();
                    server.close();
                    closed.send(()).unwrap();
                    // Still here, while the test looks.
                    let _ = goes_on.recv();
                }
            });
            let (addr, peers) = reach(&place, &at, &server);
            is_closed.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{position:?}: close does not return"));
            place.assert_free(addr);
            drop(go_on);
            peers.into_iter().for_each(assert_ended);
            let server = server.lock().unwrap().take().unwrap();
            assert!(server.wait_timeout(PATIENCE), "{place:?}, {position:?}");
        }
    }
}

#[test]
fn whoever_closes_second_finds_the_port_free_as_well() {
    for place in Place::all() {
        for _ in 0..20 {
            let server = place.server().build().unwrap();
            server.start(true).unwrap();
            let addr = server.local_addr();
            let closing = server.clone();
            let first = std::thread::spawn(move || closing.close());
            server.close();
            place.assert_free(addr);
            first.join().unwrap();
        }
    }
}

#[test]
fn a_given_socket_is_free_when_a_server_that_never_ran_is_closed() {
    let place = Place::Tcp { given: true };
    let server = place.server().build().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], server.port()));
    server.close();
    place.assert_free(Some(addr));
}

#[test]
fn a_port_that_a_start_is_binding_is_free_when_close_returns() {
    for _ in 0..50 {
        let port = free_port();
        let server = Server::builder().port(port).build().unwrap();
        let starting = server.clone();
        let start = std::thread::spawn(move || starting.start(true));
        server.close();
        let free = net::TcpListener::bind(("127.0.0.1", port));
        let started = start.join().unwrap();
        assert!(matches!(started, Ok(()) | Err(Error::Closed)), "{started:?}");
        assert!(free.is_ok(), "{free:?}");
        assert!(server.wait_timeout(PATIENCE));
    }
}
