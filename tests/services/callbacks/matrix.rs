//! Any call is allowed in any callback, and none deadlocks: every method × every callback × server and client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leads_comm::{Callback, Client, Connection, DisconnectReason, Error, Server, Service};
use leads_comm_testing::*;

/// How often each cell is run.
const ROUNDS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Initialize,
    Connect,
    Receive,
    Disconnect,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Send,
    Ask,
    Broadcast,
    Look,
    CloseConnection,
    AbortConnection,
    CloseOthers,
    SetCallback,
    ReplaceCallback,
    CloseService,
    CloseServiceOnAnotherThread,
    Wait,
    StartAgain,
    StartAnother,
    DropLastHandle,
}

const WITHIN: [Within; 5] = [Within::Initialize, Within::Connect, Within::Receive, Within::Disconnect, Within::Fail];

const CALLS: [Call; 15] = [
    Call::Send,
    Call::Ask,
    Call::Broadcast,
    Call::Look,
    Call::CloseConnection,
    Call::AbortConnection,
    Call::CloseOthers,
    Call::SetCallback,
    Call::ReplaceCallback,
    Call::CloseService,
    Call::CloseServiceOnAnotherThread,
    Call::Wait,
    Call::StartAgain,
    Call::StartAnother,
    Call::DropLastHandle,
];

/// The service under test, as the program holds it.
#[derive(Clone)]
enum Handle {
    Server(Server),
    Client(Client),
}

impl Handle {
    fn set_callback(&self, callback: impl Callback) {
        match self {
            Handle::Server(server) => server.set_callback(callback),
            Handle::Client(client) => client.set_callback(callback),
        }
    }

    fn replace_callback(&self, callback: impl Callback) {
        match self {
            Handle::Server(server) => server.replace_callback(callback),
            Handle::Client(client) => client.replace_callback(callback),
        }
    }

    fn start_again(&self) -> Result<(), Error> {
        match self {
            Handle::Server(server) => server.start(true),
            Handle::Client(client) => client.start("127.0.0.1", true),
        }
    }

    fn wait(&self) {
        match self {
            Handle::Server(server) => server.wait(),
            Handle::Client(client) => client.wait(),
        }
    }

    fn close(&self) {
        match self {
            Handle::Server(server) => server.close(),
            Handle::Client(client) => client.close(),
        }
    }
}

/// Makes one call, the first time that one callback is called.
struct Acting {
    within: Within,
    call: Call,
    handle: Arc<Mutex<Option<Handle>>>,
    acted: AtomicBool,
    done: Sender<()>,
}

impl Acting {
    fn reached(&self, within: Within, service: &dyn Service, connection: Option<&Connection>) {
        if within == self.within && !self.acted.swap(true, Ordering::SeqCst) {
            self.act(service, connection);
            self.done.send(()).unwrap();
        }
    }

    fn handle(&self) -> Handle {
        self.handle.lock().unwrap().clone().unwrap()
    }

    fn act(&self, service: &dyn Service, connection: Option<&Connection>) {
        let everyone = service.connections();
        let this = connection.or(everyone.first());
        match self.call {
            Call::Send => {
                if let Some(connection) = this {
                    let sent = connection.send(b"from a callback");
                    assert!(matches!(sent, Ok(()) | Err(Error::Disconnected)));
                }
            }
            Call::Ask => {
                if let Some(connection) = this {
                    // Where it is another connection, its peer says nothing, and ends it.
                    let called = connection.call(b"from a callback", |_| true, Duration::MAX);
                    assert!(matches!(called, Err(Error::WouldDeadlock | Error::Disconnected)), "{called:?}");
                }
            }
            Call::Broadcast => assert!(service.broadcast(b"from a callback").unwrap() <= 2),
            Call::Look => {
                assert!(service.num_connections() <= 2);
                assert!(service.port() > 0);
                assert!(service.local_addr().is_some());
                assert!(this.is_none_or(|connection| connection.peer_addr().is_some()));
            }
            Call::CloseConnection => this.into_iter().for_each(Connection::close),
            Call::AbortConnection => this.into_iter().for_each(Connection::abort),
            Call::CloseOthers => everyone.iter().filter(|other| Some(*other) != this).for_each(Connection::close),
            Call::SetCallback => self.handle().set_callback(()),
            Call::ReplaceCallback => self.handle().replace_callback(()),
            Call::CloseService => {
                service.close();
                service.close();
            }
            Call::CloseServiceOnAnotherThread => {
                // Waits for this callback, within the close time-out; the callback does not wait for it.
                let handle = self.handle();
                std::thread::spawn(move || handle.close());
            }
            Call::Wait => self.handle().wait(),
            Call::StartAgain => assert!(matches!(self.handle().start_again(), Err(Error::AlreadyStarted))),
            Call::StartAnother => {
                let server = Server::builder().port(0).build().unwrap();
                server.start(true).unwrap();
                let client = Client::builder().port(server.port()).build().unwrap();
                client.start("127.0.0.1", true).unwrap();
                client.send(b"from a callback").unwrap();
                client.close();
                server.close();
            }
            Call::DropLastHandle => {
                drop(self.handle.lock().unwrap().take());
                // Nobody else can end it any more.
                service.close();
            }
        }
    }
}

impl Callback for Acting {
    fn on_initialize(&self, service: &dyn Service) {
        self.reached(Within::Initialize, service, None);
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        self.reached(Within::Connect, service, Some(connection));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, _: &[u8]) {
        self.reached(Within::Receive, service, Some(connection));
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, _: &DisconnectReason) {
        self.reached(Within::Disconnect, service, Some(connection));
        assert!(self.within != Within::Fail, "so that on_fail is called");
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        assert!(matches!(error, Error::CallbackPanicked { callback: "on_disconnect", .. }));
        self.reached(Within::Fail, service, None);
    }
}

/// Sees the service under test through its callbacks up to the one that acts, and then out.
fn round(side: Side, within: Within, call: Call) {
    let (done, acted) = mpsc::channel();
    let handle = Arc::new(Mutex::new(None));
    let acting = Acting { within, call, handle: Arc::clone(&handle), acted: AtomicBool::new(false), done };
    let (server, clients) = match side {
        Side::Server => {
            let server = Server::builder().port(0).callback(acting).build().unwrap();
            // Held while the service starts, so that no callback looks for the handle before it is there.
            let mut slot = handle.lock().unwrap();
            server.start(true).unwrap();
            *slot = Some(Handle::Server(server.clone()));
            (server, [(); 2].map(|()| Client::builder()))
        }
        Side::Client => {
            let server = Server::builder().port(0).build().unwrap();
            server.start(true).unwrap();
            (server, [Client::builder().callback(acting), Client::builder()])
        }
    };
    // What acted may have closed the server already.
    let mut clients: Vec<Client> = clients
        .into_iter()
        .enumerate()
        .filter_map(|(number, builder)| {
            let client = builder.port(server.port()).build().unwrap();
            let mut slot = handle.lock().unwrap();
            let started = client.start("127.0.0.1", true);
            if side == Side::Client && number == 0 {
                *slot = Some(Handle::Client(client.clone()));
            }
            started.is_ok().then_some(client)
        })
        .collect();

    let mut server = Some(server);
    if call == Call::DropLastHandle {
        match side {
            Side::Server => drop(server.take()),
            Side::Client => drop(clients.drain(..1)),
        }
    }
    let peers = || -> Vec<Connection> {
        match side {
            Side::Server => clients.iter().filter_map(Client::connection).collect(),
            Side::Client => server.iter().flat_map(Server::connections).collect(),
        }
    };
    if matches!(within, Within::Receive | Within::Disconnect | Within::Fail) {
        until("the peers meet", || peers().len() == 2);
        for peer in peers() {
            match within {
                // Fails when what the first message has set off was quicker.
                Within::Receive => drop(peer.send(b"act")),
                _ => peer.close(),
            }
        }
    }
    acted.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{side:?} {within:?} {call:?}: not reached"));

    clients.iter().for_each(Client::close);
    server.iter().for_each(Server::close);
    clients.iter().for_each(Client::wait);
    server.iter().for_each(Server::wait);
}

fn run(side: Side, within: Within, rounds: usize) {
    expect_panics_in_callbacks();
    let mut slowest = (Duration::ZERO, CALLS[0]);
    for call in CALLS {
        for number in 0..rounds {
            let before = Instant::now();
            in_time(&format!("{side:?} {within:?} {call:?}, round {number}"), move || round(side, within, call));
            let time = before.elapsed();
            if time > slowest.0 {
                slowest = (time, call);
            }
        }
    }
    let (time, call) = slowest;
    let count = CALLS.len();
    println!("C2: deadlocks 0 of {count} cells x {rounds} in {side:?} {within:?}, slowest {call:?} {time:.1?}");
}

macro_rules! cells {
    ($($name:ident: $side:ident $within:ident,)*) => {
        $(
            #[test]
            fn $name() {
                run(Side::$side, Within::$within, ROUNDS);
            }
        )*

        #[test]
        #[ignore = "long: takes 2 minutes"]
        fn every_cell_a_hundred_times() {
            $(run(Side::$side, Within::$within, 100);)*
        }

        #[test]
        fn every_callback_of_both_sides_is_covered() {
            let covered = [$((Side::$side, Within::$within)),*];
            assert!(WITHIN.iter().all(|within| covered.contains(&(Side::Server, *within))));
            assert!(WITHIN.iter().all(|within| covered.contains(&(Side::Client, *within))));
        }
    };
}

cells! {
    server_on_initialize: Server Initialize,
    server_on_connect: Server Connect,
    server_on_receive: Server Receive,
    server_on_disconnect: Server Disconnect,
    server_on_fail: Server Fail,
    client_on_initialize: Client Initialize,
    client_on_connect: Client Connect,
    client_on_receive: Client Receive,
    client_on_disconnect: Client Disconnect,
    client_on_fail: Client Fail,
}
