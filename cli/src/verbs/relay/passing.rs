//! What happens with a message of either side.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use leads_comm::{Callback, Connection, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use super::rings::{Rings, Verdict};
use super::uplink::Uplink;
use crate::console::{Failure, complain, fail};
use crate::endpoint::Side;
use crate::recording::words::count;

/// How long nothing is said about what is lost, or not allowed, once it has been.
const PAUSE: Duration = Duration::from_secs(10);

/// Between the two sides.
pub(super) struct Passing {
    /// Once both are there.
    sides: OnceLock<(Side, Side)>,
    /// Where what cannot be sent waits.
    uplink: Option<Arc<Uplink>>,
    /// The commands that may come back.
    allowed: Vec<String>,
    rings: Mutex<Rings>,
    passed: AtomicU64,
    /// How many were taken by nobody although somebody was there, or should have been.
    lost: AtomicU64,
    commands: AtomicU64,
    refused: AtomicU64,
    said_lost: Said,
    said_refused: Said,
    /// Why it has to end.
    end: SyncSender<Failure>,
}

/// When something was said last.
#[derive(Default)]
struct Said(Mutex<Option<Instant>>);

impl Said {
    /// Says it, unless it was said a moment ago.
    fn say(&self, line: &str) {
        let mut said = self.0.lock();
        if said.is_none_or(|said| said.elapsed() >= PAUSE) {
            *said = Some(Instant::now());
            complain(format_args!("leads-comm: {line}"));
        }
    }
}

impl Passing {
    pub(super) fn new(uplink: Option<Arc<Uplink>>, allowed: Vec<String>, end: SyncSender<Failure>) -> Self {
        Self {
            sides: OnceLock::new(),
            uplink,
            allowed,
            rings: Mutex::new(Rings::new(Instant::now())),
            passed: AtomicU64::default(),
            lost: AtomicU64::default(),
            commands: AtomicU64::default(),
            refused: AtomicU64::default(),
            said_lost: Said::default(),
            said_refused: Said::default(),
            end,
        }
    }

    /// Where messages come from, and where they go to; before either begins.
    pub(super) fn connect(&self, from: Side, to: Side) {
        let is_first = self.sides.set((from, to)).is_ok();
        debug_assert!(is_first);
    }

    /// A message of the side that they come from.
    fn pass(&self, message: &[u8]) {
        match self.rings.lock().judge(message, Instant::now()) {
            Verdict::Pass => {}
            Verdict::HoldBack => return,
            Verdict::Ring => {
                let why = "messages come back that were passed on: this relay is a part of a ring";
                // Nobody listens any more when it ends already.
                let _ = self.end.try_send(fail(why));
                return;
            }
        }
        let Some((_, to)) = self.sides.get() else { return };
        let is_lost = match (&self.uplink, to) {
            (Some(uplink), _) => uplink.pass(message),
            (None, Side::Client(client, _)) => {
                let outcome = client.send(message);
                let counts = if outcome.is_ok() { &self.passed } else { &self.lost };
                counts.fetch_add(1, Ordering::Relaxed);
                // While there is no connection, that is what was asked for.
                matches!(outcome, Err(Error::Dropped { .. } | Error::KeptFull { .. }))
            }
            (None, Side::Server(server)) => {
                // A viewer that is behind is a matter between it and the server.
                let counts = if server.broadcast(message).is_ok() { &self.passed } else { &self.lost };
                counts.fetch_add(1, Ordering::Relaxed);
                false
            }
        };
        if is_lost {
            self.said_lost.say("messages are being lost: they come faster than they can be passed on");
        }
    }

    /// A message of the side that they go to.
    fn pass_back(&self, message: &[u8]) {
        let Some((from, _)) = self.sides.get() else { return };
        if !self.allowed.iter().any(|allowed| allowed.as_bytes() == message) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return self.said_refused.say("a command was not passed on: --allow names those that are");
        }
        match from.queue(message) {
            Ok(1..) => drop(self.commands.fetch_add(1, Ordering::Relaxed)),
            Ok(0) | Err(Error::NotConnected | Error::Disconnected) => {
                complain("leads-comm: a command was not passed on: nobody is there who would take it");
            }
            Err(error) => complain(format_args!("leads-comm: a command was not passed on: {error:#}")),
        }
    }

    /// What it has come to.
    pub(super) fn summary(&self) -> String {
        let (mut passed, mut lost) = (self.passed.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed));
        let mut waiting = 0;
        if let Some(uplink) = &self.uplink {
            let counts = uplink.counts();
            (passed, lost, waiting) = (passed + counts.0, lost + counts.1, uplink.waiting());
        }
        let mut parts = vec![format!("{} passed on", count(passed, "message"))];
        for (number, fate) in [(waiting, "waiting"), (lost, "lost")] {
            if number > 0 {
                parts.push(format!("{number} {fate}"));
            }
        }
        let (commands, refused) = (self.commands.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        if commands + refused > 0 {
            parts.push(format!("{} passed back", count(commands, "command")));
        }
        if refused > 0 {
            parts.push(format!("{refused} not allowed"));
        }
        parts.join(", ")
    }
}

/// Which side it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    From,
    To,
}

/// What happens with the messages of a side.
pub(super) struct Hearing {
    pub(super) which: Which,
    pub(super) passing: Arc<Passing>,
}

impl Callback for Hearing {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        match (self.which, &self.passing.uplink) {
            (Which::From, _) => *self.passing.rings.lock() = Rings::new(Instant::now()),
            (Which::To, Some(uplink)) => uplink.connected(connection),
            (Which::To, None) => {}
        }
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        match self.which {
            Which::From => self.passing.pass(message),
            Which::To => self.passing.pass_back(message),
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        match (self.which, &self.passing.uplink, self.passing.sides.get()) {
            (Which::To, Some(uplink), _) => uplink.disconnected(connection),
            (Which::To, None, Some((_, Side::Client(..)))) => {
                let lost = reason.undelivered.unsent.messages + reason.undelivered.dropped.messages;
                self.passing.passed.fetch_sub(lost, Ordering::Relaxed);
                self.passing.lost.fetch_add(lost, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
