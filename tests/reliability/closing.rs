//! X1 to X4: `close`, in whatever state a service is, from however many threads, and what comes after it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{
    Callback, Client, CloseOnDrop, Closing, Connection, DisconnectCause, DisconnectReason, Server, ServerBuilder,
    Service, callback,
};
use leads_comm_testing::silent::Silent;
use leads_comm_testing::*;
use socket2::SockRef;

use crate::figures::Times;
use crate::in_two_lengths;

/// The time-outs of the services that are closed here.
const STEP: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_millis(200);

/// An address of this machine on which no other program listens, so that a port that is given up is nobody else's next.
const OWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 0, 1));

/// Threads and descriptors of this process; the latter on Linux only, where they can be counted.
fn threads_and_descriptors() -> (usize, usize) {
    #[cfg(target_os = "linux")]
    return leftovers::threads_and_descriptors();
    #[cfg(not(target_os = "linux"))]
    return (threads::count(), 0);
}

fn hasty(builder: ServerBuilder) -> ServerBuilder {
    builder.closing(Closing::new().flush_timeout(STEP).drain_timeout(STEP).close_timeout(LIMIT))
}

/// How long closing takes, which has an end in any case.
fn time_to_close(service: impl Service + 'static) -> Duration {
    in_time("close", move || {
        let before = Instant::now();
        service.close();
        before.elapsed()
    })
}

/// Callbacks that sleep in `on_connect` until they are woken.
#[derive(Default)]
struct Bed {
    is_day: Mutex<bool>,
    dawn: Condvar,
    asleep: AtomicUsize,
}

impl Bed {
    fn sleep(&self) {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        drop(self.dawn.wait_while(self.is_day.lock().unwrap(), |is_day| !*is_day).unwrap());
    }

    fn wake(&self) {
        *self.is_day.lock().unwrap() = true;
        self.dawn.notify_all();
    }
}

/// Closes its service whenever it is told anything.
struct Closer;

impl Callback for Closer {
    fn on_receive(&self, service: &dyn Service, _: &Connection, _: &[u8]) {
        service.close();
    }

    fn on_disconnect(&self, service: &dyn Service, _: &Connection, _: &DisconnectReason) {
        service.close();
    }
}

fn report(state: &str, times: &Times) {
    println!("X1: {state}: {times}; limit {LIMIT:?}");
}

in_two_lengths! {
    fn x1_close_is_bounded_in_every_state(count: 1, or 50: "long: takes 2 minutes") {
        const PEERS: usize = 16;
        let mut times = Times::default();
        for _ in 0..count {
            let started = Net::Tcp.start_server(hasty);
            times.add(time_to_close(started.server.clone()));
        }
        report("nobody connected", &times);

        let mut times = Times::default();
        for _ in 0..count {
            let started = Net::Tcp.start_server(hasty);
            let clients: Vec<_> = (0..PEERS).map(|_| started.start_client()).collect();
            clients.iter().for_each(|_| drop(connected(&started.events)));
            times.add(time_to_close(started.server.clone()));
        }
        report("16 peers that answer", &times);

        // As many as the descriptors suffice for, of which each peer takes two here.
        let many = if count > 1 { 1_000 } else { 100 };
        let mut times = Times::default();
        for _ in 0..count {
            let started = Net::Tcp.start_server(hasty);
            let raws: Vec<_> = (0..many).map(|_| started.raw()).collect();
            raws.iter().for_each(|_| drop(connected(&started.events)));
            times.add(time_to_close(started.server.clone()));
        }
        report(&format!("{many} idle peers that do not answer"), &times);

        let mut times = Times::default();
        for _ in 0..count {
            let started = Net::Tcp.start_server(hasty);
            let raws: Vec<_> = (0..PEERS).map(|_| started.raw()).collect();
            let connections: Vec<_> = raws.iter().map(|_| connected(&started.events)).collect();
            for connection in &connections {
                while connection.queued_bytes() < 100_000 {
                    connection.send(&[b'x'; 100_000]).unwrap();
                }
            }
            times.add(time_to_close(started.server.clone()));
        }
        report("16 peers that do not read", &times);

        let mut times = Times::default();
        for _ in 0..count {
            let bed = Arc::new(Bed::default());
            let sleeper = Arc::clone(&bed);
            let callback = callback::closures().on_connect(move |_, _| sleeper.sleep());
            let started = Net::Tcp.start_server(|builder| hasty(builder).callback(callback));
            let raws: Vec<_> = (0..PEERS).map(|_| started.raw()).collect();
            until("all are asleep", || bed.asleep.load(Ordering::SeqCst) == PEERS);
            times.add(time_to_close(started.server.clone()));
            bed.wake();
            drop(raws);
        }
        report("16 callbacks asleep", &times);

        let mut times = Times::default();
        for _ in 0..count {
            let silent = Silent::new();
            let client = Client::builder().port(silent.addr().port()).connect_timeout(PATIENCE).build().unwrap();
            let starting = thread::spawn({
                let client = client.clone();
                move || client.start("127.0.0.1", true)
            });
            // Nothing tells that the system has begun to connect; closing before is a case too.
            thread::sleep(Duration::from_millis(5));
            times.add(time_to_close(client));
            drop(starting);
        }
        report("a client that is connecting", &times);
    }

    /// While others connect, send and leave all the time.
    fn x2_nothing_is_left_after_close(count: 15, or 1_000: "long: takes a minute") {
        alone!();
        let before = threads_and_descriptors();
        let (mut accepted, mut called, mut taken, mut connects) = (0, 0, 0, 0);
        let mut port = 0;
        for _ in 0..count {
            let is_closed = Arc::new(AtomicBool::new(false));
            let late = Arc::new(AtomicUsize::new(0));
            let calls = Arc::new(AtomicUsize::new(0));
            let note = {
                let (is_closed, late, calls) = (Arc::clone(&is_closed), Arc::clone(&late), Arc::clone(&calls));
                move || {
                    calls.fetch_add(1, Ordering::SeqCst);
                    late.fetch_add(usize::from(is_closed.load(Ordering::SeqCst)), Ordering::SeqCst);
                }
            };
            let (on_connect, on_receive, on_disconnect) = (note.clone(), note.clone(), note);
            let callback = callback::on_receive(move |_, _| on_receive())
                .on_connect(move |_, connection| {
                    on_connect();
                    let _ = connection.send(b"hello");
                })
                .on_disconnect(move |_, _, _| on_disconnect());
            let server = Server::builder().bind(OWN_ADDRESS).port(port).closing(Closing::new().close_timeout(PATIENCE)).callback(callback).build().unwrap();
            // The port of the round before: it is free, unless another program has been faster.
            if server.start(true).is_err() {
                taken += 1;
                port = 0;
                continue;
            }
            port = server.port();
            let address = server.local_addr().unwrap();
            thread::scope(|scope| {
                let connecting: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut accepted = 0;
                            for number in 0.. {
                                let was_closed = is_closed.load(Ordering::SeqCst);
                                match TcpStream::connect(address) {
                                    // A socket that was given the port that it calls has called itself.
                                    Ok(peer) if was_closed && peer.local_addr().unwrap() != address => accepted += 1,
                                    Ok(mut peer) => {
                                        let _ = peer.write_all(b"hello;");
                                        // Every other one waits for an answer: else the backlog is full of callers who
                                        // are gone, where accepting is slower than calling.
                                        if number % 2 == 0 {
                                            peer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                                            let _ = peer.read(&mut [0]);
                                        }
                                        // By a reset, which does not keep the port for a minute.
                                        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                                    }
                                    Err(_) => {}
                                }
                                if was_closed {
                                    break;
                                }
                            }
                            accepted
                        })
                    })
                    .collect();
                until("somebody has come", || calls.load(Ordering::SeqCst) > 3);
                server.close();
                is_closed.store(true, Ordering::SeqCst);
                accepted += connecting.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
            });
            connects += calls.load(Ordering::SeqCst);
            drop(server);
            called += late.load(Ordering::SeqCst);
        }
        // Threads that have been counted out may still be on their way out of the system's lists.
        let deadline = Instant::now() + PATIENCE;
        while threads_and_descriptors() != before && Instant::now() < deadline {
            thread::yield_now();
        }
        let after = threads_and_descriptors();
        let (threads, descriptors) = (after.0 as isize - before.0 as isize, after.1 as isize - before.1 as isize);
        assert_eq!((accepted, called, taken, threads, descriptors), (0, 0, 0, 0, 0));
        assert!(connects > 0);
        println!(
            "X2: accepted after close {accepted}, callbacks after it {called}, port not free {taken}, threads left {threads}, \
             descriptors left {} after {count} rounds with {connects} callbacks",
            if cfg!(target_os = "linux") { descriptors.to_string() } else { "not counted".into() }
        );
    }

    /// Eight threads at once, each twice or by a guard, and callbacks of every connection besides.
    fn x3_close_from_everywhere(count: 30, or 1_000: "long: takes half a minute") {
        const THREADS: usize = 8;
        const CLIENTS: usize = 4;
        let mut panics = 0;
        for _ in 0..count {
            let (recorder, events) = recorder();
            let started = Net::Tcp.start_server(|builder| builder.callback((Closer, recorder)));
            let clients: Vec<_> = (0..CLIENTS).map(|_| started.start_client_with(())).collect();
            clients.iter().for_each(|_| drop(connected(&events)));
            let together = Arc::new(Barrier::new(THREADS + 1));
            let closing: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (server, together) = (started.server.clone(), Arc::clone(&together));
                    thread::spawn(move || {
                        together.wait();
                        match number % 2 {
                            0 => server.close(),
                            _ => drop(CloseOnDrop::new(server.clone())),
                        }
                        assert_eq!(server.num_connections(), 0);
                        server.close();
                        assert!(server.wait_timeout(Duration::ZERO));
                    })
                })
                .collect();
            together.wait();
            // Refused when the end was faster.
            clients.iter().for_each(|client| drop(client.send(b"close")));
            for closing in closing {
                panics += usize::from(in_time("close", || closing.join()).is_err());
            }
            for _ in 0..CLIENTS {
                let reason = disconnected(&events);
                panics += usize::from(matches!(reason.cause, DisconnectCause::CallbackPanicked { .. }));
            }
            assert!(events.is_empty(), "something came after the end");
            clients.into_iter().for_each(|client| in_time("a client's close", move || client.close()));
        }
        println!("X3: hangs 0, panics {panics} of {count} rounds with {THREADS} threads and {CLIENTS} callbacks");
        assert_eq!(panics, 0);
    }

    /// Twenty callers, some of them in the backlog and some in the middle of being accepted.
    ///
    /// Linux itself forgets a caller now and then whose handshake ends in the very moment in which the listening socket
    /// is closed, without a word to it: three of 55,856 when a bare socket was closed in this way.
    fn x4_callers_do_not_hang(count: 4, or 500: "long: takes half a minute") {
        const CALLERS: usize = 20;
        let (mut hanging, mut forgotten, mut callers, mut late) = (0, 0, 0, 0);
        for round in 0..count {
            let is_closed = Arc::new(AtomicBool::new(false));
            let told_late = Arc::new(AtomicUsize::new(0));
            let accepted = Arc::new(Mutex::new(Vec::new()));
            let bed = Arc::new(Bed::default());
            let callback = callback::closures()
                .on_initialize({
                    let bed = Arc::clone(&bed);
                    // In every other round nobody is accepted before the close.
                    move |_| if round % 2 == 1 { bed.sleep() }
                })
                .on_connect({
                    let (is_closed, told_late) = (Arc::clone(&is_closed), Arc::clone(&told_late));
                    let accepted = Arc::clone(&accepted);
                    move |_, connection| {
                        told_late.fetch_add(usize::from(is_closed.load(Ordering::SeqCst)), Ordering::SeqCst);
                        accepted.lock().unwrap().push(connection.peer_addr().unwrap());
                    }
                });
            let started = Net::Tcp.start_server(|builder| hasty(builder).bind(OWN_ADDRESS).callback(callback));
            let address = started.addr();
            let together = Arc::new(Barrier::new(CALLERS + 1));
            let calling: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let together = Arc::clone(&together);
                    thread::spawn(move || {
                        together.wait();
                        // Refused when it comes too late.
                        let mut peer = TcpStream::connect(address).ok()?;
                        let local = peer.local_addr().unwrap();
                        peer.set_read_timeout(Some(PATIENCE)).unwrap();
                        let end = peer.read_to_end(&mut Vec::new());
                        let hangs =
                            end.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                        Some((local, hangs))
                    })
                })
                .collect();
            together.wait();
            if round % 2 == 1 {
                until("the accepting thread is held", || bed.asleep.load(Ordering::SeqCst) == 1);
            }
            time_to_close(started.server.clone());
            // Those whose `on_connect` had been held up by the system may be told still, but nobody new.
            is_closed.store(started.server.wait_timeout(Duration::ZERO), Ordering::SeqCst);
            bed.wake();
            for caller in calling {
                let Some((caller, hangs)) = caller.join().unwrap() else { continue };
                callers += 1;
                let is_accepted = accepted.lock().unwrap().contains(&caller);
                hanging += usize::from(hangs && is_accepted);
                forgotten += usize::from(hangs && !is_accepted);
            }
            started.server.wait();
            late += told_late.load(Ordering::SeqCst);
        }
        println!("X4: hanging callers {hanging}, forgotten by the system {forgotten} of {callers}, on_connect after close {late}");
        assert_eq!((hanging, late), (0, 0));
        assert!(forgotten <= 1 + callers / 200, "{forgotten} of {callers} were neither accepted nor sent away");
        assert!(callers > 0);
    }
}
