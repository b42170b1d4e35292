//! How fast messages are sent that nothing else gives a time.

use std::thread;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches};

use crate::units;

/// How many messages a second a LEADS vehicle sends. The receiver of LEADS takes parts of messages for whole ones when
/// several arrive together, so what is sent to it keeps the pace that it keeps itself.
const LEADS_RATE: f64 = 30.0;

/// Who is later than this does not catch up, but goes on from here.
const LATEST: Duration = Duration::from_secs(1);

/// So many messages a second: each at its time since the first, however long each of them takes.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    /// How late one may be for the next ones to come sooner; nothing where none may follow another one closely.
    latest: Duration,
    begun: Option<Instant>,
    number: u64,
}

impl Pace {
    /// The option for it.
    pub(crate) fn option() -> Arg {
        Arg::new("rate")
            .long("rate")
            .value_name("R")
            .value_parser(units::rate)
            .help("Send R a second (default at once; --leads 30)")
    }

    /// What was asked for; `None` where nothing is waited for.
    pub(crate) fn of(matches: &ArgMatches) -> Option<Self> {
        match matches.get_one("rate") {
            Some(rate) => Some(Self::new(*rate, LATEST)),
            None => matches.get_flag("leads").then(|| Self::new(LEADS_RATE, Duration::ZERO)),
        }
    }

    fn new(rate: f64, latest: Duration) -> Self {
        Self { rate, latest, begun: None, number: 0 }
    }

    /// Waits until the next message is due.
    pub(crate) fn wait(&mut self) {
        let now = Instant::now();
        let due = self.next(now);
        thread::sleep(due.saturating_duration_since(now));
    }

    /// Waits behind the last message, where the goodbye may not follow it closely.
    pub(crate) fn wait_to_part(&mut self) {
        if self.latest.is_zero() {
            self.wait();
        }
    }

    /// When the next one is due.
    #[expect(clippy::cast_precision_loss, reason = "a nanosecond in a year is no matter")]
    fn next(&mut self, now: Instant) -> Instant {
        let begun = *self.begun.get_or_insert(now);
        let due = begun + Duration::from_secs_f64(self.number as f64 / self.rate);
        self.number += 1;
        if now.saturating_duration_since(due) <= self.latest {
            return due;
        }
        (self.begun, self.number) = (Some(now), 1);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_counts_from_the_first() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::new(100.0, LATEST);
        // Whenever it is asked, and however late.
        let due: Vec<_> = [0, 0, 3, 29, 900, 40].map(|late| pace.next(start + ms(late)) - start).into();
        assert_eq!(due, [0, 10, 20, 30, 40, 50].map(ms));
    }

    #[test]
    fn a_pause_is_not_caught_up() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::new(100.0, LATEST);
        let due: Vec<_> = [0, 5000, 5000, 5000].map(|at| pace.next(start + ms(at)) - start).into();
        assert_eq!(due, [0, 5000, 5010, 5020].map(ms));
    }

    #[test]
    fn none_follows_another_one_closely_where_that_breaks_it() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::new(100.0, Duration::ZERO);
        let due: Vec<_> = [0, 0, 25, 25, 36, 500].map(|at| pace.next(start + ms(at)) - start).into();
        assert_eq!(due, [0, 10, 25, 35, 45, 500].map(ms));
    }
}
