//! A transport that takes bytes and holds them, as one that encrypts or compresses does: what it holds is handed on
//! without being asked for, and its end is the last of it.

mod support;

use std::io::{self, IoSlice};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use leads_comm::callback::Event;
use leads_comm::transport::memory;
use leads_comm::transport::tcp::TcpListener;
use leads_comm::transport::{Listener, Stream};
use leads_comm::{Closing, DisconnectReason, Error, Server, ServerBuilder, SlowConsumer};
use support::net::{Dial, tcp};
use support::*;

/// How much it takes at once.
const AT_ONCE: usize = 3000;

/// What it writes behind everything else.
const END: &[u8] = b"<end>";

/// Holds what it is given until it is asked to hand it on, and so it does with its own end.
struct Holding {
    stream: Box<dyn Stream>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    ended: bool,
}

impl Holding {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, held: Mutex::default() }
    }

    fn take(&self, buffers: &[IoSlice<'_>]) -> usize {
        let mut held = self.held.lock().unwrap();
        assert!(held.bytes.is_empty() && !held.ended, "a write while something is held, or behind the end");
        let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied());
        held.bytes.extend(bytes.take(AT_ONCE));
        held.bytes.len()
    }

    fn hand_on(&self, write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        while !held.bytes.is_empty() {
            let written = write(&[IoSlice::new(&held.bytes)])?;
            held.bytes.drain(..written);
        }
        Ok(())
    }
}

impl Stream for Holding {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.take(buffers))
    }

    fn flush(&self) -> io::Result<()> {
        self.hand_on(|bytes| self.stream.write_vectored(bytes))
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.take(buffers))
    }

    fn try_flush(&self) -> io::Result<()> {
        self.hand_on(|bytes| self.stream.try_write_vectored(bytes))
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write {
            let mut held = self.held.lock().unwrap();
            if !held.ended {
                held.ended = true;
                held.bytes.extend(END);
                // The first time it is always held, so that somebody has to come back for it.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            assert!(held.bytes.is_empty(), "ended before what is held was handed on");
        }
        self.stream.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.stream.abort()
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }
}

struct HoldingListener<L>(L);

impl<L: Listener> Listener for HoldingListener<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept()?.map(|stream| Box::new(Holding::new(stream)) as _))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.0.local_addr()
    }
}

/// A started server whose streams hold what they are given: of sockets that can be polled, or of streams that need a
/// writing thread.
fn start(polled: bool, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    let (callback, events) = recorder();
    let builder = Server::builder().callback(callback);
    let (builder, dial): (_, Box<dyn Dial>) = if polled {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        (builder.transport(HoldingListener(listener)), Box::new(tcp::Tcp))
    } else {
        let (listener, connector) = memory::listener();
        (builder.transport(HoldingListener(listener)), Box::new(connector))
    };
    let server = adapt(builder).build().unwrap();
    server.start(true).unwrap();
    Started { server, events, dial }
}

/// What was sent, the goodbye, and the end of the stream, which is no message.
fn assert_whole((bytes, end): (Vec<u8>, io::Result<()>), sent: usize, len: usize) {
    end.unwrap();
    let bytes = bytes.strip_suffix(END).expect("its end is the last thing it writes");
    let bytes = bytes.strip_suffix(b"disconnect;").unwrap();
    let messages: Vec<_> = bytes.strip_suffix(b";").unwrap_or(bytes).split(|byte| *byte == b';').collect();
    assert_eq!(messages.len(), sent);
    for (number, message) in messages.into_iter().enumerate() {
        assert!(message == numbered(number, len), "{number}: {}", message.escape_ascii());
    }
}

#[test]
fn everything_is_handed_on_before_the_end() {
    for polled in [true, false] {
        for (count, len) in [(1, 10), (500, 20), (300, 20_000)] {
            let started = start(polled, |builder| {
                builder
                    .max_queued_bytes(64 << 20)
                    .max_total_queued_bytes(64 << 20)
                    .closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE))
            });
            let raw = started.raw();
            let connection = connected(&started.events);
            for number in 0..count {
                connection.send(&numbered(number, len)).unwrap();
            }
            connection.close();
            assert_whole(raw.read_to_end(), count, len);
            let reason = disconnected(&started.events);
            assert!(matches!(reason, DisconnectReason::LocalClose { .. }), "{reason:?}");
            assert_eq!(reason.undelivered().unsent_messages, 0);
        }
    }
}

#[test]
fn a_flush_waits_for_what_is_held() {
    const LEN: usize = 2000;
    for polled in [true, false] {
        let started = start(polled, |builder| builder.max_queued_bytes(64 << 20).max_total_queued_bytes(64 << 20));
        let stalled = started.raw();
        let connection = connected(&started.events);
        let mut sent = 0;
        let left = loop {
            connection.send(&numbered(sent, LEN)).unwrap();
            sent += 1;
            if let Err(Error::NotFlushed { bytes }) = connection.flush(Duration::ZERO) {
                break bytes;
            }
        };
        assert!(left <= AT_ONCE, "{left}: more than one message waits");
        let (reading, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || reading.send(stalled.read_to_end()));
        connection.flush(PATIENCE).unwrap();
        connection.close();
        assert_whole(ended.recv_timeout(PATIENCE).unwrap(), sent, LEN);
    }
}

#[test]
fn what_is_dropped_is_dropped_whole_behind_what_is_held() {
    const LEN: usize = 1000;
    for polled in [true, false] {
        let started = start(polled, |builder| {
            let builder = builder.slow_consumer(SlowConsumer::DropOldest).max_sent_len(LEN).max_queued_bytes(20_000);
            builder.closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE)).stall_timeout(3 * PATIENCE)
        });
        let stalled = started.raw();
        let connection = connected(&started.events);
        let mut sent = 0;
        while connection.dropped_messages() < 500 {
            connection.send(&numbered(sent, LEN)).unwrap();
            sent += 1;
        }
        connection.close();
        let (bytes, _) = stalled.read_to_end();
        let bytes = bytes.strip_suffix(END).unwrap().strip_suffix(b";disconnect;").unwrap();
        let numbers: Vec<_> = bytes.split(|byte| *byte == b';').map(number_of).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next));
        assert_eq!(numbers.last(), Some(&(sent - 1)));
        let undelivered = disconnected(&started.events).undelivered();
        assert_eq!((numbers.len() + undelivered.dropped_messages, undelivered.unsent_messages), (sent, 0));
    }
}

#[test]
fn a_peer_that_takes_nothing_of_what_is_held_is_ended() {
    for polled in [true, false] {
        let deadline = Instant::now() + PATIENCE;
        let started = start(polled, |builder| builder.stall_timeout(Duration::from_millis(300)));
        let stalled = started.raw();
        let connection = connected(&started.events);
        // Until the stream holds what it cannot hand on, and nothing else waits; as often as there was room after all.
        let reason = loop {
            while connection.flush(Duration::ZERO).is_ok() && connection.send(&[b'x'; AT_ONCE - 1]).is_ok() {}
            if let Ok(Event::Disconnect { reason, .. }) = started.events.recv_timeout(Duration::from_millis(20)) {
                break reason;
            }
            assert!(Instant::now() < deadline, "it is not ended");
        };
        assert!(matches!(reason, DisconnectReason::SlowConsumer { .. }), "{reason:?}");
        drop(stalled);
    }
}
