//! What waits for a program that takes its time, in its order. Knows nothing of messages, and wakes nobody.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::mem;

/// What may become of what waits.
#[derive(Debug, Clone)]
pub(super) enum Kind<K> {
    /// A newer one of its key takes its place.
    State(K),
    /// The oldest of them goes when there are too many.
    Event,
    /// Stays, whatever comes.
    Lasting,
}

/// A queue in which a state is replaced where it stands.
///
/// ```text
///   by_turn   1 lasting   4 state a   6 event   7 state b   9 event      taken from the left, put on the right
///                             ▲           ▲         ▲           ▲
///   states                    a           │         b           │        where a newer one goes
///   events                                6                     9        which one has to go next
/// ```
pub(super) struct Waiting<K, T> {
    by_turn: BTreeMap<u64, (Kind<K>, T)>,
    next_turn: u64,
    /// The turn of the one state of each key.
    states: HashMap<K, u64>,
    /// The turns of the events, the oldest first.
    events: VecDeque<u64>,
    pub(super) max_keys: usize,
    /// At least 1.
    pub(super) max_events: usize,
    /// How many states have been replaced.
    pub(super) conflated: u64,
    /// How many events have been dropped.
    pub(super) dropped: u64,
}

impl<K: Clone + Eq + Hash, T> Waiting<K, T> {
    pub(super) fn new(max_keys: usize, max_events: usize) -> Self {
        Self {
            by_turn: BTreeMap::new(),
            next_turn: 0,
            states: HashMap::new(),
            events: VecDeque::new(),
            max_keys,
            max_events,
            conflated: 0,
            dropped: 0,
        }
    }

    /// How many stay, whatever comes.
    pub(super) fn lasting(&self) -> usize {
        self.by_turn.len() - self.states.len() - self.events.len()
    }

    /// Puts something in; what had to make room for it. So one more waits than before if and only if that is `None`.
    pub(super) fn put(&mut self, kind: Kind<K>, value: T) -> Option<T> {
        let kind = match kind {
            Kind::State(key) => match self.states.get(&key) {
                Some(turn) => {
                    let (_, waiting) = self.by_turn.get_mut(turn).expect("a state that is known waits");
                    self.conflated += 1;
                    return Some(mem::replace(waiting, value));
                }
                // A key too many.
                None if self.states.len() >= self.max_keys => Kind::Event,
                None => Kind::State(key),
            },
            kind => kind,
        };
        let turn = self.next_turn;
        self.next_turn += 1;
        match &kind {
            Kind::State(key) => drop(self.states.insert(key.clone(), turn)),
            Kind::Event => self.events.push_back(turn),
            Kind::Lasting => {}
        }
        self.by_turn.insert(turn, (kind, value));
        if self.events.len() <= self.max_events {
            return None;
        }
        self.dropped += 1;
        let oldest = self.events.pop_front().expect("there are too many");
        self.by_turn.remove(&oldest).map(|(_, value)| value)
    }

    /// What has waited longest in its place.
    pub(super) fn take(&mut self) -> Option<T> {
        let (_, (kind, value)) = self.by_turn.pop_first()?;
        match kind {
            Kind::State(key) => drop(self.states.remove(&key)),
            // It has the first turn of all.
            Kind::Event => drop(self.events.pop_front()),
            Kind::Lasting => {}
        }
        Some(value)
    }
}
