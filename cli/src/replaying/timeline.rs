//! The positions of messages: where each is in what is played, from the times at which they were recorded.

use std::time::Duration;

/// Between two rounds of a recording that has one message, or no time between them.
const ROUND: u64 = 1_000_000_000;

/// What of a recording is played.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    /// From here on, counted from the first message of the recording.
    pub(crate) start: Duration,
    /// For so long.
    pub(crate) duration: Option<Duration>,
    /// A longer silence is shortened to this.
    pub(crate) max_gap: Option<Duration>,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Before,
    /// In nanoseconds from the beginning of what is played.
    At(u64),
    /// Neither it nor what follows is played.
    Behind,
}

/// Places one message after the other, in all rounds.
#[derive(Debug)]
pub(crate) struct Timeline {
    section: Section,
    /// When the last message was recorded, and where in the recording that was, in nanoseconds.
    last: Option<(u64, u64)>,
    /// Where in the recording the last message was that is played.
    played: Option<u64>,
    position: u64,
    round: Round,
    /// How many messages the rounds before had.
    before: u64,
}

#[derive(Debug, Default)]
struct Round {
    /// Where its first message was.
    began: u64,
    messages: u64,
}

impl Timeline {
    pub(crate) fn new(section: Section) -> Self {
        Self { section, last: None, played: None, position: 0, round: Round::default(), before: 0 }
    }

    /// Looks at a message, played or not; says where in the recording it is. Time that goes back stands still.
    pub(crate) fn look(&mut self, time: u64) -> u64 {
        let (last, offset) = self.last.unwrap_or((time, 0));
        let offset = offset.saturating_add(time.saturating_sub(last));
        self.last = Some((last.max(time), offset));
        offset
    }

    /// Another file follows. One that was recorded before is played behind all the same.
    pub(crate) fn next_part(&mut self, first_time: u64) {
        if let Some((last, _)) = &mut self.last {
            *last = (*last).min(first_time);
        }
    }

    /// Places a message that is to be played, which has been looked at.
    pub(crate) fn place(&mut self, offset: u64) -> Place {
        let start = nanoseconds(self.section.start);
        if offset < start {
            return Place::Before;
        }
        if self.section.duration.is_some_and(|duration| offset - start > nanoseconds(duration)) {
            return Place::Behind;
        }
        let gap = offset - self.played.unwrap_or(start);
        self.position = self.position.saturating_add(self.section.max_gap.map_or(gap, |max| gap.min(nanoseconds(max))));
        self.played = Some(offset);
        if self.round.messages == 0 {
            self.round.began = self.position;
        }
        self.round.messages += 1;
        Place::At(self.position)
    }

    /// How many messages have been placed.
    pub(crate) fn played(&self) -> u64 {
        self.before + self.round.messages
    }

    /// Begins again, as if the recording went on in its mean rhythm.
    pub(crate) fn next_round(&mut self) {
        let intervals = self.round.messages.saturating_sub(1);
        let mean = (self.position - self.round.began).checked_div(intervals).filter(|mean| *mean > 0);
        self.position = self.position.saturating_add(mean.unwrap_or(ROUND));
        self.before += self.round.messages;
        self.round = Round::default();
        self.last = None;
        self.played = None;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of messages that were recorded at these seconds.
    fn places(timeline: &mut Timeline, seconds: &[u64]) -> Vec<Place> {
        let place = |second: &u64| {
            let offset = timeline.look(second * ROUND);
            timeline.place(offset)
        };
        seconds.iter().map(place).collect()
    }

    fn at(second: u64) -> Place {
        Place::At(second * ROUND)
    }

    #[test]
    fn a_section_keeps_the_silence_before_its_first_message() {
        let section = Section {
            start: Duration::from_secs(10),
            duration: Some(Duration::from_secs(20)),
            max_gap: Some(Duration::from_secs(6)),
        };
        let mut timeline = Timeline::new(section);
        assert_eq!(
            places(&mut timeline, &[100, 109, 112, 113, 125, 130, 131]),
            [Place::Before, Place::Before, at(2), at(3), at(9), at(14), Place::Behind]
        );
    }

    #[test]
    fn time_that_goes_back_stands_still() {
        let mut timeline = Timeline::new(Section::default());
        assert_eq!(places(&mut timeline, &[10, 12, 8, 11, 13]), [at(0), at(2), at(2), at(2), at(3)]);
        // A part that follows, then one that was recorded before.
        timeline.next_part(15 * ROUND);
        assert_eq!(places(&mut timeline, &[15]), [at(5)]);
        timeline.next_part(2 * ROUND);
        assert_eq!(places(&mut timeline, &[2, 3]), [at(5), at(6)]);
    }

    #[test]
    fn rounds_follow_in_the_rhythm_of_the_recording() {
        let mut timeline = Timeline::new(Section::default());
        assert_eq!(places(&mut timeline, &[10, 12, 14]), [at(0), at(2), at(4)]);
        timeline.next_round();
        assert_eq!(places(&mut timeline, &[10, 12, 14]), [at(6), at(8), at(10)]);
        timeline.next_round();
        assert_eq!(places(&mut timeline, &[10]), [at(12)]);
        timeline.next_round();
        assert_eq!(places(&mut timeline, &[10]), [at(13)]);
    }
}
