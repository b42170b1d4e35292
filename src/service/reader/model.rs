//! The life of a connection under the model checker: its real reader, and everything that may end it at the same time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex as PlainMutex};

use loom::thread;

use super::Opened;
use crate::connection::Connection;
use crate::connection::pump::{Deadline, Watched};
use crate::error::{DisconnectCause, DisconnectReason, Error};
use crate::service::callback::{Callback, Chain};
use crate::service::{Core, Role, Service};
use crate::settings::Settings;
use crate::sync::explore::explore;
use crate::sync::{Condvar, Mutex, user_code};
use crate::transport::Stream;

/// What else happens while the reader lives.
type Actor = fn(&Life);

/// A service with one connection.
struct Life {
    core: Arc<Core>,
    connection: Connection,
    peer: Arc<Peer>,
    /// How many messages were accepted from senders.
    accepted: PlainMutex<usize>,
    /// How often a close was the first cause.
    closed_first: PlainMutex<usize>,
    told: Arc<Told>,
}

/// The far end: a script of what it sends, and a memory of what it was sent.
struct Peer {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What is still to be read here, piece by piece.
    sends: VecDeque<&'static [u8]>,
    /// Whether it ends its half then; otherwise it does when the other half has ended.
    leaves: bool,
    /// Whether it never ends its half.
    silent: bool,
    /// How many more writes work.
    writes: usize,
    sent: Vec<u8>,
    shut: bool,
    cut: bool,
    /// Whether a write has failed.
    broken: bool,
    /// What the reader is told when a write has been told of a reset.
    resets: Option<Read>,
    /// Whether the reader is done.
    over: bool,
}

/// What the callback was told, in order.
#[derive(Default)]
struct Told(PlainMutex<Vec<Event>>);

#[derive(Debug, Clone)]
enum Event {
    Connect,
    Receive,
    Panic,
    Disconnect(DisconnectReason),
    Fail,
}

/// What the peer does in a model.
#[derive(Clone, Copy)]
struct Script {
    sends: &'static [&'static [u8]],
    leaves: bool,
    silent: bool,
    writes: usize,
    resets: Option<Read>,
}

type Read = fn() -> io::Result<usize>;

const POLITE: Script = Script { sends: &[], leaves: false, silent: false, writes: usize::MAX, resets: None };

impl Life {
    fn new(script: Script) -> (Arc<Self>, Opened) {
        let told = Arc::<Told>::default();
        let callback = Chain::of(Arc::clone(&told));
        let core = Core::new(Role::Client { keep_bytes: None }, 1, callback, Settings::default());
        core.lifecycle().begin_start(false).expect("it is new");
        core.lifecycle().run("model".to_owned(), None, None, None).expect("nobody closes yet");
        let peer = Arc::new(Peer {
            state: Mutex::new(State {
                sends: script.sends.iter().copied().collect(),
                leaves: script.leaves,
                silent: script.silent,
                writes: script.writes,
                sent: Vec::new(),
                shut: false,
                cut: false,
                broken: false,
                resets: script.resets,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let delivery = core.settings().delivery.clone();
        let opened = Opened::new(&core, core.next_id(), Arc::new(Arc::clone(&peer)), delivery, Vec::new(), None)
            .expect("nobody closes yet");
        let life = Self {
            core,
            connection: opened.connection().clone(),
            peer,
            accepted: PlainMutex::default(),
            closed_first: PlainMutex::default(),
            told,
        };
        (Arc::new(life), opened)
    }

    /// Lives through all of it, and checks what was told.
    fn run(script: Script, actors: &[Actor]) -> DisconnectReason {
        let (life, opened) = Self::new(script);
        let actors: Vec<_> = actors
            .iter()
            .map(|actor| {
                let (life, actor) = (Arc::clone(&life), *actor);
                thread::spawn(move || actor(&life))
            })
            .collect();
        opened.read();
        life.peer.state.lock().over = true;
        let end = life.told.0.lock().unwrap().len();
        actors.into_iter().for_each(|actor| actor.join().expect("no model goes on after a panic"));
        life.settle(end)
    }

    fn settle(&self, end: usize) -> DisconnectReason {
        let told = self.told.0.lock().unwrap();
        assert_eq!(told.len(), end, "told of something after the end");
        let callbacks: Vec<_> = told.iter().filter(|event| !matches!(event, Event::Fail)).collect();
        let [Event::Connect, between @ .., Event::Disconnect(reason)] = &callbacks[..] else {
            panic!("not from connect to disconnect: {callbacks:?}")
        };
        assert!(
            between.iter().all(|event| matches!(event, Event::Receive | Event::Panic)),
            "told twice: {callbacks:?}"
        );
        let kept = self.connection.disconnect_reason().expect("the connection has ended");
        assert_eq!(kept.to_string(), reason.to_string(), "two reasons for one end");
        // That the client is not let in explains a close as well.
        if !matches!(reason.cause, DisconnectCause::NotLetIn) {
            let by_close = usize::from(matches!(reason.cause, DisconnectCause::LocalClose));
            assert_eq!(*self.closed_first.lock().unwrap(), by_close, "the first cause is not the reason");
        }
        let panics = told.iter().filter(|event| matches!(event, Event::Panic)).count();
        assert!(panics <= 1, "delivered behind a panic");
        let told_of = told.iter().filter(|event| matches!(event, Event::Fail)).count()
            + usize::from(matches!(reason.cause, DisconnectCause::CallbackPanicked { .. }));
        assert_eq!(told_of, panics, "a panic is told twice, or not at all");
        self.settle_account(reason);
        reason.clone()
    }

    /// What was accepted was sent or is reported, and nothing follows the goodbye.
    fn settle_account(&self, reason: &DisconnectReason) {
        let peer = self.peer.state.lock();
        let mut sent: Vec<_> = peer.sent.split(|byte| *byte == b';').collect();
        let torn = sent.pop().is_some_and(|rest| !rest.is_empty());
        assert!(!torn, "a message was sent in part over a stream that takes whole ones");
        let goodbyes = sent.iter().filter(|message| **message == b"disconnect").count();
        assert!(goodbyes <= 1, "said goodbye twice");
        assert!(goodbyes == 0 || sent.last() == Some(&&b"disconnect"[..]), "sent behind the goodbye");
        assert!(goodbyes == 0 || peer.shut || peer.cut, "said goodbye, and left the stream open");
        assert!(goodbyes == 1 || peer.cut || peer.broken, "a regular end without a goodbye");
        let accepted = *self.accepted.lock().unwrap();
        let unsent = reason.undelivered.unsent.messages as usize;
        // What was written is thrown away by a server that refuses.
        let arrived = if matches!(reason.cause, DisconnectCause::NotLetIn) { 0 } else { sent.len() - goodbyes };
        assert_eq!(arrived + unsent, accepted, "lost silently");
    }

    fn send(&self) {
        match self.connection.send(b"m1") {
            Ok(()) => *self.accepted.lock().unwrap() += 1,
            Err(Error::Disconnected) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn close(&self) {
        let is_first = self.connection.link().close(DisconnectCause::LocalClose);
        *self.closed_first.lock().unwrap() += usize::from(is_first);
    }

    fn abort(&self) {
        self.connection.abort();
    }

    /// As a callback would, which does not wait.
    fn close_service(&self) {
        user_code::call(|| self.core.close()).expect("nothing in it panics");
    }

    /// Every deadline is over, whichever there is.
    fn run_out_of_time(&self) {
        let now = self.core.settings().close_deadline()
            + self.core.settings().timeouts.stall_timeout_under(self.core.settings().delivery.slow_consumer);
        self.connection.link().check_deadline(Deadline::Sending, now);
    }
}

impl Callback for Told {
    fn on_connect(&self, _: &dyn Service, _: &Connection) {
        self.0.lock().unwrap().push(Event::Connect);
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        let panics = message == b"panic";
        self.0.lock().unwrap().push(if panics { Event::Panic } else { Event::Receive });
        if panics {
            // Without the report that a panic prints.
            resume_unwind(Box::new("as told"));
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        assert!(connection.link().outbox().is_over(), "told of its end, and something may still be written");
        assert_eq!(service.num_connections(), 0, "told of its end, and still in the table");
        self.0.lock().unwrap().push(Event::Disconnect(reason.clone()));
    }

    fn on_fail(&self, _: &dyn Service, _: &Error) {
        self.0.lock().unwrap().push(Event::Fail);
    }
}

impl Stream for Arc<Peer> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        loop {
            // What has arrived can be read also after the end.
            if let Some(bytes) = state.sends.pop_front() {
                buffer[..bytes.len()].copy_from_slice(bytes);
                return Ok(bytes.len());
            }
            if let (true, Some(resets)) = (state.broken, state.resets) {
                return resets();
            }
            if state.cut || state.leaves || state.shut && !state.silent {
                return Ok(0);
            }
            self.changed.wait(&mut state);
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        assert!(!state.shut, "a write after the writing half has been shut");
        assert!(!state.over, "a write after the end was told");
        if state.cut || state.writes == 0 {
            state.broken = true;
            self.changed.notify_all();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.writes -= 1;
        buffers.iter().for_each(|buffer| state.sent.extend_from_slice(buffer));
        Ok(buffers.iter().map(|buffer| buffer.len()).sum())
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.state.lock();
        state.shut = true;
        state.cut |= how == Shutdown::Both;
        self.changed.notify_all();
        Ok(())
    }

    fn abort(&self) -> io::Result<()> {
        self.state.lock().cut = true;
        self.changed.notify_all();
        Ok(())
    }

    fn peer(&self) -> String {
        "peer".to_owned()
    }
}

/// Runs one life in every order; each reason it may end with has to be `allowed`, and each of those has to occur.
fn explore_life(
    name: &'static str,
    preemptions: impl Into<Option<usize>>,
    script: Script,
    actors: &'static [Actor],
    expected: &'static [&'static str],
) {
    let seen = Arc::new(PlainMutex::new(vec![0_usize; expected.len()]));
    explore(name, preemptions, {
        let seen = Arc::clone(&seen);
        move || {
            let reason = Life::run(script, actors);
            let kind = format!("{:?}", reason.kind());
            let place = expected.iter().position(|expected| *expected == kind);
            seen.lock().unwrap()[place.unwrap_or_else(|| panic!("ended with {reason:?}"))] += 1;
        }
    });
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|count| *count > 0), "not every end has occurred: {expected:?} {seen:?}");
}

const GOODBYE: Script = Script { sends: &[b"disconnect;"], ..POLITE };
/// The peer says goodbye, and messages before it make the callback panic.
const PANIC: Script = Script { sends: &[b"panic;", b"panic;disconnect;"], ..POLITE };
/// The first write fails.
const BROKEN: Script = Script { writes: 0, ..GOODBYE };

#[test]
fn goodbye_and_close() {
    explore_life("goodbye_and_close", 4, GOODBYE, &[Life::close], &["PeerGoodbye", "LocalClose"]);
}

#[test]
fn goodbye_and_close_and_sender() {
    let actors: &[Actor] = &[Life::close, Life::send];
    explore_life("goodbye_and_close_and_sender", 3, GOODBYE, actors, &["PeerGoodbye", "LocalClose"]);
}

/// Whatever is done here meanwhile, what the server says explains the end.
#[test]
fn refusal_and_close_and_sender() {
    let script = Script { sends: &[b"disconnect;", b";"], ..POLITE };
    explore_life("refusal_and_close_and_sender", 3, script, &[Life::close, Life::send], &["NotLetIn"]);
}

/// The failed write is explained by the goodbye that had been sent before.
#[test]
fn goodbye_and_failure() {
    explore_life("goodbye_and_failure", 4, BROKEN, &[Life::send], &["PeerGoodbye"]);
}

#[test]
fn goodbye_and_close_and_failure() {
    let actors: &[Actor] = &[Life::close, Life::send];
    // What arrives behind the second cause is thrown away, the goodbye too.
    explore_life("goodbye_and_close_and_failure", 3, BROKEN, actors, &["PeerGoodbye", "LocalClose", "Io"]);
}

#[test]
fn end_of_stream_and_sender() {
    let script = Script { leaves: true, ..POLITE };
    explore_life("end_of_stream_and_sender", None, script, &[Life::send], &["PeerClosed"]);
}

#[test]
fn end_of_stream_and_failure() {
    let script = Script { leaves: true, writes: 0, ..POLITE };
    explore_life("end_of_stream_and_failure", 4, script, &[Life::send], &["PeerClosed", "Io"]);
}

/// Of a reset the system tells only one call, which here is a write.
#[test]
fn reset_told_to_a_write() {
    let script = Script { writes: 0, resets: Some(|| Ok(0)), ..POLITE };
    explore_life("reset_told_to_a_write", 4, script, &[Life::send], &["Io"]);
}

/// The same, over TLS for instance.
#[test]
fn reset_told_to_a_write_and_as_a_cut() {
    let script = Script { writes: 0, resets: Some(|| Err(io::ErrorKind::UnexpectedEof.into())), ..POLITE };
    explore_life("reset_told_to_a_write_and_as_a_cut", 4, script, &[Life::send], &["Io"]);
}

#[test]
fn panic_and_close() {
    explore_life("panic_and_close", 4, PANIC, &[Life::close], &["CallbackPanicked", "LocalClose"]);
}

#[test]
fn panic_and_failure() {
    let script = Script { writes: 0, ..PANIC };
    explore_life("panic_and_failure", 5, script, &[Life::send], &["CallbackPanicked", "Io"]);
}

/// All of them at once.
#[test]
fn panic_and_close_and_failure() {
    let script = Script { writes: 0, ..PANIC };
    let actors: &[Actor] = &[Life::close, Life::send];
    // The panic comes before the goodbye is read, which therefore explains nothing.
    explore_life("panic_and_close_and_failure", 3, script, actors, &["CallbackPanicked", "LocalClose", "Io"]);
}

#[test]
fn two_closes_and_abort() {
    let actors: &[Actor] = &[Life::close, Life::close, Life::abort];
    explore_life("two_closes_and_abort", 2, POLITE, actors, &["LocalClose", "LocalAbort"]);
}

#[test]
fn close_of_all() {
    let actors: &[Actor] = &[Life::close_service, Life::close, Life::send];
    explore_life("close_of_all", 2, GOODBYE, actors, &["PeerGoodbye", "LocalClose", "ServiceClosed"]);
}

/// The peer never ends its half: it is cut off.
#[test]
fn silent_peer() {
    let script = Script { silent: true, ..POLITE };
    explore_life(
        "silent_peer",
        3,
        script,
        &[|life| {
            life.close();
            life.run_out_of_time();
        }],
        &["LocalClose"],
    );
}

/// It is cut off while the goodbye is being written.
#[test]
fn close_out_of_time() {
    let script = Script { sends: &[b"m1;"], ..POLITE };
    let actors: &[Actor] = &[Life::close, Life::send, Life::run_out_of_time];
    explore_life("close_out_of_time", 2, script, actors, &["LocalClose"]);
}
