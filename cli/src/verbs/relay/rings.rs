//! Whether messages that were passed on come back: a relay that pulls from a server to which, over others, it pushes.
//!
//! Such messages go round as fast as they can, and never end. Nothing on the wire tells them from those of a vehicle, so
//! it takes two steps. It is *suspected* where most messages have been passed on a moment ago and there are more and
//! more of them; a vehicle that repeats itself does so at its own rate. Then it is *tried*: for two seconds nothing is
//! passed on that has been a moment ago. What goes round has no other way to come again, and a vehicle's repetitions do
//! come again. It has to happen twice, because a vehicle may change at that very moment.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How many different messages are remembered of a connection, and as many again: half a megabyte. And for how long, at
/// most twice as long.
const MOST: usize = 16_384;
const MEMORY: Duration = Duration::from_secs(10);

/// How long a look takes.
const LOOK: Duration = Duration::from_secs(1);

/// Over how many looks the number of messages has to grow, from each to the next.
const BETWEEN: usize = 5;

/// To how many times as many, to be suspicious; or so many in one look, whatever there were before.
const GROWTH: u64 = 2;
const FLOOD: u64 = 5_000;

/// How many looks in a row have to be suspicious: what had been held up comes all at once.
const SUSPICIOUS: u64 = 2;

/// For how many looks repetitions are held back when it is tried.
const TRIAL: u64 = 2;

/// How often that has to say the same.
const PROOFS: u64 = 2;

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// It has been passed on a moment ago, and it is being tried whether it goes round.
    HoldBack,
    /// It is certain: messages come because they were passed on.
    Ring,
}

/// What is known of the messages of one connection.
#[derive(Debug)]
pub(super) struct Rings {
    hasher: RandomState,
    /// Those that were passed on lately, and before.
    young: HashSet<u64>,
    old: HashSet<u64>,
    /// When the young ones began to be noted.
    since: Instant,
    /// When the look began that lasts, and what it has seen by now.
    look: Instant,
    seen: Seen,
    /// How many messages each of the last looks has seen.
    before: Vec<u64>,
    /// How many suspicious looks there were in a row, and how many trials that found a ring.
    suspicious: u64,
    proofs: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    messages: u64,
    repeated: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Watching,
    /// For how many looks, and how many repetitions there were in one before.
    Trying(u64, u64),
    /// It has been tried: the other side repeats itself.
    Trusting,
}

impl Rings {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            hasher: RandomState::new(),
            young: HashSet::new(),
            old: HashSet::new(),
            since: now,
            look: now,
            seen: Seen::default(),
            before: Vec::new(),
            suspicious: 0,
            proofs: 0,
            state: State::Watching,
        }
    }

    /// What is to be done with this message, which has come now.
    pub(super) fn judge(&mut self, message: &[u8], now: Instant) -> Verdict {
        if self.state == State::Trusting {
            return Verdict::Pass;
        }
        while now.saturating_duration_since(self.look) >= LOOK {
            if self.end_look() == Verdict::Ring {
                return Verdict::Ring;
            }
            // After a silence nothing is compared.
            if now.saturating_duration_since(self.look) >= MEMORY {
                *self = Self { hasher: self.hasher.clone(), state: self.state, ..Self::new(now) };
            }
        }
        let hash = self.hasher.hash_one(message);
        let is_repeated = self.young.contains(&hash) || self.old.contains(&hash);
        self.seen.messages += 1;
        self.seen.repeated += u64::from(is_repeated);
        if now.saturating_duration_since(self.since) >= MEMORY || self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        self.young.insert(hash);
        match (self.state, is_repeated) {
            (State::Trying(..), true) => Verdict::HoldBack,
            _ => Verdict::Pass,
        }
    }

    fn end_look(&mut self) -> Verdict {
        self.look += LOOK;
        let Seen { messages, repeated } = std::mem::take(&mut self.seen);
        match self.state {
            State::Watching => {
                self.before.push(messages);
                let grows =
                    self.before.len() > BETWEEN && self.before.is_sorted() && messages >= GROWTH * self.before[0]
                        || messages >= FLOOD;
                let is_suspicious = grows && messages > 1 && mostly_repeated(messages, repeated);
                self.suspicious = if is_suspicious { self.suspicious + 1 } else { 0 };
                if self.suspicious >= SUSPICIOUS {
                    self.state = State::Trying(TRIAL, repeated);
                }
                if self.before.len() > BETWEEN {
                    self.before.remove(0);
                }
            }
            // What was on its way in the first look is not there in the last one.
            State::Trying(1, in_one) => {
                let has_stopped = repeated * 2 <= in_one && !mostly_repeated(messages, repeated);
                self.proofs += u64::from(has_stopped);
                if self.proofs >= PROOFS {
                    return Verdict::Ring;
                }
                self.state = if has_stopped || messages == 0 { State::Watching } else { State::Trusting };
                (self.suspicious, self.before) = (0, Vec::new());
            }
            State::Trying(left, in_one) => self.state = State::Trying(left - 1, in_one),
            State::Trusting => {}
        }
        Verdict::Pass
    }
}

/// Four of five.
fn mostly_repeated(messages: u64, repeated: u64) -> bool {
    repeated * 5 >= messages * 4
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Lets a source with `rate` different messages a second run for a minute, of which each comes back after `round`
    /// when it is passed on; after how many seconds it is noticed, and how many were held back.
    fn in_a_ring(rate: u64, round: Duration) -> (Option<u64>, u64) {
        let begin = Instant::now();
        let mut rings = Rings::new(begin);
        let mut coming: BTreeSet<(Duration, u64)> =
            (0..60 * rate).map(|number| (Duration::from_secs_f64(number as f64 / rate as f64), number)).collect();
        let mut held_back = 0;
        while let Some((at, number)) = coming.pop_first() {
            if at > Duration::from_secs(60) {
                break;
            }
            match rings.judge(&number.to_le_bytes(), begin + at) {
                Verdict::Pass => drop(coming.insert((at + round, number))),
                Verdict::HoldBack => held_back += 1,
                Verdict::Ring => return (Some(at.as_secs()), held_back),
            }
        }
        (None, held_back)
    }

    /// How many messages of a source are held back that sends message `number(i)` at `time(i)`, all of which pass.
    fn without_one(count: u64, time: impl Fn(u64) -> Duration, number: impl Fn(u64) -> u64) -> u64 {
        let begin = Instant::now();
        let mut rings = Rings::new(begin);
        let mut held_back = 0;
        for i in 0..count {
            match rings.judge(&number(i).to_le_bytes(), begin + time(i)) {
                Verdict::Pass => {}
                Verdict::HoldBack => held_back += 1,
                Verdict::Ring => panic!("message {i} is no proof"),
            }
        }
        held_back
    }

    fn at_rate(rate: u64) -> impl Fn(u64) -> Duration {
        move |i| Duration::from_secs_f64(i as f64 / rate as f64)
    }

    #[test]
    fn messages_that_come_back_are_noticed() {
        for (rate, round) in [(20, 1000), (20, 400), (20, 50), (1, 500), (100, 10), (1000, 1000)] {
            let (noticed, _) = in_a_ring(rate, Duration::from_millis(round));
            assert!(noticed.is_some_and(|seconds| seconds <= 40), "{rate} a second, {round} ms: {noticed:?}");
        }
    }

    #[test]
    fn a_source_that_repeats_itself_is_not_held_back() {
        // One message, at any rate; a hundred in turn; different ones.
        for rate in [1, 10, 1000, 4000] {
            assert_eq!(without_one(30 * rate, at_rate(rate), |_| 7), 0, "{rate}");
            assert_eq!(without_one(30 * rate, at_rate(rate), |i| i % 100), 0, "{rate}");
            assert_eq!(without_one(30 * rate, at_rate(rate), |i| i), 0, "{rate}");
        }
        // After a silence, too.
        let time = |i| Duration::from_secs(if i < 1000 { i / 100 } else { 100 + i / 100 });
        assert_eq!(without_one(2000, time, |i| i % 10), 0);
    }

    /// A parked vehicle behind a link that stands still for a while, and one whose relay has been away.
    #[test]
    fn what_comes_all_at_once_is_no_ring() {
        let stalls = |i: u64| Duration::from_millis(if (3000..3300).contains(&i) { 33_000 } else { i * 10 });
        assert_eq!(without_one(6000, stalls, |i| i % 10), 0);
        let catches_up = |i: u64| Duration::from_millis(i.saturating_sub(20_000) * 10);
        assert_eq!(without_one(26_000, catches_up, |i| i % 10), 0);
        // Slowly: two seconds of repetitions are the price.
        let catches_up =
            |i: u64| Duration::from_micros(if i < 60_000 { i * 150 } else { 9_000_000 + (i - 60_000) * 10_000 });
        assert!(without_one(63_000, catches_up, |i| i % 10) < 20_000);
    }

    /// Where it is suspicious all the same, two seconds of its repetitions are the price, once.
    #[test]
    fn a_source_that_repeats_itself_more_and_more_is_tried_once() {
        let time = |i: u64| Duration::from_secs_f64((i as f64).sqrt() / 5.0);
        let held_back = without_one(100_000, time, |i| i % 40);
        assert!((1..5000).contains(&held_back), "{held_back}");
        let held_back = without_one(1_000_000, at_rate(100_000), |i| i % 40);
        assert!((1..=300_000).contains(&held_back), "{held_back}");
    }
}
