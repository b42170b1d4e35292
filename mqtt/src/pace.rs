//! How long to wait before connecting again: pure arithmetic, and a little chance.
//!
//! The library goes by whether anything was received on a connection. Here that is not enough: a broker answers also
//! those whom it refuses, and of two bridges that have one client id it lets each in and ends the other.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// For how long a session has to last to be a good one.
pub(crate) const LASTING: Duration = Duration::from_secs(10);

/// How soon a broker is asked again that has refused, at the earliest.
pub(crate) const LEAST_REFUSED: Duration = Duration::from_secs(5);

/// And how soon at the latest.
pub(crate) const MOST_REFUSED: Duration = Duration::from_secs(60);

/// What has become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A session that has lasted.
    Lasted,
    /// One that has not, or none.
    Failed,
    /// The broker has said no, or is not the one that it should be.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Pace {
    first: Duration,
    longest: Duration,
    /// In a row.
    failures: u32,
    refusals: u32,
}

impl Pace {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0, refusals: 0 }
    }

    /// How long to wait after that: between half of a cap and all of it, drawn anew each time, so that those who have
    /// lost their broker at the same moment do not all come back at one. The cap doubles with each failure.
    pub(crate) fn after(&mut self, outcome: Outcome) -> Duration {
        self.after_chance(outcome, RandomState::new().hash_one(()))
    }

    fn after_chance(&mut self, outcome: Outcome, drawn: u64) -> Duration {
        let (least, cap) = match outcome {
            Outcome::Lasted => {
                (self.failures, self.refusals) = (0, 0);
                (Duration::ZERO, self.first)
            }
            Outcome::Failed => {
                let cap = doubled(self.first, self.failures, self.longest);
                self.failures = self.failures.saturating_add(1);
                (cap / 2, cap)
            }
            Outcome::Refused => {
                let cap = doubled(LEAST_REFUSED * 2, self.refusals, MOST_REFUSED);
                self.refusals = self.refusals.saturating_add(1);
                (cap / 2, cap)
            }
        };
        // 32 bits of chance are as fine as anybody can tell.
        least + (cap - least).mul_f64((drawn >> 32) as f64 / f64::from(u32::MAX))
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let doubled = 2_u32.checked_pow(times).and_then(|factor| first.checked_mul(factor));
    doubled.map_or(longest, |cap| cap.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);

    /// The shortest and the longest time that is waited after the last of these.
    fn range(outcomes: &[Outcome]) -> (u128, u128) {
        let ends = [0, u64::MAX].map(|drawn| {
            let mut pace = Pace::new(FIRST, LONGEST);
            let delays = outcomes.iter().map(|outcome| pace.after_chance(*outcome, drawn));
            delays.last().unwrap().as_millis()
        });
        (ends[0], ends[1])
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits() {
        assert_eq!(range(&[Outcome::Failed]), (125, 250));
        assert_eq!(range(&[Outcome::Failed; 2]), (250, 500));
        assert_eq!(range(&[Outcome::Failed; 7]), (8_000, 16_000));
        for many in [8, 9, 50] {
            assert_eq!(range(&vec![Outcome::Failed; many]), (15_000, 30_000));
        }
    }

    #[test]
    fn a_session_that_has_lasted_begins_anew() {
        let outcomes = [Outcome::Failed, Outcome::Refused, Outcome::Failed, Outcome::Lasted];
        assert_eq!(range(&outcomes), (0, 250));
        assert_eq!(range(&[&outcomes[..], &[Outcome::Failed]].concat()), (125, 250));
        assert_eq!(range(&[&outcomes[..], &[Outcome::Refused]].concat()), (5_000, 10_000));
    }

    #[test]
    fn a_refusal_is_never_asked_again_at_once() {
        assert_eq!(range(&[Outcome::Refused; 2]), (10_000, 20_000));
        for many in [4, 5, 50] {
            assert_eq!(range(&vec![Outcome::Refused; many]), (30_000, 60_000));
        }
    }

    #[test]
    fn chance_is_drawn_anew() {
        let mut all: Vec<_> = (0..100).map(|_| Pace::new(FIRST, LONGEST).after(Outcome::Failed)).collect();
        all.sort();
        all.dedup();
        assert!(all.len() > 90, "{} different delays of 100", all.len());
    }
}
