//! C: what callbacks are told of each connection, however it ends.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::{Callback, Closing, Connection, ConnectionId, DisconnectReason, Server, Service};
use leads_comm_testing::seed::Random;
use leads_comm_testing::*;
use socket2::SockRef;

use crate::figures::Times;
use crate::in_two_lengths;

/// Keeps account of every connection: `on_connect` first, `on_disconnect` last, both once, all on one thread.
#[derive(Debug, Default)]
struct Witness {
    lives: Mutex<HashMap<ConnectionId, Life>>,
    doubles: AtomicUsize,
    /// Calls before `on_connect`, after `on_disconnect`, or on another thread.
    strays: AtomicUsize,
}

#[derive(Debug)]
struct Life {
    thread: ThreadId,
    over: bool,
}

impl Witness {
    fn missing(&self) -> usize {
        self.lives.lock().unwrap().values().filter(|life| !life.over).count()
    }

    fn doubles(&self) -> usize {
        self.doubles.load(Ordering::SeqCst)
    }

    fn strays(&self) -> usize {
        self.strays.load(Ordering::SeqCst)
    }

    fn count(&self) -> usize {
        self.lives.lock().unwrap().len()
    }

    fn is_in_order(&self, life: Option<&mut Life>) -> bool {
        let in_order = life.is_some_and(|life| !life.over && life.thread == thread::current().id());
        self.strays.fetch_add(usize::from(!in_order), Ordering::SeqCst);
        in_order
    }
}

impl Callback for Witness {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let life = Life { thread: thread::current().id(), over: false };
        if self.lives.lock().unwrap().insert(connection.id(), life).is_some() {
            self.doubles.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, _: &[u8]) {
        self.is_in_order(self.lives.lock().unwrap().get_mut(&connection.id()));
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, _: &DisconnectReason) {
        let mut lives = self.lives.lock().unwrap();
        let life = lives.get_mut(&connection.id());
        if life.as_ref().is_some_and(|life| life.over) {
            self.doubles.fetch_add(1, Ordering::SeqCst);
        } else if let Some(life) = life {
            self.is_in_order(Some(life));
            life.over = true;
        } else {
            self.is_in_order(None);
        }
    }
}

/// The far end of a connection; gone when it has been reset.
type Peer = Mutex<Option<TcpStream>>;

fn write(peer: &Peer, bytes: &[u8]) {
    if let Some(mut peer) = peer.lock().unwrap().as_ref() {
        // The server may have hung up.
        let _ = peer.write_all(bytes);
    }
}

fn reset(peer: &Peer) {
    if let Some(peer) = peer.lock().unwrap().take() {
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn end(peer: &Peer) {
    if let Some(peer) = peer.lock().unwrap().as_ref() {
        let _ = peer.shutdown(Shutdown::Write);
    }
}

const MAX_LEN: usize = 1000;

/// Ways in which a connection may end.
const CAUSES: [fn(&Peer, &Connection); 12] = [
    |peer, _| write(peer, b"disconnect;"),
    |peer, _| end(peer),
    |peer, _| {
        write(peer, b"unfinished");
        end(peer);
    },
    |peer, _| reset(peer),
    |peer, _| write(peer, &[b'x'; MAX_LEN + 100]),
    |peer, _| write(peer, b"panic;"),
    |peer, _| write(peer, b"close;more;"),
    |peer, _| write(peer, b"abort;more;"),
    |_, connection| connection.close(),
    |_, connection| connection.abort(),
    // The queue is full.
    |_, connection| while connection.send(&[b'x'; MAX_LEN]).is_ok() {},
    // Writing fails.
    |peer, connection| {
        reset(peer);
        while connection.send(b"x").is_ok() {}
    },
];

/// How many connections one server has in its life.
const PER_SERVER: usize = 50;

in_two_lengths! {
    /// Each connection is ended by one of the causes, by two of them at once, or by the server's close, which races
    /// with the last of them.
    fn c1_each_connection_is_told_of_once(count: 400, or 10_000: "long: takes half a minute") {
        expect_panics_in_callbacks();
        let mut random = Random::new(1);
        let (mut lived, mut missing, mut doubles, mut strays, mut races) = (0, 0, 0, 0, 0);
        for _ in 0..count.div_ceil(PER_SERVER) {
            let witness = Arc::new(Witness::default());
            let (events, connections) = mpsc::channel();
            let act = callback::on_receive(|connection, message| match message {
                b"panic" => panic!("as asked"),
                b"close" => connection.close(),
                b"abort" => connection.abort(),
                _ => {}
            });
            let act = act.on_connect(move |_, connection| events.send(connection.clone()).unwrap());
            let builder = Server::builder().port(0).max_received_len(MAX_LEN).max_sent_len(MAX_LEN);
            let builder = builder.max_queued_bytes(20_000);
            let closing = Closing::new().drain_timeout(Duration::from_millis(50)).close_timeout(PATIENCE);
            let builder = builder.closing(closing);
            let builder = builder.callback((Arc::clone(&witness), act));
            let server = builder.build().unwrap();
            server.start(true).unwrap();
            let mut peers = Vec::new();
            let mut ending = Vec::new();
            for number in 0..PER_SERVER {
                let peer = TcpStream::connect(server.local_addr().unwrap()).unwrap();
                SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
                let peer = Arc::new(Mutex::new(Some(peer)));
                let connection = connections.recv_timeout(PATIENCE).unwrap();
                // Some are left to the server's close.
                let causes = *random.pick(&[1, 1, 2, 0]);
                races += usize::from(causes == 2);
                let together = Arc::new(Barrier::new(causes));
                for _ in 0..causes {
                    let cause = *random.pick(&CAUSES);
                    let (peer, connection, together) = (Arc::clone(&peer), connection.clone(), Arc::clone(&together));
                    let act = move || {
                        together.wait();
                        cause(&peer, &connection);
                    };
                    if causes == 2 || number + 5 >= PER_SERVER {
                        ending.push(thread::spawn(act));
                    } else {
                        act();
                    }
                }
                peers.push(peer);
            }
            let server = in_time("close", move || {
                server.close();
                server
            });
            // What is not told by now is told by nobody.
            missing += witness.missing();
            ending.into_iter().for_each(|ending| in_time("the cause of an end", || ending.join().unwrap()));
            drop((peers, server));
            lived += witness.count();
            doubles += witness.doubles();
            strays += witness.strays();
        }
        println!("C1: missing {missing}, double {doubles}, late {strays} of {lived}, {races} of them ended twice at once");
        assert_eq!((lived, missing, doubles, strays), (count, 0, 0, 0));
    }

    /// Every callback panics again and again, also with a payload that panics when it is dropped; a bystander misses
    /// nothing.
    fn c3_panics_harm_nobody_else(count: 60, or 3_000: "long: takes some seconds") {
        expect_panics_in_callbacks();
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        fn panic_in(number: usize) {
            match number % 2 {
                0 => panic!("as asked"),
                _ => panic_any(Bomb),
            }
        }
        let witness = Arc::new(Witness::default());
        let (callback, events) = recorder();
        let bystander = Arc::new(Mutex::new(None::<Connection>));
        let is_bystander = {
            let bystander = Arc::clone(&bystander);
            move |connection: &Connection| bystander.lock().unwrap().get_or_insert_with(|| connection.clone()) == connection
        };
        let (receives, ends) = (is_bystander.clone(), is_bystander.clone());
        let connects = AtomicUsize::new(0);
        let disconnects = AtomicUsize::new(0);
        let faulty = callback::closures()
            .on_initialize(|_| panic_any(Bomb))
            .on_fail(|_, _| panic_any(Bomb))
            .on_connect(move |_, connection| {
                let number = connects.fetch_add(1, Ordering::SeqCst);
                if !is_bystander(connection) && number % 3 == 0 {
                    panic_in(number / 3);
                }
            })
            .on_receive(move |connection, message| {
                if !receives(connection) && message == b"panic" {
                    panic_in(message.len());
                }
            })
            .on_disconnect(move |_, connection, _| {
                if !ends(connection) {
                    panic_in(disconnects.fetch_add(1, Ordering::SeqCst));
                }
            });
        let started =
            Net::Tcp.start_server(|builder| builder.callback((Arc::clone(&witness), (callback, faulty))));
        let (client, _client_events) = started.start_client();
        connected(&events);
        let mut lost = 0;
        for number in 0..count {
            let raw = started.raw();
            let _ = raw.try_write(b"panic;");
            client.send(format!("{number}").as_bytes()).unwrap();
            let expected = format!("{number}").into_bytes();
            let heard = find(&events, |event| match event {
                Event::Receive { message, .. } if message != b"panic" => Some(message),
                _ => None,
            });
            lost += usize::from(heard != expected);
            if number % 2 == 0 {
                // Ended by its panic, and not by the end of its stream.
                drop(raw.read_to_end());
            }
        }
        // The last one may not even have been accepted yet.
        until("all victims have come", || started.server.stats().opened == count as u64 + 1);
        until("all victims are gone", || started.server.num_connections() == 1);
        assert_eq!(started.server.broadcast(b"still here").unwrap(), 1);
        client.close();
        started.server.close();
        let [missing, doubles, strays] = [witness.missing(), witness.doubles(), witness.strays()];
        println!(
            "C3: others' messages lost {lost} of {count}; on_disconnect missing {missing}, double {doubles}, late {strays} of {}",
            witness.count()
        );
        assert_eq!((lost, missing, doubles, strays, witness.count()), (0, 0, 0, 0, count + 1));
    }

    /// While fifty connections are asleep in `on_connect`.
    fn c5_accepting_waits_for_no_callback(count: 20, or 2_000: "long: takes some seconds") {
        const ASLEEP: usize = 50;
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let sleepers = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        let callback = callback::closures().on_connect({
            let (gate, sleepers) = (Arc::clone(&gate), Arc::clone(&sleepers));
            move |_, _| {
                if sleepers.fetch_add(1, Ordering::SeqCst) >= ASLEEP {
                    return tell.send(Instant::now()).unwrap();
                }
                let (open, changed) = &*gate;
                drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            }
        });
        let started = Net::Tcp.start_server(|builder| builder.callback(callback));
        let asleep: Vec<_> = (0..ASLEEP).map(|_| started.raw()).collect();
        until("fifty are asleep", || sleepers.load(Ordering::SeqCst) == ASLEEP);
        let mut times = Times::default();
        for _ in 0..count {
            let before = Instant::now();
            let raw = started.raw();
            times.add(told.recv_timeout(PATIENCE).unwrap() - before);
            drop(raw);
        }
        println!("C5: from connect to on_connect with {ASLEEP} asleep in theirs: {times}");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        drop(asleep);
    }

    /// Each newcomer broadcasts in its `on_connect`; each leaver is counted no more in its `on_disconnect`.
    fn c4_the_table_is_up_to_date_in_callbacks(count: 100, or 5_000: "long: takes some seconds") {
        const STAYING: usize = 3;
        let (tell, told) = mpsc::channel();
        let tell_end = tell.clone();
        let callback = callback::closures()
            .on_connect(move |service, connection| {
                let listed = service.connections().contains(connection);
                tell.send((listed, service.num_connections(), service.broadcast(b"welcome").unwrap())).unwrap();
            })
            .on_disconnect(move |service, connection, _| {
                let listed = service.connections().contains(connection);
                tell_end.send((listed, service.num_connections(), service.broadcast(b"farewell").unwrap())).unwrap();
            });
        let started = Net::Tcp.start_server(|builder| builder.callback(callback));
        let next = || told.recv_timeout(PATIENCE).unwrap();
        let mut staying = Vec::new();
        for number in 1..=STAYING {
            staying.push(started.raw().into_messages());
            assert_eq!(next(), (true, number, number));
        }
        let mut wrong = 0;
        for number in 0..count {
            let raw = started.raw();
            wrong += usize::from(next() != (true, STAYING + 1, STAYING + 1));
            wrong += usize::from(raw.read_exact(8) != b"welcome;");
            match number % 2 {
                0 => drop(raw),
                _ => raw.reset(),
            }
            wrong += usize::from(next() != (false, STAYING, STAYING));
        }
        println!("C4: wrong counts and welcomes missed {wrong} of {}", 3 * count);
        assert_eq!(wrong, 0);
        drop(staying);
    }
}
