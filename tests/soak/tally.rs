//! What has happened so far, and what should not have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leads_comm::DisconnectReason;
use leads_comm::stats::Traffic;
use leads_comm_testing::vitals::Vitals;

use crate::words::Role;

/// So many violations are kept with their words; all are counted.
const KEPT: usize = 50;

/// Shared by all who take part.
#[derive(Default)]
pub struct Tally {
    pub messages_in: AtomicU64,
    pub bytes_in: AtomicU64,
    /// Accepted for sending, for each peer.
    pub messages_out: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Received by clients in this process, and found whole and in order.
    pub messages_checked: AtomicU64,
    pub opened: AtomicU64,
    pub ended: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    reasons: BTreeMap<String, u64>,
    /// How many of each part have come, and have gone.
    roles: BTreeMap<Role, [u64; 2]>,
    violations: Vec<String>,
    violation_count: u64,
    peak: Vitals,
    traffic: Traffic,
    /// Of the probe, in microseconds.
    round_trips: Vec<u32>,
}

impl Tally {
    /// Notes, and tells at once, what must not happen.
    pub fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        let mut notes = self.notes();
        notes.violation_count += 1;
        if notes.violations.len() < KEPT {
            eprintln!("soak: VIOLATION: {what}");
            notes.violations.push(what);
        }
    }

    /// A violation unless it holds.
    pub fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violation(what());
        }
    }

    pub fn note_sent(&self, peers: usize, len: usize) {
        self.messages_out.fetch_add(peers as u64, Ordering::Relaxed);
        self.bytes_out.fetch_add((peers * (len + 1)) as u64, Ordering::Relaxed);
    }

    pub fn note_received(&self, len: usize) {
        self.messages_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(len as u64 + 1, Ordering::Relaxed);
    }

    pub fn note_end(&self, role: Role, reason: &DisconnectReason) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        let mut notes = self.notes();
        *notes.reasons.entry(name(reason)).or_default() += 1;
        notes.roles.entry(role).or_default()[1] += 1;
    }

    pub fn note_role(&self, role: Role) {
        self.notes().roles.entry(role).or_default()[0] += 1;
    }

    /// How many of this part the server has seen go.
    pub fn gone(&self, role: Role) -> u64 {
        self.notes().roles.get(&role).map_or(0, |[_, gone]| *gone)
    }

    pub fn note_vitals(&self, vitals: Vitals) {
        let mut notes = self.notes();
        notes.peak = notes.peak.max(vitals);
    }

    /// What has gone through the server in the end.
    pub fn note_traffic(&self, traffic: Traffic) {
        self.notes().traffic = traffic;
    }

    pub fn note_round_trip(&self, time: Duration) {
        self.notes().round_trips.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn violations(&self) -> u64 {
        self.notes().violation_count
    }

    pub fn summary(&self) -> Summary {
        let notes = self.notes();
        let mut round_trips = notes.round_trips.clone();
        round_trips.sort_unstable();
        Summary {
            reasons: notes.reasons.clone(),
            roles: notes.roles.iter().map(|(role, [_, gone])| (*role, *gone)).collect(),
            violations: notes.violations.clone(),
            peak: notes.peak,
            traffic: notes.traffic,
            round_trips,
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is reported in the end.
pub struct Summary {
    pub reasons: BTreeMap<String, u64>,
    pub roles: BTreeMap<Role, u64>,
    pub violations: Vec<String>,
    pub peak: Vitals,
    pub traffic: Traffic,
    /// In microseconds, the shortest first.
    pub round_trips: Vec<u32>,
}

/// The name of the variant of its cause.
pub fn name(reason: &DisconnectReason) -> String {
    let text = format!("{:?}", reason.cause);
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

/// Tells everyone that it is time to leave.
#[derive(Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Sleeps so long, or until it is time to leave; whether it is.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut stopped = self.lock();
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
