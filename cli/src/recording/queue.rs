//! What has been received and is not written yet: between the threads that receive, and the recorder, which writes.
//!
//! ```text
//!   a reader ──▶ push ──▶ bytes that wait, up to a limit ──▶ take ──▶ the recorder ──▶ written
//!                 │
//!                 └─ no room for a moment: left out and counted, until half of it is free ──▶ a gap
//! ```
//!
//! A reader that waits for room holds up who sends to it, and a LEADS vehicle waits for each of its viewers. So from
//! when there is no room until half of it is free, readers wait for a moment in all; unless nothing may be lost.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::channels::Origin;
use super::clock::Clock;

/// How long readers wait for room, until half of it is free: three frames of a vehicle.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What a message counts for beside its bytes: about what it takes in memory.
const OVERHEAD: usize = 100;

/// When this many bytes wait, the recorder is woken, or earlier where there is less room; otherwise it comes by itself.
const WORTH_WAKING: usize = 256 * 1024;

/// Messages, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Volume {
    pub(crate) fn add(&mut self, len: usize) {
        self.messages += 1;
        self.bytes += len as u64;
    }
}

/// A message that was received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) time: u64,
    /// Counts all messages of a recording, those that were left out included; begins again behind the largest.
    pub(crate) sequence: u32,
    pub(crate) origin: Arc<Origin>,
    pub(crate) message: Vec<u8>,
}

/// Messages that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) lost: Volume,
}

#[derive(Debug)]
pub(crate) enum Entry {
    Message(Received),
    Gap(Gap),
}

/// What [`Queue::take`] found.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) entries: Vec<Entry>,
    /// Nothing comes any more.
    pub(crate) is_last: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// There is much to take, or nothing comes any more.
    filled: Condvar,
    /// There is room again, or nobody needs it any more.
    drained: Condvar,
    limit: usize,
    /// How many bytes are worth waking the recorder for.
    much: usize,
    /// How long readers wait; `None` for as long as it takes.
    patience: Option<Duration>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    /// What waits and what is just being written, as it counts against the limit.
    bytes: usize,
    /// For how long readers have waited since less than half of it was taken, and how many are waiting now.
    waited: Duration,
    waiting: usize,
    sequence: u32,
    /// What is being left out.
    gap: Option<Gap>,
    is_closed: bool,
    received: Volume,
    lost: Volume,
}

impl Queue {
    /// Has room for messages of so many bytes, and for one of any length if nothing else waits.
    /// Readers wait for room for `patience`, or for as long as it takes.
    pub(crate) fn new(limit: usize, patience: Option<Duration>, clock: Clock) -> Self {
        let state = State {
            entries: Vec::new(),
            bytes: 0,
            waited: Duration::ZERO,
            waiting: 0,
            sequence: 0,
            gap: None,
            is_closed: false,
            received: Volume::default(),
            lost: Volume::default(),
        };
        // So that what waits and one message more can be counted, also where an address has 32 bits.
        let limit = limit.min(usize::MAX / 2 - OVERHEAD);
        let much = WORTH_WAKING.min(limit / 4).max(1);
        Self { state: Mutex::new(state), filled: Condvar::new(), drained: Condvar::new(), limit, much, patience, clock }
    }

    /// From here on a message is worth waking the one who takes, however little it is.
    pub(crate) fn at_once(mut self) -> Self {
        self.much = 1;
        self
    }

    /// A message has been received. Whether it is the first one that is left out.
    pub(crate) fn push(&self, origin: &Arc<Origin>, message: &[u8]) -> bool {
        let len = message.len();
        let message = message.to_vec();
        let mut state = self.state.lock();
        let has_room = self.wait_for_room(&mut state, len + OVERHEAD);
        if state.is_closed {
            return false;
        }
        // Under the lock, so that they never go back.
        let time = self.clock.now();
        let sequence = state.sequence;
        state.sequence = sequence.wrapping_add(1);
        if !has_room {
            state.lost.add(len);
            let is_first = state.gap.is_none();
            let gap = state.gap.get_or_insert(Gap { from: time, to: time, lost: Volume::default() });
            gap.to = time;
            gap.lost.add(len);
            return is_first;
        }
        if let Some(gap) = state.gap.take() {
            state.entries.push(Entry::Gap(gap));
        }
        state.entries.push(Entry::Message(Received { time, sequence, origin: Arc::clone(origin), message }));
        state.received.add(len);
        let before = state.bytes;
        state.bytes += len + OVERHEAD;
        let is_worth_it = before < self.much && state.bytes >= self.much;
        drop(state);
        if is_worth_it {
            self.filled.notify_one();
        }
        false
    }

    fn wait_for_room(&self, state: &mut MutexGuard<'_, State>, bytes: usize) -> bool {
        let lacks_room = |state: &State| {
            let is_in_gap = state.gap.is_some() && state.bytes > self.limit / 2;
            is_in_gap || state.bytes > 0 && state.bytes + bytes > self.limit
        };
        let waits = |state: &mut State| lacks_room(state) && !state.is_closed && state.gap.is_none();
        if waits(state) {
            // What is too little for the recorder to be woken may be in the way.
            state.waiting += 1;
            self.filled.notify_one();
            match self.patience {
                None => self.drained.wait_while(state, waits),
                Some(patience) => {
                    let since = Instant::now();
                    let left = patience.saturating_sub(state.waited);
                    self.drained.wait_while_for(state, waits, left);
                    state.waited += since.elapsed();
                }
            }
            state.waiting -= 1;
        }
        !lacks_room(state)
    }

    /// What waits: when there is much of it, or a reader needs its room, or at `deadline`, or when nothing comes any
    /// more.
    pub(crate) fn take(&self, deadline: Instant) -> Taken {
        let mut state = self.state.lock();
        let is_early = |state: &mut State| {
            let is_in_the_way = state.waiting > 0 && !state.entries.is_empty();
            state.bytes < self.much && !is_in_the_way && !state.is_closed
        };
        self.filled.wait_while_until(&mut state, is_early, deadline);
        let mut entries = mem::take(&mut state.entries);
        // Behind what was there before; nothing else comes that could bring it along.
        if state.is_closed {
            entries.extend(state.gap.take().map(Entry::Gap));
        }
        Taken { entries, is_last: state.is_closed }
    }

    /// A message that was taken is written, or given up: there is room for others.
    pub(crate) fn release(&self, len: usize) {
        let mut state = self.state.lock();
        state.bytes -= len + OVERHEAD;
        if state.bytes <= self.limit / 2 {
            state.waited = Duration::ZERO;
        }
        drop(state);
        self.drained.notify_one();
    }

    /// Nothing is wanted any more; what waits can still be taken.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// What gives messages their times.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What has been received and will be written, and what was left out.
    pub(crate) fn volumes(&self) -> (Volume, Volume) {
        let state = self.state.lock();
        (state.received, state.lost)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn queue(messages: usize) -> Queue {
        Queue::new(messages * (1000 + OVERHEAD), Some(Duration::from_millis(10)), Clock::start())
    }

    fn push(queue: &Queue) -> bool {
        let origin = Arc::new(Origin { role: "client", peer: "127.0.0.1".into(), separator: ";".into() });
        queue.push(&origin, &[b'x'; 1000])
    }

    fn sequences(entries: &[Entry]) -> Vec<Option<u32>> {
        let sequence = |entry: &Entry| match entry {
            Entry::Message(received) => Some(received.sequence),
            Entry::Gap(_) => None,
        };
        entries.iter().map(sequence).collect()
    }

    #[test]
    fn what_has_no_room_is_a_gap_until_half_is_free() {
        let queue = queue(4);
        let begins: Vec<_> = (0..7).map(|_| push(&queue)).collect();
        assert_eq!(begins, [false, false, false, false, true, false, false]);
        assert_eq!(queue.volumes().1, Volume { messages: 3, bytes: 3000 });
        let taken = queue.take(Instant::now());
        assert_eq!(sequences(&taken.entries), [Some(0), Some(1), Some(2), Some(3)]);
        // What is being written counts as well, and one place is not enough to begin again.
        for _ in 0..2 {
            queue.release(1000);
            push(&queue);
        }
        let taken = queue.take(Instant::now());
        assert_eq!(sequences(&taken.entries), [None, Some(8)]);
        let Entry::Gap(gap) = &taken.entries[0] else { panic!() };
        assert_eq!(gap.lost, Volume { messages: 4, bytes: 4000 });
        assert!(gap.from <= gap.to);
        assert_eq!(queue.volumes().0, Volume { messages: 5, bytes: 5000 });
    }

    #[test]
    fn a_gap_at_the_end_is_told() {
        let queue = queue(1);
        push(&queue);
        push(&queue);
        queue.close();
        push(&queue);
        let taken = queue.take(Instant::now());
        assert_eq!(sequences(&taken.entries), [Some(0), None]);
        assert!(taken.is_last);
    }

    #[test]
    fn a_reader_waits_for_room_where_nothing_may_be_lost() {
        let queue = Queue::new(1000 + OVERHEAD, None, Clock::start());
        push(&queue);
        thread::scope(|scope| {
            let pushed = scope.spawn(|| push(&queue));
            assert_eq!(queue.take(Instant::now()).entries.len(), 1);
            queue.release(1000);
            assert!(!pushed.join().unwrap());
        });
        assert_eq!(queue.volumes(), (Volume { messages: 2, bytes: 2000 }, Volume::default()));
        // Or until nothing is wanted any more.
        thread::scope(|scope| {
            let pushed = scope.spawn(|| push(&queue));
            queue.close();
            assert!(!pushed.join().unwrap());
        });
        assert_eq!(queue.volumes().0.messages, 2);
    }

    #[test]
    fn patience_is_used_up_until_half_is_free() {
        let queue = Queue::new(4 * (1000 + OVERHEAD), Some(Duration::from_secs(3600)), Clock::start());
        (0..4).for_each(|_| assert!(!push(&queue)));
        queue.state.lock().waited = Duration::from_secs(3600);
        queue.release(1000);
        // There is room for one more, and no patience for the next.
        assert_eq!([push(&queue), push(&queue)], [false, true]);
        queue.release(1000);
        assert_ne!(queue.state.lock().waited, Duration::ZERO);
        queue.release(1000);
        assert_eq!(queue.state.lock().waited, Duration::ZERO);
    }

    /// A buffer that is not much larger than a message: what waits is little, but in the way of the next.
    #[test]
    fn a_reader_without_room_wakes_the_recorder() {
        let queue = Queue::new(10_000, None, Clock::start());
        let origin = Arc::new(Origin { role: "client", peer: "127.0.0.1".into(), separator: ";".into() });
        queue.push(&origin, b"short");
        thread::scope(|scope| {
            scope.spawn(|| queue.push(&origin, &[b'x'; 10_000 - OVERHEAD]));
            let never = Instant::now() + Duration::from_secs(3600);
            assert_eq!(sequences(&queue.take(never).entries), [Some(0)]);
            queue.release(5);
            assert_eq!(sequences(&queue.take(never).entries), [Some(1)]);
        });
    }

    #[test]
    fn one_message_of_any_length_has_room() {
        let queue = Queue::new(10, None, Clock::start());
        push(&queue);
        assert_eq!(queue.take(Instant::now()).entries.len(), 1);
    }

    #[test]
    fn times_never_go_back_among_readers() {
        let queue = queue(4000);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(!(0..1000).any(|_| push(&queue))));
            }
        });
        let taken = queue.take(Instant::now());
        let times = taken.entries.iter().map(|entry| match entry {
            Entry::Message(received) => (received.sequence, received.time),
            Entry::Gap(gap) => panic!("{gap:?}"),
        });
        let times: Vec<_> = times.collect();
        assert_eq!(times.len(), 4000);
        assert!(times.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1 <= pair[1].1));
    }
}
