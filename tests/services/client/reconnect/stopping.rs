//! Clients that are closed while they wait, connect, or tell of it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;

use leads_comm::transport::{Connector, Stream};
use leads_comm::{Closing, Error};

use super::*;

#[test]
fn closing_does_not_wait_for_a_delay() {
    let (server, _) = serve(0);
    let (client, events) = start(Client::builder().port(server.port()).reconnect(never()));
    server.close();
    assert_eq!(next_attempt(&events).number, 1);
    let closing = client.clone();
    in_time("closing", move || closing.close());
    assert!(client.wait_timeout(Duration::ZERO));
    assert!(events.iter().next().is_none(), "nothing is told after the end");
}

#[test]
fn a_start_that_waits_on_its_own_thread_returns_when_the_client_is_closed() {
    let (callback, events) = recorder();
    let reconnect = never().at_start(true);
    let client = Client::builder().port(free_port()).reconnect(reconnect).callback(callback).build().unwrap();
    let starting = client.clone();
    let start = thread::spawn(move || starting.start("127.0.0.1", false));
    next_attempt(&events);
    client.close();
    in_time("the start", || start.join().unwrap()).unwrap();
}

#[test]
fn closing_in_on_reconnect_makes_it_the_last() {
    let (server, _) = serve(0);
    let (recording, events) = recorder();
    let closing = callback::closures().on_reconnect(|service, _| service.close());
    let both = (closing, recording);
    let client = Client::builder().port(server.port()).reconnect(never()).callback(both).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    server.close();
    assert!(client.wait_timeout(PATIENCE));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Reconnect { .. })).count(), 1);
}

#[test]
fn closing_while_on_reconnect_runs_waits_for_it_and_no_longer() {
    let (server, _) = serve(0);
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let holding = callback::closures().on_reconnect(move |_, _| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    });
    let reconnect = quick().keep_bytes(1000);
    let builder =
        Client::builder().port(server.port()).closing(Closing::new().close_timeout(PATIENCE)).reconnect(reconnect);
    let client = builder.callback(holding).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    server.close();
    inside.recv_timeout(PATIENCE).unwrap();
    let closing = client.clone();
    let (closed, told) = mpsc::channel();
    thread::spawn(move || {
        closing.close();
        closed.send(()).unwrap();
    });
    until("the close has begun", || matches!(client.send(b"m"), Err(Error::NotConnected)));
    assert!(told.try_recv().is_err(), "it does not wait for the callback");
    release.send(()).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert!(client.wait_timeout(PATIENCE));
    assert!(inside.try_recv().is_err(), "there was another attempt");
}

#[test]
fn closing_in_on_disconnect_makes_that_connection_the_last() {
    let (server, _) = serve(0);
    let (recording, events) = recorder();
    let closing = callback::closures().on_disconnect(|service, _, _| service.close());
    let both = (closing, recording);
    let client = Client::builder().port(server.port()).reconnect(quick()).callback(both).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    server.close();
    assert!(client.wait_timeout(PATIENCE));
    assert!(events.iter().all(|event| !matches!(event, Event::Reconnect { .. })));
}

/// Whether a connect is under way, only Linux tells.
#[cfg(target_os = "linux")]
mod connects {
    use std::net::SocketAddr;
    use std::time::Instant;

    use leads_comm_testing::silent::Silent;

    use super::*;

    /// Longer than any test waits, so that only being stopped ends a connect in time.
    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn closing_stops_a_connect_under_way() {
        const ROUNDS: usize = 10;
        let silent = Silent::new();
        let port = silent.addr().port();
        let mut longest = [Duration::ZERO; 2];
        for round in 0..2 * ROUNDS {
            let again = round >= ROUNDS;
            // At the start, and when it connects again after a connection.
            let (builder, server) = if again {
                let (server, _) = serve(0);
                (through(server.local_addr().unwrap(), silent.addr()), Some(server))
            } else {
                (Client::builder().port(port).connect_timeout(NEVER), None)
            };
            let (callback, events) = recorder();
            let client = builder.reconnect(quick()).callback(callback).build().unwrap();
            let starting = client.clone();
            let start = thread::spawn(move || starting.start("127.0.0.1", true));
            if let Some(server) = server {
                connected(&events);
                server.close();
            }
            until("a connect is under way", || silent.has_caller());
            let closing = client.clone();
            let took = in_time("closing", move || {
                let began = Instant::now();
                closing.close();
                began.elapsed()
            });
            let outcome = in_time("the start", move || {
                let outcome = start.join().unwrap();
                (outcome, Instant::now())
            });
            match outcome.0 {
                Ok(()) => assert!(again),
                Err(error) => assert!(!again && matches!(error, Error::Closed), "{error:?}"),
            }
            assert!(client.wait_timeout(Duration::ZERO));
            // Closed by whoever was connecting, which at the start is not waited for.
            until("the system has given up the connect", || !silent.has_caller());
            assert!(events.iter().all(|event| !matches!(event, Event::Fail { .. })), "a stop is no failure");
            longest[usize::from(again)] = longest[usize::from(again)].max(took);
        }
        println!(
            "L6: first packets dropped: close returned within {:?} at the start, {:?} when connecting again, \
             {ROUNDS} times each",
            longest[0], longest[1]
        );
    }

    /// A client that connects to the one address first, and to the other from then on.
    fn through(first: SocketAddr, then: SocketAddr) -> ClientBuilder {
        struct Through {
            first: Mutex<Option<SocketAddr>>,
            then: SocketAddr,
            tcp: leads_comm::transport::tcp::TcpConnector,
        }
        impl Connector for Through {
            fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
                let address = self.first.lock().unwrap().take().unwrap_or(self.then);
                self.tcp.connect(&address.to_string())
            }

            fn stop(&self) {
                self.tcp.stop();
            }
        }
        let tcp = leads_comm::transport::tcp::TcpConnector::new(0, NEVER);
        Client::builder().transport(Through { first: Mutex::new(Some(first)), then, tcp })
    }
}

/// A connector that opens nothing, and returns only when it is let go.
#[derive(Default)]
struct Stuck {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Stuck {
    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, go)| !*go).unwrap());
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn wait_until_called(&self) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |(calls, _)| *calls == 0).unwrap();
        assert!(!waited.1.timed_out(), "nobody connects");
    }

    fn let_go(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_connector_of_ones_own_is_told_to_stop() {
    struct Stoppable(Arc<Stuck>);
    impl Connector for Stoppable {
        fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
            self.0.connect()
        }

        fn stop(&self) {
            self.0.let_go();
        }
    }
    let stuck = Arc::new(Stuck::default());
    let client = Client::builder().transport(Stoppable(Arc::clone(&stuck))).build().unwrap();
    let starting = client.clone();
    let start = thread::spawn(move || starting.start("anywhere", true));
    stuck.wait_until_called();
    client.close();
    assert!(matches!(in_time("the start", || start.join().unwrap()), Err(Error::Closed)));
}

#[test]
fn a_connector_that_cannot_be_stopped_holds_closing_up_for_the_close_time_out_only() {
    let stuck = Arc::new(Stuck::default());
    let tries = Mutex::new(0);
    let connector = {
        let stuck = Arc::clone(&stuck);
        move |_: &str| {
            *tries.lock().unwrap() += 1;
            if *tries.lock().unwrap() == 1 { Err(io::ErrorKind::ConnectionRefused.into()) } else { stuck.connect() }
        }
    };
    let (client, events) = start(
        Client::builder()
            .transport(connector)
            .closing(Closing::new().flush_timeout(Duration::from_millis(50)).close_timeout(Duration::from_millis(100)))
            .reconnect(quick().at_start(true)),
    );
    stuck.wait_until_called();
    let closing = client.clone();
    in_time("closing", move || closing.close());
    assert!(!client.wait_timeout(Duration::ZERO), "its thread cannot have ended");
    stuck.let_go();
    assert!(client.wait_timeout(PATIENCE));
    // The failure of the start only.
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Fail { .. })).count(), 1);
}

#[test]
fn closing_from_everywhere_at_once_while_connections_come_and_go() {
    for round in 0..30 {
        let started = Net::Memory.start_server(|builder| builder);
        let (client, _events) = start(started.client().reconnect(quick()));
        let aborting = client.clone();
        let chaos = thread::spawn(move || {
            while !aborting.wait_timeout(Duration::ZERO) {
                aborting.connections().iter().for_each(Connection::abort);
                thread::yield_now();
            }
        });
        for _ in 0..round % 4 {
            connected(&started.events);
        }
        let closers: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || client.close())
            })
            .collect();
        in_time("closing", move || closers.into_iter().for_each(|closer| closer.join().unwrap()));
        in_time("the end", move || chaos.join().unwrap());
        assert_eq!(client.num_connections(), 0);
    }
}
