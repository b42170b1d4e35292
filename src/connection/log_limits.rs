//! Log lines that a peer can cause, limited in number, so that no peer can flood the log. How many were left out is
//! said as soon as there is room for a line, and at the latest when the service has closed.
//!
//! Before such a line, [`Engine::may_log`](crate::connection::engine::Engine::may_log) is asked, with its topic.

use std::mem;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connection::pump::{Deadline, Watched};
use crate::sync::later;
use crate::sync::user_code::warn;

/// How many lines about one topic a service may log within any [`PERIOD`], among them those that say how many were left
/// out.
const LINES: usize = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// What a line is about. Each has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Peers that were dropped for cause.
    Dropped,
    /// What is told to `on_fail`.
    Failure,
    /// That `on_fail` itself panicked.
    FailPanic,
}

impl Topic {
    const ALL: [Self; 3] = [Self::Dropped, Self::Failure, Self::FailPanic];

    fn about(self) -> &'static str {
        match self {
            Self::Dropped => "dropped connections",
            Self::Failure => "failures",
            Self::FailPanic => "panics of on_fail",
        }
    }
}

/// The limits of one service.
#[derive(Debug, Default)]
pub(crate) struct LogLimits {
    /// What the service is called, once it has been started.
    name: OnceLock<String>,
    topics: [Mutex<Limit>; Topic::ALL.len()],
}

/// What to do about a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Log,
    /// It is one of those that are left out. The first of them tells when there will be room to say so.
    LeaveOut {
        first_until: Option<Instant>,
    },
}

impl LogLimits {
    pub(crate) fn set_name(&self, name: &str) {
        let _ = self.name.set(name.to_owned());
    }

    /// Whether a line may be logged now; says first how many were left out before it.
    pub(crate) fn ask(&self, topic: Topic, now: Instant) -> Verdict {
        let (left_out, verdict) = self.topics[topic as usize].lock().ask(now);
        self.say(topic, left_out);
        verdict
    }

    /// Says what has not been said yet, whether or not there is room.
    pub(crate) fn say_all(&self) {
        for (topic, limit) in Topic::ALL.into_iter().zip(&self.topics) {
            let left_out = mem::take(&mut limit.lock().left_out);
            self.say(topic, left_out);
        }
    }

    fn say(&self, topic: Topic, left_out: u64) {
        if left_out > 0 {
            let name = self.name.get().map_or("a service", String::as_str);
            warn!("{name}: {left_out} more lines about {} were left out", topic.about());
        }
    }
}

/// So that the pump says what was left out, where nothing else is logged.
impl Watched for LogLimits {
    fn check_deadline(&self, _: Deadline, live: Instant) -> Option<Instant> {
        let now = Instant::now();
        let mut next = None;
        for (topic, limit) in Topic::ALL.into_iter().zip(&self.topics) {
            let settled = limit.lock().settle(now);
            match settled {
                Ok(left_out) => self.say(topic, left_out),
                Err(at) => next = next.into_iter().chain([later(live, at - now)]).min(),
            }
        }
        next
    }
}

/// For those of a callback that outlived its service.
impl Drop for LogLimits {
    fn drop(&mut self) {
        self.say_all();
    }
}

/// One topic's lines. Pure: it is told the time, and logs nothing.
#[derive(Debug, Default)]
struct Limit {
    /// When the last lines were logged, around and around.
    times: [Option<Instant>; LINES],
    next: usize,
    left_out: u64,
}

impl Limit {
    /// How many left-out lines to tell of first, and what to do about a line.
    fn ask(&mut self, now: Instant) -> (u64, Verdict) {
        let told = self.settle(now).unwrap_or(0);
        if self.left_out > 0 {
            self.left_out += 1;
            return (told, Verdict::LeaveOut { first_until: None });
        }
        match self.take_room(now) {
            Ok(()) => (told, Verdict::Log),
            Err(at) => {
                self.left_out = 1;
                (told, Verdict::LeaveOut { first_until: Some(at) })
            }
        }
    }

    /// How many left-out lines to tell of, with the room for it; or when there will be some.
    fn settle(&mut self, now: Instant) -> Result<u64, Instant> {
        if self.left_out > 0 {
            self.take_room(now)?;
        }
        Ok(mem::take(&mut self.left_out))
    }

    /// Takes room for a line; or tells when there will be some.
    fn take_room(&mut self, now: Instant) -> Result<(), Instant> {
        let room = &mut self.times[self.next];
        match room.map(|time| later(time, PERIOD)) {
            Some(at) if at > now => Err(at),
            _ => {
                *room = Some(now);
                self.next = (self.next + 1) % LINES;
                Ok(())
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Lines that come at these milliseconds: those that are logged, with how many left out are told of before them.
    fn logged(times: impl IntoIterator<Item = u64>) -> (Vec<(u64, u64)>, u64) {
        let begun = Instant::now();
        let mut limit = Limit::default();
        let mut lines = Vec::new();
        for time in times {
            let (left_out, verdict) = limit.ask(begun + Duration::from_millis(time));
            if verdict == Verdict::Log || left_out > 0 {
                lines.push((time, left_out));
            }
        }
        (lines, limit.left_out)
    }

    #[test]
    fn a_few_lines_pass() {
        let (lines, left_out) = logged((0..100).map(|number| number * 100));
        assert_eq!((lines.len(), left_out), (100, 0));
    }

    #[test]
    fn a_flood_is_limited_in_every_period_and_nothing_is_forgotten() {
        const FLOOD: u64 = 5000;
        let begun = Instant::now();
        let mut limit = Limit::default();
        let mut lines = Vec::new();
        let (mut passed, mut told) = (0, 0);
        for time in 0..FLOOD {
            let (left_out, verdict) = limit.ask(begun + Duration::from_millis(time));
            lines.extend((left_out > 0).then_some(time));
            told += left_out;
            if verdict == Verdict::Log {
                lines.push(time);
                passed += 1;
            }
        }
        assert_eq!(passed + told + limit.left_out, FLOOD);
        assert_eq!(lines.len(), LINES * 5);
        assert!(lines.windows(LINES + 1).all(|some| some[LINES] - some[0] >= 1000), "{lines:?}");
    }

    #[test]
    fn what_was_left_out_is_told_before_the_next_line() {
        let burst = (0..12).map(|_| 0).chain([1500]);
        let (lines, left_out) = logged(burst);
        assert_eq!(lines.last(), Some(&(1500, 2)));
        assert_eq!((lines.len(), left_out), (LINES + 1, 0));
    }

    #[test]
    fn the_first_that_is_left_out_tells_until_when() {
        let now = Instant::now();
        let mut limit = Limit::default();
        (0..LINES).for_each(|_| assert_eq!(limit.ask(now).1, Verdict::Log));
        let until = now + PERIOD;
        assert_eq!(limit.ask(now).1, Verdict::LeaveOut { first_until: Some(until) });
        assert_eq!(limit.ask(now).1, Verdict::LeaveOut { first_until: None });
        assert_eq!(limit.settle(now), Err(until));
        assert_eq!(limit.settle(until), Ok(2));
        assert_eq!(limit.settle(until), Ok(0));
    }
}
