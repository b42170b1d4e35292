//! The deadlines that the pump keeps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::mem;
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::{Deadline, Watched};
use crate::sync::later;

/// Up to how many alarms there may be before those of what is gone are looked for.
pub(super) const FEW_ALARMS: usize = 1024;

/// The pump sleeps no longer than this part of the shortest time-out, so that no standstill counts for more.
pub(super) const SLEEPS: u32 = 4;
/// But not for less than this because of it.
pub(super) const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

pub(super) struct Alarm {
    /// In live time.
    pub(super) at: Instant,
    /// The time-out of which it is the end.
    pub(super) timeout: Duration,
    pub(super) deadline: Deadline,
    /// Weak, so that a deadline far ahead does not keep what is gone.
    pub(super) watched: Weak<dyn Watched>,
}

/// Those that are set, the next one first.
pub(super) struct Alarms {
    pub(super) heap: BinaryHeap<Reverse<Alarm>>,
    /// The time-outs of the alarms, and how many have each: there are few different ones.
    pub(super) timeouts: BTreeMap<Duration, usize>,
    /// How many alarms there have to be for those of what is gone to be looked for.
    many: usize,
}

impl Alarms {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), timeouts: BTreeMap::new(), many: FEW_ALARMS }
    }

    /// When there are twice as many alarms as the last time: drops those of what is gone, whose memory they hold. With
    /// a deadline far ahead, those of connections that come and go would pile up until then.
    pub(super) fn drop_stale(&mut self) {
        if self.heap.len() >= self.many {
            let alarms = mem::take(&mut self.heap);
            self.timeouts.clear();
            alarms
                .into_iter()
                .filter(|Reverse(alarm)| alarm.watched.strong_count() > 0)
                .for_each(|Reverse(alarm)| self.add(alarm));
            self.many = FEW_ALARMS.max(2 * self.heap.len());
        }
    }

    pub(super) fn add(&mut self, alarm: Alarm) {
        *self.timeouts.entry(alarm.timeout).or_default() += 1;
        self.heap.push(Reverse(alarm));
    }

    /// The next alarm that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Alarm> {
        if self.heap.peek().is_none_or(|Reverse(alarm)| alarm.at > now) {
            return None;
        }
        let Reverse(alarm) = self.heap.pop()?;
        if let Some(count) = self.timeouts.get_mut(&alarm.timeout) {
            *count -= 1;
            if *count == 0 {
                self.timeouts.remove(&alarm.timeout);
            }
        }
        Some(alarm)
    }

    /// When the pump wakes at the latest, in live time, because of its alarms.
    pub(super) fn wakes_by(&self, live: Instant) -> Option<Instant> {
        let Reverse(alarm) = self.heap.peek()?;
        let (shortest, _) = self.timeouts.first_key_value()?;
        Some(alarm.at.min(later(live, (*shortest / SLEEPS).max(SHORTEST_SLEEP))))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
