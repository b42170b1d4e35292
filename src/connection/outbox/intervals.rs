//! Minimum intervals: of what comes too soon after the last message of its key, the newest is parked until its time has
//! come. Pure: no lock, no clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::budget::{Budget, Lacking, Purpose};
use super::queue::Amount;
use crate::settings::{Key, OVERHEAD};
use crate::sync::later;

/// What a key takes of memory at most, in both tables.
const ENTRY: usize = 4 * size_of::<(Key, Paced)>();

/// How many keys there are at least before those whose interval is over are looked for.
const FEW_KEYS: usize = 64;

/// Nothing but a place for it until a message has a key to be paced by.
#[derive(Debug, Default)]
pub(super) struct Intervals(Option<Box<Keys>>);

#[derive(Debug)]
struct Keys {
    keys: HashMap<Key, Paced>,
    /// Those of which a message is parked, by when it is due.
    parked: BTreeMap<(Instant, u64), Key>,
    number: u64,
    bytes: usize,
    /// When the pump has been asked to look, each time earlier than before: the next time is the last one.
    looks: Vec<Instant>,
    /// At how many keys those whose interval is over are looked for.
    many: usize,
    reserved: usize,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Paced {
    /// When the next message of the key may be sent.
    due: Instant,
    parked: Option<Parked>,
}

#[derive(Debug)]
struct Parked {
    batch: Arc<Batch>,
    number: u64,
}

impl Intervals {
    /// What is parked.
    pub(super) fn amount(&self) -> Amount {
        self.0.as_ref().map_or(Amount::default(), |keys| Amount { messages: keys.parked.len(), bytes: keys.bytes })
    }

    /// Whether nothing is parked.
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.parked.is_empty())
    }

    pub(super) fn charged(&self) -> usize {
        let Amount { messages, bytes } = self.amount();
        bytes + OVERHEAD * messages
    }

    /// What the message is charged that one of this key would replace; 0 when there is none.
    pub(super) fn charge_of(&self, key: &Key) -> usize {
        self.paced(key).and_then(|paced| paced.parked.as_ref()).map_or(0, |parked| parked.batch.charge())
    }

    /// Since when the message is parked that is the oldest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let paced = self.0.iter().flat_map(|keys| keys.keys.values());
        paced.filter_map(|paced| paced.parked.as_ref()).map(|parked| parked.batch.since()).min()
    }

    /// Whether a message of this key has to wait now.
    pub(super) fn holds(&self, key: &Key, now: Instant) -> bool {
        self.paced(key).is_some_and(|paced| paced.parked.is_some() || paced.due > now)
    }

    fn paced(&self, key: &Key) -> Option<&Paced> {
        self.0.as_ref()?.keys.get(key)
    }

    /// A message of this key, which [need not wait](Self::holds), goes now; the next one has to wait.
    ///
    /// # Errors
    ///
    /// There is no memory to keep the key in.
    pub(super) fn begin(
        &mut self,
        key: &Key,
        now: Instant,
        interval: Duration,
        budget: &Arc<Budget>,
        purpose: Purpose,
    ) -> Result<(), Lacking> {
        self.0.get_or_insert_with(|| Box::new(Keys::new(budget))).begin(key, now, interval, purpose)
    }

    /// Parks a message that [has to wait](Self::holds); the one that it replaces.
    pub(super) fn park(&mut self, key: &Key, batch: Arc<Batch>) -> Option<Amount> {
        self.0.as_mut()?.park(key, batch)
    }

    /// Takes out what is parked of this key, in favour of what goes at once.
    pub(super) fn unpark(&mut self, key: &Key) -> Option<Amount> {
        self.0.as_mut()?.unpark(key)
    }

    /// When the next message is due, if that is before the pump looks; from then on it has been asked to.
    pub(super) fn watch(&mut self) -> Option<Instant> {
        self.0.as_mut()?.watch()
    }

    /// The pump has looked; when it has to look again, unless it does so already.
    pub(super) fn looked(&mut self) -> Option<Instant> {
        let keys = self.0.as_mut()?;
        keys.looks.pop();
        keys.watch()
    }

    /// When the last of those that are parked now is due.
    pub(super) fn last_due(&self) -> Option<Instant> {
        self.0.as_ref()?.parked.last_key_value().map(|((due, _), _)| *due)
    }

    /// How many bytes are parked until then at most.
    pub(super) fn parked_until(&self, last: Instant) -> usize {
        let parked = self.0.iter().flat_map(|keys| keys.parked.range(..=(last, u64::MAX)));
        parked
            .map(|(_, key)| {
                self.paced(key).and_then(|paced| paced.parked.as_ref()).map_or(0, |parked| parked.batch.len())
            })
            .sum()
    }

    /// The next message that is due at `now`.
    pub(super) fn release(&mut self, now: Instant, interval: Duration) -> Option<Arc<Batch>> {
        self.0.as_mut()?.release(now, interval)
    }

    /// All that is parked, in the order in which the keys were, and everything else is forgotten.
    pub(super) fn clear(&mut self) -> Vec<Arc<Batch>> {
        self.0.as_mut().map_or_else(Vec::new, |keys| keys.clear())
    }
}

impl Keys {
    fn new(budget: &Arc<Budget>) -> Self {
        Self {
            keys: HashMap::new(),
            parked: BTreeMap::new(),
            number: 0,
            bytes: 0,
            looks: Vec::new(),
            many: FEW_KEYS,
            reserved: 0,
            budget: Arc::clone(budget),
        }
    }

    fn begin(&mut self, key: &Key, now: Instant, interval: Duration, purpose: Purpose) -> Result<(), Lacking> {
        if let Some(paced) = self.keys.get_mut(key) {
            paced.due = later(now, interval);
            return Ok(());
        }
        if self.keys.len() >= self.many {
            self.forget_those_over(now);
        }
        let memory = ENTRY + key.memory();
        if !self.budget.take(memory, purpose) {
            return Err(Lacking(memory));
        }
        self.reserved += memory;
        self.keys.insert(key.clone(), Paced { due: later(now, interval), parked: None });
        Ok(())
    }

    fn forget_those_over(&mut self, now: Instant) {
        let mut freed = 0;
        self.keys.retain(|key, paced| {
            let stays = paced.parked.is_some() || paced.due > now;
            freed += if stays { 0 } else { ENTRY + key.memory() };
            stays
        });
        self.budget.give_back(freed);
        self.reserved -= freed;
        self.many = FEW_KEYS.max(2 * self.keys.len());
        self.keys.shrink_to(self.many);
    }

    fn park(&mut self, key: &Key, batch: Arc<Batch>) -> Option<Amount> {
        let paced = self.keys.get_mut(key)?;
        self.bytes += batch.len();
        match &mut paced.parked {
            Some(parked) => {
                let replaced = std::mem::replace(&mut parked.batch, batch);
                self.bytes -= replaced.len();
                Some(Amount { messages: 1, bytes: replaced.len() })
            }
            parked @ None => {
                self.number += 1;
                *parked = Some(Parked { batch, number: self.number });
                self.parked.insert((paced.due, self.number), key.clone());
                None
            }
        }
    }

    fn unpark(&mut self, key: &Key) -> Option<Amount> {
        let paced = self.keys.get_mut(key)?;
        let Parked { batch, number } = paced.parked.take()?;
        self.parked.remove(&(paced.due, number));
        self.bytes -= batch.len();
        Some(Amount { messages: 1, bytes: batch.len() })
    }

    fn watch(&mut self) -> Option<Instant> {
        let due = self.next_due().filter(|due| self.looks.last().is_none_or(|look| due < look))?;
        self.looks.push(due);
        Some(due)
    }

    fn next_due(&self) -> Option<Instant> {
        self.parked.first_key_value().map(|((due, _), _)| *due)
    }

    fn release(&mut self, now: Instant, interval: Duration) -> Option<Arc<Batch>> {
        let entry = self.parked.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = entry.remove();
        let paced = self.keys.get_mut(&key)?;
        paced.due = later(now, interval);
        let batch = paced.parked.take()?.batch;
        self.bytes -= batch.len();
        Some(batch)
    }

    fn clear(&mut self) -> Vec<Arc<Batch>> {
        let mut empty = Self::new(&self.budget);
        (empty.looks, empty.number) = (std::mem::take(&mut self.looks), self.number);
        let mut cleared = std::mem::replace(self, empty);
        let mut parked: Vec<_> = cleared.keys.drain().filter_map(|(_, paced)| paced.parked).collect();
        parked.sort_by_key(|parked| parked.number);
        parked.into_iter().map(|parked| parked.batch).collect()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.budget.give_back(self.reserved);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::codec::Pieces;
    use crate::sync::now;

    /// The pump is asked again for what is due before it looks, and not more often than that.
    #[test]
    fn the_pump_looks_when_the_first_is_due() {
        const SECOND: Duration = Duration::from_secs(1);
        let budget = Arc::new(Budget::new(usize::MAX / 2));
        let mut intervals = Intervals::default();
        let begun = now();
        let keys = ["a", "b", "c"].map(Key::new);
        let park = |intervals: &mut Intervals, key: &Key| {
            let batch = Batch::of(Pieces::with_tail(b"state", b";"), Some(key), &budget, Purpose::Queue).unwrap();
            assert!(intervals.park(key, Arc::new(batch)).is_none());
            intervals.watch()
        };
        let dues = [1, 2, 3].map(|after| begun + after * SECOND);
        for (key, due) in keys.iter().zip(dues) {
            intervals.begin(key, due - SECOND, SECOND, &budget, Purpose::Queue).unwrap();
            assert!(intervals.holds(key, begun) && !intervals.holds(key, due));
        }
        assert_eq!(park(&mut intervals, &keys[1]), Some(dues[1]));
        assert_eq!(park(&mut intervals, &keys[2]), None);
        assert_eq!(park(&mut intervals, &keys[0]), Some(dues[0]));
        assert!(intervals.release(dues[0], SECOND).is_some());
        // For the next one it has been asked already.
        assert_eq!(intervals.looked(), None);
        assert!(intervals.release(dues[1], SECOND).is_some());
        assert_eq!(intervals.looked(), Some(dues[2]));
        // What is due later than it looks: it finds nothing, and looks again.
        intervals.clear();
        intervals.begin(&keys[0], dues[2], SECOND, &budget, Purpose::Queue).unwrap();
        assert_eq!(park(&mut intervals, &keys[0]), None);
        assert_eq!(intervals.looked(), Some(dues[2] + SECOND));
    }
}
