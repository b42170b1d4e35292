//! The end of a connection under the model checker: the reader as it is, and whoever else ends the connection meanwhile.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::panic;
use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::Link;
use crate::callback::Callback;
use crate::codec::GOODBYE;
use crate::config::{Settings, later};
use crate::connection::Connection;
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::error::Error;
use crate::model::explore;
use crate::pump::Pumped;
use crate::reader;
use crate::service::{Core, Service};
use crate::sync::{Condvar, Mutex, now};
use crate::transport::Stream;

/// A peer, and what becomes of the stream to it.
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What the peer sends, read by read.
    chunks: VecDeque<&'static [u8]>,
    written: Vec<u8>,
    /// Whether writing fails.
    broken: bool,
    /// Whether the writing half is ended, upon which the peer ends its own.
    ended: bool,
    /// Whether it is shut down altogether.
    shut: bool,
}

/// What the callback is told, and what it checks of it.
struct Witness {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    connected: usize,
    messages: Vec<Vec<u8>>,
    reasons: Vec<DisconnectReason>,
    failures: usize,
}

/// One connection with its reader's thread.
struct Model {
    core: Arc<Core>,
    connection: Connection,
    wire: Arc<Wire>,
    witness: Arc<Witness>,
    reader: JoinHandle<()>,
}

impl Model {
    /// The peer sends `chunks` and waits; with a broken stream nothing can be written to it.
    fn new(chunks: &[&'static [u8]], broken: bool) -> Self {
        let state =
            State { chunks: chunks.iter().copied().collect(), written: Vec::new(), broken, ended: false, shut: false };
        let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
        let witness = Arc::new(Witness { told: Mutex::new(Told::default()) });
        let core = Core::new("model", 0, None, Arc::new(()), Settings::default());
        let (connection, stream) = core.open(Box::new(Arc::clone(&wire))).expect("the service is open");
        let reader = thread::spawn({
            let (core, connection, witness) = (Arc::clone(&core), connection.clone(), Arc::clone(&witness));
            move || reader::run(&core, &connection, &*witness, stream)
        });
        Self { core, connection, wire, witness, reader }
    }

    fn spawn<T: 'static>(&self, work: impl FnOnce(&Connection) -> T + 'static) -> JoinHandle<T> {
        let connection = self.connection.clone();
        thread::spawn(move || work(&connection))
    }

    /// Checks what must hold when the reader is done, whoever ended the connection; `causes` are the reasons there can be.
    fn settle(self, causes: &[&str]) -> Settled {
        self.reader.join().expect("no model goes on after a panic");
        let told = std::mem::take(&mut *self.witness.told.lock());
        assert_eq!(told.connected, 1);
        assert_eq!(told.reasons.len(), 1, "on_disconnect, not just once: {:?}", told.reasons);
        let reason = cause(&told.reasons[0]);
        assert!(causes.contains(&reason), "ended for {reason}");
        assert_eq!(self.connection.disconnect_reason().map(cause), Some(reason));
        assert_eq!(self.core.num_connections(), 0);
        assert!(self.connection.link().outbox().is_over(), "somebody still writes");
        assert!(matches!(self.connection.send(b"late"), Err(Error::Disconnected)));
        let state = self.wire.state.lock();
        let goodbyes = state.written.split(|byte| *byte == b';').filter(|message| *message == GOODBYE).count();
        assert!(goodbyes <= 1, "goodbye, {goodbyes} times");
        Settled { reason, told, written: state.written.clone() }
    }
}

/// What has become of a connection.
struct Settled {
    reason: &'static str,
    told: Told,
    written: Vec<u8>,
}

fn cause(reason: &DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::PeerGoodbye { .. } => "goodbye",
        DisconnectReason::PeerClosed { .. } => "end of stream",
        DisconnectReason::LocalClose { .. } => "close",
        DisconnectReason::LocalAbort { .. } => "abort",
        DisconnectReason::CallbackPanicked { .. } => "panic",
        DisconnectReason::Io { .. } => "failure",
        _ => "another",
    }
}

fn local_close() -> DisconnectReason {
    DisconnectReason::LocalClose { undelivered: Undelivered::default() }
}

/// The deadline of whatever is under way, long past.
fn ring(connection: &Connection) {
    let link: &Link = connection.link();
    let _ = link.check_deadlines(later(now(), std::time::Duration::from_secs(3600)));
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("no model goes on after a panic")
}

/// The peer's goodbye, and a close on this side.
#[test]
fn goodbye_and_close() {
    explore("goodbye_and_close", 3, || {
        let model = Model::new(&[b"m;", b"disconnect;"], false);
        let closer = model.spawn(|connection| connection.link().end(local_close()));
        let first = join(closer);
        let settled = model.settle(&["goodbye", "close"]);
        assert_eq!(first, settled.reason == "close", "the first cause is not the reason");
        assert_eq!(settled.written, b"disconnect;");
        assert!(first || settled.told.messages == [b"m"]);
    });
}

/// Two threads that close: one is first, and says so.
#[test]
fn close_and_close() {
    explore("close_and_close", 3, || {
        let model = Model::new(&[], false);
        let closers = [0, 1].map(|_| model.spawn(|connection| connection.link().end(local_close())));
        let first = closers.map(join);
        assert!(first[0] != first[1], "{first:?}");
        assert_eq!(model.settle(&["close"]).written, b"disconnect;");
    });
}

/// The peer's goodbye, and a message that cannot be written: the goodbye explains it, if it had come.
#[test]
fn goodbye_and_failure() {
    explore("goodbye_and_failure", 3, || {
        let model = Model::new(&[b"m;", b"disconnect;"], true);
        let sender = model.spawn(|connection| connection.send(b"x").is_ok());
        join(sender);
        let settled = model.settle(&["goodbye", "failure"]);
        assert_eq!(settled.written, b"");
    });
}

/// A callback that panics, and a close: nothing is delivered behind the panic, and it is told in one place.
#[test]
fn panic_and_close() {
    explore("panic_and_close", 3, || {
        let model = Model::new(&[b"p;", b"m;"], false);
        let closer = model.spawn(|connection| connection.link().end(local_close()));
        let first = join(closer);
        let settled = model.settle(&["panic", "close"]);
        assert_eq!(first, settled.reason == "close", "the first cause is not the reason");
        let panics = settled.told.messages.len();
        assert!(settled.told.messages.iter().all(|message| message == b"p"), "delivered behind a panic");
        assert_eq!(
            settled.told.failures + usize::from(settled.reason == "panic"),
            panics,
            "a panic told twice, or never"
        );
        assert_eq!(settled.written, b"disconnect;");
    });
}

/// A callback that panics, and a message that cannot be written.
#[test]
fn panic_and_failure() {
    explore("panic_and_failure", 3, || {
        let model = Model::new(&[b"p;", b"m;"], true);
        let sender = model.spawn(|connection| connection.send(b"x").is_ok());
        join(sender);
        let settled = model.settle(&["panic", "failure"]);
        assert!(settled.told.messages.iter().all(|message| message == b"p"), "delivered behind a panic");
        assert_eq!(settled.told.failures + usize::from(settled.reason == "panic"), settled.told.messages.len());
    });
}

/// All at once: the peer's goodbye, a close, and a message that cannot be written.
#[test]
fn goodbye_close_and_failure() {
    explore("goodbye_close_and_failure", 2, || {
        let model = Model::new(&[b"disconnect;"], true);
        let sender = model.spawn(|connection| connection.send(b"x").is_ok());
        let closer = model.spawn(|connection| connection.link().end(local_close()));
        join(sender);
        let first = join(closer);
        let settled = model.settle(&["goodbye", "close", "failure"]);
        assert_eq!(first, settled.reason == "close", "the first cause is not the reason");
        assert_eq!(settled.written, b"");
    });
}

/// A callback that panics, a close, and a deadline that has passed.
#[test]
fn panic_close_and_deadline() {
    explore("panic_close_and_deadline", 2, || {
        let model = Model::new(&[b"p;"], false);
        let closer = model.spawn(|connection| connection.link().end(local_close()));
        let pump = model.spawn(ring);
        let first = join(closer);
        join(pump);
        let settled = model.settle(&["panic", "close"]);
        assert_eq!(first, settled.reason == "close", "the first cause is not the reason");
    });
}

/// A close that is cut short.
#[test]
fn close_and_abort() {
    explore("close_and_abort", 2, || {
        let model = Model::new(&[b"m;"], false);
        let closer = model.spawn(|connection| connection.link().end(local_close()));
        let aborter = model.spawn(Connection::abort);
        let first = join(closer);
        join(aborter);
        let settled = model.settle(&["close", "abort"]);
        assert_eq!(first, settled.reason == "close", "the first cause is not the reason");
    });
}

impl Stream for Arc<Wire> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        loop {
            if state.shut {
                return Ok(0);
            }
            if let Some(chunk) = state.chunks.pop_front() {
                buffer[..chunk.len()].copy_from_slice(chunk);
                return Ok(chunk.len());
            }
            if state.ended {
                return Ok(0);
            }
            self.changed.wait(&mut state);
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.broken || state.ended || state.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = state.written.len();
        buffers.iter().for_each(|buffer| state.written.extend_from_slice(buffer));
        Ok(state.written.len() - before)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.state.lock();
        state.ended |= how != Shutdown::Read;
        state.shut |= how == Shutdown::Both;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn peer(&self) -> String {
        "wire".to_owned()
    }
}

impl Callback for Witness {
    fn on_connect(&self, service: &dyn Service, _: &Connection) {
        assert_eq!(service.num_connections(), 1);
        self.told.lock().connected += 1;
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        let mut told = self.told.lock();
        assert!(told.connected == 1 && told.reasons.is_empty(), "not between on_connect and on_disconnect");
        told.messages.push(message.to_vec());
        drop(told);
        if message == b"p" {
            // Without a report, of which there would be thousands.
            panic::resume_unwind(Box::new("told to"));
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        assert_eq!(service.num_connections(), 0, "still in the table");
        assert!(connection.link().outbox().is_over(), "something may still be written");
        self.told.lock().reasons.push(reason.clone());
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        assert!(matches!(error, Error::CallbackPanicked { callback: "on_receive", .. }), "{error}");
        self.told.lock().failures += 1;
    }
}
