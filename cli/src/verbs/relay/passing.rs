//! What happens with a message of either side.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use leads_comm::{Callback, Connection, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use super::rings::{Rings, Verdict};
use super::uplink::Uplink;
use crate::console::{Failure, Sparing, fail};
use crate::endpoint::Side;
use crate::recording::words::count;

/// Between the two sides.
pub(super) struct Passing {
    /// Once both are there.
    sides: OnceLock<(Side, Side)>,
    /// Where what cannot be sent waits.
    uplink: Option<Arc<Uplink>>,
    /// What has become of messages that were not handed on.
    gone: &'static str,
    /// The commands that may come back.
    allowed: Vec<String>,
    /// How many were handed on, and how many were not.
    passed: AtomicU64,
    lost: AtomicU64,
    /// What came back: what was handed on, what nobody was there for, and what is not allowed.
    commands: AtomicU64,
    undeliverable: AtomicU64,
    refused: AtomicU64,
    said_lost: Sparing,
    said_undeliverable: Sparing,
    said_refused: Sparing,
    /// Why it has to end.
    end: SyncSender<Failure>,
}

impl Passing {
    pub(super) fn new(
        uplink: Option<Arc<Uplink>>,
        gone: &'static str,
        allowed: Vec<String>,
        end: SyncSender<Failure>,
    ) -> Self {
        Self {
            sides: OnceLock::new(),
            uplink,
            gone,
            allowed,
            passed: AtomicU64::default(),
            lost: AtomicU64::default(),
            commands: AtomicU64::default(),
            undeliverable: AtomicU64::default(),
            refused: AtomicU64::default(),
            said_lost: Sparing::default(),
            said_undeliverable: Sparing::default(),
            said_refused: Sparing::default(),
            end,
        }
    }

    /// Where messages come from, and where they go to; before either begins.
    pub(super) fn connect(&self, from: Side, to: Side) {
        let is_first = self.sides.set((from, to)).is_ok();
        debug_assert!(is_first);
    }

    /// A message of the side that they come from.
    fn pass(&self, connection: &Connection, message: &[u8]) {
        let rings = connection.get::<Mutex<Rings>>();
        match rings.map_or(Verdict::Pass, |rings| rings.lock().judge(message, Instant::now())) {
            Verdict::Pass => {}
            Verdict::HoldBack => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
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
            self.said_lost.complain("messages are being lost: they come faster than they can be passed on");
        }
    }

    /// A message of the side that they go to.
    fn pass_back(&self, message: &[u8]) {
        let Some((from, _)) = self.sides.get() else { return };
        if !self.allowed.iter().any(|allowed| allowed.as_bytes() == message) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return self.said_refused.complain("a command was not passed on: --allow names those that are");
        }
        match from.queue(message) {
            Ok(1..) => drop(self.commands.fetch_add(1, Ordering::Relaxed)),
            Ok(0) | Err(Error::NotConnected | Error::Disconnected) => {
                self.undeliverable.fetch_add(1, Ordering::Relaxed);
                self.said_undeliverable.complain("a command was not passed on: nobody is there who would take it");
            }
            Err(error) => {
                self.undeliverable.fetch_add(1, Ordering::Relaxed);
                self.said_undeliverable.complain(&format!("a command was not passed on: {error:#}"));
            }
        }
    }

    /// What it has come to, when all has ended.
    pub(super) fn summary(&self) -> String {
        let (mut passed, mut lost, mut waiting) =
            (self.passed.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed), 0);
        match (&self.uplink, self.sides.get()) {
            (Some(uplink), _) => {
                let outcome = uplink.outcome();
                (passed, lost, waiting) = (outcome.0, lost + outcome.1, outcome.2);
            }
            // What it has taken and not sent was dropped, or replaced.
            (None, Some((_, Side::Client(client, _)))) => {
                let written = client.stats().traffic.written.messages.min(passed);
                (passed, lost) = (written, lost + passed - written);
            }
            _ => {}
        }
        let mut parts = vec![format!("{} passed on", count(passed, "message"))];
        for (number, fate) in [(waiting, "waiting"), (lost, self.gone)] {
            if number > 0 {
                parts.push(format!("{number} {fate}"));
            }
        }
        let [commands, undeliverable, refused] =
            [&self.commands, &self.undeliverable, &self.refused].map(|number| number.load(Ordering::Relaxed));
        if commands + undeliverable + refused > 0 {
            parts.push(format!("{} passed back", count(commands, "command")));
        }
        for (number, fate) in [(undeliverable, "to nobody"), (refused, "not allowed")] {
            if number > 0 {
                parts.push(format!("{number} {fate}"));
            }
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
            (Which::From, _) => drop(connection.insert(Mutex::new(Rings::new(Instant::now())))),
            (Which::To, Some(uplink)) => uplink.connected(connection),
            (Which::To, None) => {}
        }
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        match self.which {
            Which::From => self.passing.pass(connection, message),
            Which::To => self.passing.pass_back(message),
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        if let (Which::To, Some(uplink)) = (self.which, &self.passing.uplink) {
            uplink.disconnected(connection, reason);
        }
    }
}
