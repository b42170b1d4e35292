//! Transports that a program brings: whatever they do, they harm their own connection only.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::transport::tcp::TcpListener;
use leads_comm::transport::{Listener, Stream, memory};
use leads_comm::{Client, DisconnectCause, Error, Server};
use leads_comm_testing::layer::{self, Below, How, Layer};
use leads_comm_testing::*;

/// In which of its methods a stream misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Read,
    ReadTooMuch,
    Write,
    WriteTooMuch,
    Shutdown,
    Abort,
    Peer,
    Drop,
    /// No fault, but an end of the stream is not the one that its protocol has.
    Truncate,
    /// No fault, but every write blocks.
    NoDirectWrite,
    /// No fault, but a name that no thread may have.
    NulInName,
}

struct Odd {
    fault: Fault,
}

impl Odd {
    fn at(&self, fault: Fault) {
        assert!(self.fault != fault, "as asked");
    }
}

impl Layer for Odd {
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        self.at(Fault::Read);
        let count = stream.read(buffer)?;
        if count == 0 && self.fault == Fault::Truncate {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(if self.fault == Fault::ReadTooMuch { buffer.len() + 1 } else { count })
    }

    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        self.at(Fault::Write);
        if how == How::Direct && self.fault == Fault::NoDirectWrite {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let written = how.write(stream, buffers)?;
        Ok(if self.fault == Fault::WriteTooMuch { written + 1 } else { written })
    }

    fn shutdown(&self, stream: &dyn Stream, how: Shutdown) -> io::Result<()> {
        // Done all the same, so that the peer notices.
        stream.shutdown(how)?;
        self.at(Fault::Shutdown);
        Ok(())
    }

    fn abort(&self, stream: &dyn Stream) -> io::Result<()> {
        stream.abort()?;
        self.at(Fault::Abort);
        Ok(())
    }

    fn peer(&self, stream: &dyn Stream) -> String {
        self.at(Fault::Peer);
        if self.fault == Fault::NulInName { "\0abstract".into() } else { stream.peer() }
    }

    fn dropped(&self, _: Below<'_>) {
        self.at(Fault::Drop);
    }
}

/// Gives each stream, in turn, one of the faults.
struct OddStreams {
    faults: Mutex<Vec<Fault>>,
}

impl Layer for OddStreams {
    fn of(&self, _: &dyn Stream) -> Option<Arc<dyn Layer>> {
        let fault = self.faults.lock().unwrap().pop().unwrap_or(Fault::None);
        Some(Arc::new(Odd { fault }))
    }
}

fn odd(listener: impl Listener, fault: Fault) -> impl Listener {
    layer::listener(listener, &Arc::new(OddStreams { faults: Mutex::new(vec![fault]) }))
}

#[test]
fn a_transport_that_panics_harms_its_own_connection_only() {
    expect_panics_in_callbacks();
    let faults = [
        Fault::Read,
        Fault::ReadTooMuch,
        Fault::Write,
        Fault::WriteTooMuch,
        Fault::Shutdown,
        Fault::Abort,
        Fault::Peer,
        Fault::Drop,
    ];
    for fault in faults {
        let (listener, connector) = memory::listener();
        let (callback, events) = recorder();
        let server = Server::builder().transport(odd(listener, fault)).callback(callback).build().unwrap();
        server.start(true).unwrap();
        let faulty = connector.open().unwrap();
        let connection = connected(&events);
        // Fails when the fault has been quicker.
        let _ = faulty.write_vectored(&[IoSlice::new(b"hello;")]);
        // On a thread of the service's kind, so that the provoked panics stay out of the output.
        in_callback_thread({
            let connection = connection.clone();
            move || {
                let _ = connection.send(b"hello");
                if fault == Fault::Abort {
                    connection.abort();
                }
                connection.close();
            }
        });
        drop(faulty);
        let reason = disconnected(&events);
        if matches!(fault, Fault::Read | Fault::ReadTooMuch) {
            assert!(matches!(reason.cause, DisconnectCause::Io { .. } | DisconnectCause::LocalClose), "{reason:?}");
        }

        let healthy = Client::builder().transport(connector).build().unwrap();
        healthy.start("", true).unwrap();
        healthy.send(b"still served").unwrap();
        while received(&events) != b"still served" {}
        healthy.close();
        let closing = server.clone();
        in_time("close", move || closing.close());
        assert!(server.wait_timeout(Duration::ZERO), "{fault:?}");
    }
}

fn in_callback_thread(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("leads-comm test".into()).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_peers_name_may_hold_what_a_threads_name_may_not() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder().transport(odd(listener, Fault::NulInName)).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let _peer = connector.open().unwrap();
    assert_eq!(connected(&events).to_string(), "\\u{0}abstract");
    server.close();
}

#[test]
fn a_stream_that_is_cut_off_ends_its_connection_for_that() {
    let (listener, connector) = memory::listener();
    let (callback, events) = recorder();
    let server = Server::builder().transport(odd(listener, Fault::Truncate)).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let peer = Raw::of(Box::new(connector.open().unwrap()));
    peer.write(b"whole;unfinished");
    drop(peer);
    assert_eq!(received(&events), b"whole");
    let reason = disconnected(&events);
    assert!(matches!(reason.cause, DisconnectCause::Truncated), "{reason:?}");
    assert_eq!(reason.to_string(), "the stream was cut off, 10 bytes of an unfinished message discarded");
    server.close();
}

/// A stream made of the library's own, that passes on everything but the non-blocking write.
#[test]
fn giving_up_on_a_peer_wakes_a_write_that_is_blocked() {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = odd(listener, Fault::NoDirectWrite);
    let (callback, events) = recorder();
    let server = Server::builder().transport(listener).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let stalled = StdStream::connect(address).unwrap();
    let connection = connected(&events);
    while connection.send(&[b'x'; 100_000]).is_ok() {}
    assert!(matches!(disconnected(&events).cause, DisconnectCause::SlowConsumer { .. }));
    drop(stalled);
    server.close();
}

#[test]
fn a_server_closed_before_its_start_gives_up_what_it_was_to_listen_on() {
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::builder().listener(socket).build().unwrap();
    assert_eq!(server.port(), address.port());
    server.close();
    assert_eq!(StdStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    StdListener::bind(address).unwrap();

    let (listener, connector) = memory::listener();
    let server = Server::builder().transport(listener).build().unwrap();
    server.close();
    assert_eq!(connector.open().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn whoever_waits_for_a_start_that_fails_goes_on() {
    let (entered, connecting) = mpsc::channel();
    let (fail, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let client = Client::builder()
        .transport(move |_: &str| -> io::Result<Box<dyn Stream>> {
            entered.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
            Err(io::ErrorKind::HostUnreachable.into())
        })
        .build()
        .unwrap();
    let starting = thread::spawn({
        let client = client.clone();
        move || client.start("nowhere", true)
    });
    connecting.recv_timeout(PATIENCE).unwrap();
    let waiting = thread::spawn({
        let client = client.clone();
        move || client.wait()
    });
    assert!(!client.wait_timeout(Duration::from_millis(20)));
    drop(fail);
    let error = in_time("start", || starting.join().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Connect { address, .. } if address == "nowhere"), "{error:?}");
    in_time("wait", || waiting.join().unwrap());
}

#[test]
fn an_unfinished_message_is_counted_only_when_the_peer_ended_the_stream() {
    let started = Net::Memory.start_server(|builder| builder);
    let raw = started.raw();
    let connection = connected(&started.events);
    raw.write(b"heard;unfinished");
    assert_eq!(received(&started.events), b"heard");
    connection.close();
    drop(raw);
    let reason = disconnected(&started.events);
    assert!(matches!(reason.cause, DisconnectCause::LocalClose), "{reason:?}");
    assert_eq!(reason.undelivered.unfinished_bytes, 0);
}

/// Callbacks hold no server, and need none for this.
#[test]
fn a_callback_relays_to_all_others() {
    struct Relay;
    impl leads_comm::Callback for Relay {
        fn on_receive(&self, service: &dyn leads_comm::Service, sender: &leads_comm::Connection, message: &[u8]) {
            let told = service.broadcast_where(message, &mut |peer| peer != sender).unwrap();
            assert_eq!(told, 1);
        }
    }
    let (callback, events) = callback::channel(100);
    let started = Net::Memory.start_server(|builder| builder.callback((callback, Relay)));
    let (one, one_events) = started.start_client();
    connected(&events);
    let (_two, two_events) = started.start_client();
    connected(&events);
    one.send(b"news").unwrap();
    assert_eq!(received(&two_events), b"news");
    assert!(one_events.try_iter().all(|event| !matches!(event, Event::Receive { .. })));
}
