//! Which numbers were given in which epoch, and where a subscriber goes on. Pure.

use crate::Position;
use crate::wire::Answer;

/// The epochs of a history, each with its first number: the numbers of an epoch end where those of the next one begin.
/// There are none of one that begins with the same number as the next, because they have been lost.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    firsts: Vec<(u64, u64)>,
}

impl Epochs {
    /// From `first` on numbers are those of `epoch`, also where they have been given before.
    pub(crate) fn begin(&mut self, epoch: u64, first: u64) {
        self.firsts.iter_mut().for_each(|(_, before)| *before = first.min(*before));
        if self.firsts.last().is_none_or(|(current, _)| *current != epoch) {
            self.firsts.push((epoch, first));
        }
    }

    /// The position of the message with this number, which is that of the next one at most.
    pub(crate) fn position(&self, number: u64) -> Position {
        let epoch = self.firsts.iter().rev().find(|(_, first)| *first <= number).map_or(0, |(epoch, _)| *epoch);
        Position { epoch, number }
    }

    /// Numbers below `oldest` are gone. The epoch of the last of those is still known: who has that one misses nothing.
    pub(crate) fn forget_before(&mut self, oldest: u64) {
        let gone = self.firsts.windows(2).take_while(|pair| pair[1].1 < oldest).count();
        self.firsts.drain(..gone);
    }

    /// Where somebody goes on who has everything up to `last`, in a history that begins with `oldest` and ends with
    /// `newest`.
    pub(crate) fn resume(&self, last: Option<Position>, oldest: u64, newest: u64) -> Answer {
        let at = |number| self.position(number);
        let Some(last) = last else { return Answer::Resumed(at(oldest)) };
        let Some(which) = self.firsts.iter().position(|(epoch, _)| *epoch == last.epoch) else {
            return Answer::Gap(at(oldest));
        };
        // What it has beyond that has been lost here, and its numbers were given again.
        let end = self.firsts.get(which + 1).map_or(newest, |(_, first)| first - 1);
        if last.number > end {
            return Answer::Gap(at(oldest.max(end + 1)));
        }
        if last.number + 1 < oldest { Answer::Gap(at(oldest)) } else { Answer::Resumed(at(last.number + 1)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One start of a publisher after another, each of which may have lost the last messages of the one before.
    fn starts() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((1_u64..8, 0_u64..4), 1..6)
    }

    proptest! {
        /// Whoever is told that it has been resumed has exactly what the history has before the next message.
        #[test]
        fn who_is_resumed_misses_nothing(
            starts in starts(),
            forgotten in 0_u64..40,
            who in any::<prop::sample::Index>(),
            is_new: bool,
        ) {
            let (mut epochs, mut log) = (Epochs::default(), Vec::new());
            // What somebody has got who had everything, up to each message.
            let mut moments = Vec::new();
            for (epoch, (published, lost)) in (1..).zip(starts) {
                // Power was lost.
                log.truncate(log.len().saturating_sub(lost as usize));
                epochs.begin(epoch, log.len() as u64 + 1);
                for message in 0..published {
                    log.push((epoch, message));
                    moments.push(log.clone());
                }
            }
            let newest = log.len() as u64;
            let oldest = forgotten.min(newest) + 1;
            epochs.forget_before(oldest);
            let seen = if is_new { Vec::new() } else { who.get(&moments).clone() };
            let has = seen.len() as u64;
            let last = seen.last().map(|(epoch, _)| Position::new(*epoch, has));
            match epochs.resume(last, oldest, newest) {
                Answer::Resumed(next) => {
                    prop_assert!(next.number >= oldest && next.number <= newest + 1);
                    if has > 0 {
                        prop_assert_eq!(next.number, has + 1);
                        prop_assert_eq!(&seen[..], &log[..has as usize]);
                    } else {
                        prop_assert_eq!(next.number, oldest);
                    }
                }
                Answer::Gap(next) => {
                    prop_assert!(next.number >= oldest && next.number <= newest + 1);
                    // Only where something is missing.
                    prop_assert!(log.get(..seen.len()) != Some(&seen[..]) || has + 1 < oldest);
                }
            }
        }
    }
}
