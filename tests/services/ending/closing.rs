//! Closing: everything accepted is delivered, every call returns, and nothing happens afterwards.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::{self, Receiver};
use leads_comm::transport::Stream;
use leads_comm::{Client, CloseOnDrop, Closing, DisconnectCause, Error, Server};
use leads_comm_testing::*;

/// A server that tells who comes and goes, and nothing of what is sent.
fn start_server_under_flood(net: Net) -> (Started, Receiver<Event>) {
    let (tell, events) = crossbeam_channel::unbounded();
    let tell_of_end = tell.clone();
    let callback = callback::closures()
        .on_connect(move |_, connection| {
            let _ = tell.send(Event::Connect { connection: connection.clone() });
        })
        .on_disconnect(move |_, connection, reason| {
            let _ = tell_of_end.send(Event::Disconnect { connection: connection.clone(), reason: reason.clone() });
        });
    // A peer on a busy machine takes its time to come to the end. Over a line without an end it sends on for as long as
    // a close may take.
    let closing = if net.has_half_close() {
        Closing::new().flush_timeout(PATIENCE).drain_timeout(PATIENCE).close_timeout(PATIENCE)
    } else {
        Closing::new()
    };
    (net.start_server(|builder| builder.callback(callback).closing(closing)), events)
}

/// What a peer reads that is sending all the time: everything, without a reset.
fn read_while_flooding(raw: Raw) -> (Vec<u8>, io::Result<()>) {
    let raw = Arc::new(raw);
    let enough = Arc::new(AtomicBool::new(false));
    let flooding = thread::spawn({
        let (raw, enough) = (Arc::clone(&raw), Arc::clone(&enough));
        move || while !enough.load(Ordering::Relaxed) && raw.try_write(&[b';'; 4096]).is_ok() {}
    });
    let result = in_time("reading", move || {
        let mut bytes = Vec::new();
        let mut chunk = [0; 1500];
        let end = loop {
            match raw.stream.read(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(error) => break Err(error),
            }
        };
        enough.store(true, Ordering::Relaxed);
        (bytes, end)
    });
    in_time("flooding", || flooding.join().unwrap());
    result
}

fn assert_complete((bytes, end): (Vec<u8>, io::Result<()>), messages: usize) {
    end.expect("the stream ends without a reset");
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == b';').collect();
    assert_eq!(parts.len(), messages + 2, "messages, goodbye, and nothing behind it");
    assert!(parts[..messages].iter().all(|message| message.len() == 16 * 1024));
    assert_eq!(parts[messages..], [&b"disconnect"[..], b""]);
}

over_every_transport! {
    fn a_closed_connection_delivers_everything_to_a_peer_that_is_sending(net: Net) {
        let (started, events) = start_server_under_flood(net);
        let raw = started.raw();
        let connection = connected(&events);
        let reading = thread::spawn(move || read_while_flooding(raw));
        for _ in 0..100 {
            connection.send(&[b'x'; 16 * 1024]).unwrap();
        }
        connection.close();
        assert_complete(reading.join().unwrap(), 100);
        let reason = disconnected(&events);
        assert!(matches!(reason.cause, DisconnectCause::LocalClose), "{reason:?}");
        assert_eq!(reason.undelivered.unsent.messages, 0);
    }

    fn a_closed_server_delivers_everything_to_every_peer_that_is_sending(net: Net) {
        let (started, events) = start_server_under_flood(net);
        let reading: Vec<_> = (0..4)
            .map(|_| {
                let raw = started.raw();
                connected(&events);
                thread::spawn(move || read_while_flooding(raw))
            })
            .collect();
        for _ in 0..50 {
            assert_eq!(started.server.broadcast(&[b'x'; 16 * 1024]).unwrap(), 4);
        }
        started.server.close();
        for reading in reading {
            assert_complete(reading.join().unwrap(), 50);
        }
    }

    fn a_closed_client_delivers_everything(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, _events) = started.start_client();
        for number in 0..1000 {
            client.send(&vec![b'0' + (number % 10) as u8; number]).unwrap();
        }
        client.close();
        for number in 0..1000 {
            assert_eq!(received(&started.events), vec![b'0' + (number % 10) as u8; number]);
        }
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::PeerGoodbye));
    }

    fn eight_threads_close_at_once_and_again(net: Net) {
        for _ in 0..20 {
            let started = net.start_server(|builder| builder);
            let raws: Vec<_> = (0..4).map(|_| started.raw()).collect();
            for _ in &raws {
                connected(&started.events);
            }
            let all = Arc::new(Barrier::new(8));
            let closing: Vec<_> = (0..8)
                .map(|_| {
                    let (server, all) = (started.server.clone(), Arc::clone(&all));
                    thread::spawn(move || {
                        all.wait();
                        server.close();
                        assert_eq!(server.num_connections(), 0);
                        server.close();
                    })
                })
                .collect();
            for raw in raws {
                assert_eq!(raw.read_to_end().0, b"disconnect;");
            }
            for closing in closing {
                in_time("close", || closing.join().unwrap());
            }
            for _ in 0..4 {
                disconnected(&started.events);
            }
            assert!(started.events.try_recv().is_err(), "something came after the end");
        }
    }

    fn peers_that_ignore_the_goodbye_are_cut_off(net: Net) {
        let started = net.start_server(|builder| {
            let closing = Closing::new().drain_timeout(Duration::from_millis(100));
            builder.closing(closing)
        });
        let raws: Vec<_> = (0..8).map(|_| started.raw()).collect();
        for _ in &raws {
            connected(&started.events);
        }
        let server = started.server.clone();
        in_time("close", move || server.close());
        for _ in &raws {
            assert!(matches!(disconnected(&started.events).cause, DisconnectCause::ServiceClosed));
        }
    }

    fn peers_that_read_nothing_are_cut_off_and_what_they_miss_is_counted(net: Net) {
        let started = net.start_server(|builder| {
            builder.max_queued_bytes(64 * 1024 * 1024).closing(Closing::new().flush_timeout(Duration::from_millis(200)))
        });
        let raw = started.raw();
        let connection = connected(&started.events);
        for _ in 0..200 {
            connection.send(&[b'x'; 100_000]).unwrap();
        }
        let server = started.server.clone();
        in_time("close", move || server.close());
        let reason = disconnected(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::ServiceClosed), "{reason:?}");
        let undelivered = reason.undelivered;
        assert!((1..=200).contains(&undelivered.unsent.messages), "{undelivered:?}");
        assert!(undelivered.unsent.bytes <= undelivered.unsent.messages * 100_001);
        assert!(undelivered.unsent.bytes > (undelivered.unsent.messages - 1) * 100_001);
        drop(raw);
    }

    fn a_sleeping_callback_does_not_hold_up_close_and_is_told_of_the_end_later(net: Net) {
        let (entered, asleep) = mpsc::channel();
        let (wake, woken) = mpsc::channel::<()>();
        let woken = Mutex::new(woken);
        let (callback, events) = recorder();
        let started = net.start_server(|builder| {
            let sleep = callback::on_receive(move |_, _| {
                entered.send(()).unwrap();
                let _ = woken.lock().unwrap().recv();
            });
            let closing = Closing::new().flush_timeout(Duration::from_millis(100)).close_timeout(Duration::from_millis(200));
            let builder = builder.closing(closing);
            builder.callback((sleep, callback))
        });
        let raw = started.raw();
        raw.write(b"sleep;");
        asleep.recv_timeout(PATIENCE).unwrap();
        let server = started.server.clone();
        in_time("close", move || server.close());
        assert!(events.try_iter().all(|event| !matches!(event, Event::Disconnect { .. })));
        drop(wake);
        assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
        drop(raw);
    }

    fn nothing_is_called_after_close(net: Net) {
        for _ in 0..20 {
            let closed = Arc::new(AtomicBool::new(false));
            let late = Arc::new(AtomicBool::new(false));
            let tell = {
                let (closed, late) = (Arc::clone(&closed), Arc::clone(&late));
                move || {
                    late.fetch_or(closed.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            };
            let (connect, receive, disconnect) = (tell.clone(), tell.clone(), tell);
            let started = net.start_server(|builder| {
                builder.callback(
                    callback::on_receive(move |_, _| receive())
                        .on_connect(move |_, _| connect())
                        .on_disconnect(move |_, _, _| disconnect()),
                )
            });
            let stop = Arc::new(AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !stop.load(Ordering::SeqCst) {
                            let client = started.client().build().unwrap();
                            if client.start(started.address(), true).is_err() {
                                break;
                            }
                            let _ = client.send(b"hello");
                            client.close();
                        }
                    });
                }
                until("somebody is there", || started.server.num_connections() > 0);
                started.server.close();
                closed.store(true, Ordering::SeqCst);
                assert_eq!(started.server.num_connections(), 0);
                stop.store(true, Ordering::SeqCst);
            });
            assert!(!late.load(Ordering::SeqCst));
        }
    }

    fn waiting_ends_with_the_service(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, _events) = started.start_client();
        assert!(!client.wait_timeout(Duration::ZERO));
        assert!(!started.server.wait_timeout(Duration::from_millis(1)));
        let waiting = thread::spawn({
            let (client, server) = (client.clone(), started.server.clone());
            move || {
                client.wait();
                server.wait();
            }
        });
        started.server.close();
        in_time("wait", || waiting.join().unwrap());
        assert!(client.wait_timeout(Duration::ZERO));
        assert!(started.server.wait_timeout(Duration::ZERO));
    }

    fn a_guard_closes_at_the_end_of_its_scope(net: Net) {
        let (builder, dial) = net.server();
        let (callback, events) = recorder();
        let server = builder.callback(callback).build().unwrap();
        let guard = CloseOnDrop::new(server.clone());
        guard.start(true).unwrap();
        let client = CloseOnDrop::new(dial.client(&server).build().unwrap());
        client.start(dial.address(), true).unwrap();
        client.send(b"hello").unwrap();
        drop(client);
        assert_eq!(received(&events), b"hello");
        assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
        drop(guard);
        assert!(server.wait_timeout(Duration::ZERO));
    }
}

#[test]
fn a_client_that_connects_after_close_is_refused() {
    let started = Net::Tcp.start_server(|builder| builder);
    let address = started.addr();
    started.server.close();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let client = started.client().build().unwrap();
    let error = client.start("127.0.0.1", true).unwrap_err();
    assert!(
        matches!(&error, Error::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
}

/// Callers whom the system has taken in, but the server not yet, are sent away at once.
#[test]
fn callers_in_the_backlog_are_sent_away() {
    let (entered, busy) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let (callback, events) = recorder();
    let started = Net::Tcp.start_server(|builder| {
        let hold = callback::closures().on_initialize(move |_| {
            entered.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        });
        let builder =
            builder.closing(Closing::new().flush_timeout(Duration::ZERO).close_timeout(Duration::from_millis(100)));
        builder.callback((hold, callback))
    });
    busy.recv_timeout(PATIENCE).unwrap();
    let raws: Vec<_> = (0..5).map(|_| started.raw()).collect();
    // Returns although the accepting thread is held.
    let server = started.server.clone();
    in_time("close", move || server.close());
    drop(go_on);
    for raw in raws {
        let (bytes, _end_or_reset) = raw.read_to_end();
        assert!(bytes.is_empty() || bytes == b"disconnect;");
    }
    assert!(events.try_iter().all(|event| matches!(event, Event::Initialize { .. })));
}

#[test]
fn closing_a_client_that_is_connecting_returns_at_once_and_its_start_fails() {
    let (entered, connecting) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let (_listener, connector) = leads_comm::transport::memory::listener();
    let client = Client::builder()
        .transport(move |_: &str| {
            entered.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
            Ok(Box::new(connector.open()?) as Box<dyn Stream>)
        })
        .build()
        .unwrap();
    let starting = thread::spawn({
        let client = client.clone();
        move || client.start("anywhere", true)
    });
    connecting.recv_timeout(PATIENCE).unwrap();
    in_time("close", {
        let client = client.clone();
        move || client.close()
    });
    drop(go_on);
    assert!(matches!(in_time("start", || starting.join().unwrap()), Err(Error::Closed)));
    client.wait();
}

#[test]
fn the_port_is_free_once_close_has_returned() {
    let port = free_port();
    for _ in 0..50 {
        let server = Server::builder().port(port).build().unwrap();
        server.start(true).unwrap();
        let raw = TcpStream::connect(("127.0.0.1", port)).unwrap();
        server.close();
        raw.shutdown(Shutdown::Both).ok();
    }
}
