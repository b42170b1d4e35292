//! A transport that takes bytes and holds them, as one that encrypts or compresses does: what it holds is handed on
//! without being asked for, and its end is the last of it.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leads_comm::callback::Event;
use leads_comm::transport::tcp::TcpListener;
use leads_comm::transport::{Stream, memory};
use leads_comm::{Closing, DisconnectCause, Error, MemoryLimits, Server, ServerBuilder, SlowConsumer, Timeouts};
use leads_comm_testing::layer::{self, How, Layer};
use leads_comm_testing::net::{Dial, tcp};
use leads_comm_testing::*;

/// How much it takes at once.
const AT_ONCE: usize = 3000;

/// What it writes behind everything else.
const END: &[u8] = b"<end>";

/// Holds what it is given until it is asked to hand it on, and so it does with its own end.
#[derive(Default)]
struct Holding {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    ended: bool,
}

impl Layer for Holding {
    fn write(&self, _: &dyn Stream, buffers: &[IoSlice<'_>], _: How) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap();
        assert!(held.bytes.is_empty() && !held.ended, "a write while something is held, or behind the end");
        let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied());
        held.bytes.extend(bytes.take(AT_ONCE));
        Ok(held.bytes.len())
    }

    fn flush(&self, stream: &dyn Stream, how: How) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        while !held.bytes.is_empty() {
            let written = how.write(stream, &[IoSlice::new(&held.bytes)])?;
            held.bytes.drain(..written);
        }
        Ok(())
    }

    fn shutdown(&self, stream: &dyn Stream, how: Shutdown) -> io::Result<()> {
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
        stream.shutdown(how)
    }
}

/// Has each stream hold what it is given.
struct HoldingStreams;

impl Layer for HoldingStreams {
    fn of(&self, _: &dyn Stream) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Holding::default()))
    }
}

/// A started server whose streams hold what they are given: of sockets that can be polled, or of streams that need a
/// writing thread.
fn start(polled: bool, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    let (callback, events) = recorder();
    let builder = Server::builder().callback(callback);
    let (builder, dial): (_, Box<dyn Dial>) = if polled {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        (builder.transport(layer::listener(listener, &Arc::new(HoldingStreams))), Box::new(tcp::Tcp))
    } else {
        let (listener, connector) = memory::listener();
        (builder.transport(layer::listener(listener, &Arc::new(HoldingStreams))), Box::new(connector))
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
                    .memory_limits(MemoryLimits::new().max_total_queued_bytes(64 << 20))
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
            assert!(matches!(reason.cause, DisconnectCause::LocalClose), "{reason:?}");
            assert_eq!(reason.undelivered.unsent.messages, 0);
        }
    }
}

#[test]
fn a_flush_waits_for_what_is_held() {
    const LEN: usize = 2000;
    for polled in [true, false] {
        let started = start(polled, |builder| {
            builder.max_queued_bytes(64 << 20).memory_limits(MemoryLimits::new().max_total_queued_bytes(64 << 20))
        });
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
            builder
                .closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE))
                .timeouts(unhurried(3 * PATIENCE))
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
        let undelivered = disconnected(&started.events).undelivered;
        let dropped = undelivered.dropped.messages as usize;
        assert_eq!((numbers.len() + dropped, undelivered.unsent.messages), (sent, 0));
    }
}

#[test]
fn a_peer_that_takes_nothing_of_what_is_held_is_ended() {
    for polled in [true, false] {
        let deadline = Instant::now() + PATIENCE;
        let started =
            start(polled, |builder| builder.timeouts(Timeouts::new().stall_timeout(Duration::from_millis(300))));
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
        assert!(matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason:?}");
        drop(stalled);
    }
}
