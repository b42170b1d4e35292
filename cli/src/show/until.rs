//! When a verb has shown enough: after so many messages, after so much silence, or after so long.

use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use parking_lot::{Condvar, Mutex};

use crate::console::{Failure, hurry};
use crate::units;

/// How many messages are wanted, how long nothing may come, and how long it may take.
#[derive(Debug)]
pub(crate) struct Until {
    count: Option<u64>,
    silence: Option<Duration>,
    /// How long after the beginning, which is when this was made.
    duration: Option<Duration>,
    begun: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// How many messages have come, up to those that are wanted.
    come: u64,
    /// How many of them are just being shown, which is no silence, however long it takes.
    in_hand: u64,
    /// Since when nothing has come.
    since: Instant,
    has_ended: bool,
}

/// Why nothing more is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As many messages as were wanted have come.
    Enough,
    /// Nothing has come for as long as was asked for.
    Silence,
    /// As much time is over as was asked for.
    TimeUp,
    /// It was [told](Until::end) to end.
    Told,
}

impl Until {
    /// Gives a verb the options for it.
    pub(crate) fn with_options(command: Command) -> Command {
        command.next_help_heading("End").args([
            Arg::new("count")
                .short('c')
                .long("count")
                .value_name("N")
                .value_parser(units::count)
                .help("End after N messages"),
            Arg::new("wait")
                .short('W')
                .long("wait")
                .value_name("TIME")
                .value_parser(units::time)
                .help("End after so much silence: 500ms, 2m, 1h30m; 5 is 5s"),
            Self::duration(),
        ])
    }

    /// The option that says how long it may take.
    pub(crate) fn duration() -> Arg {
        Arg::new("duration")
            .long("duration")
            .value_name("TIME")
            .value_parser(units::time)
            .help("End after so long: 90s, 10m, 1h30m; 5 is 5s")
    }

    /// What was asked for.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        Self::new(matches.get_one("count").copied(), matches)
    }

    /// The same, of so many messages.
    pub(crate) fn new(count: Option<u64>, matches: &ArgMatches) -> Self {
        Self::after(count, matches.get_one("wait").copied(), matches.get_one("duration").copied())
    }

    fn after(count: Option<u64>, silence: Option<Duration>, duration: Option<Duration>) -> Self {
        let begun = Instant::now();
        let state = State { come: 0, in_hand: 0, since: begun, has_ended: false };
        Self { count, silence, duration, begun, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// How much of the time is left, if there is an end to it.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.duration.map(|duration| duration.saturating_sub(self.begun.elapsed()))
    }

    /// Shows one more message, unless there have been enough.
    pub(crate) fn count(&self, show: impl FnOnce()) {
        {
            let mut state = self.state.lock();
            if self.count == Some(state.come) {
                return;
            }
            state.come += 1;
            state.in_hand += 1;
        }
        show();
        let mut state = self.state.lock();
        state.in_hand -= 1;
        state.since = Instant::now();
        let is_enough = self.count == Some(state.come) && state.in_hand == 0;
        drop(state);
        if is_enough {
            self.changed.notify_all();
        }
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.state.lock().has_ended = true;
        self.changed.notify_all();
    }

    /// Blocks until enough, silence or the end. The silence begins now, at the earliest. When the time is up, nothing that
    /// is printed is waited for for long, as after Ctrl-C.
    pub(crate) fn wait(&self) -> End {
        let mut state = self.state.lock();
        state.since = Instant::now();
        loop {
            if self.count == Some(state.come) && state.in_hand == 0 {
                return End::Enough;
            }
            if self.left() == Some(Duration::ZERO) {
                drop(state);
                hurry();
                return End::TimeUp;
            }
            if state.has_ended {
                return End::Told;
            }
            // What is being shown is no silence.
            let quiet = if state.in_hand > 0 { Duration::ZERO } else { state.since.elapsed() };
            let patience = self.silence.map(|silence| silence.saturating_sub(quiet));
            if patience == Some(Duration::ZERO) {
                return End::Silence;
            }
            match patience.into_iter().chain(self.left()).min() {
                Some(time) => drop(self.changed.wait_for(&mut state, time)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// What it is worth that it was silent, or the time is up: a failure if more `messages`, whatever they are called,
    /// were wanted.
    pub(crate) fn judge(&self, end: End, messages: &str) -> Result<(), Failure> {
        let Some((come, count)) = self.missing() else { return Ok(()) };
        let why = match (end, self.silence, self.duration) {
            (End::Silence, Some(silence), _) => format!(", and then nothing for {silence:?}"),
            (End::TimeUp, _, Some(duration)) => format!(" in {duration:?}"),
            _ => return Ok(()),
        };
        Err(Failure::TimedOut(format!("{come} of {count} {messages} came{why}")))
    }

    /// How many of how many messages have come, where it matters.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        let come = self.state.lock().come;
        self.count.filter(|count| come < *count).map(|count| (come, count))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[test]
    fn no_more_are_shown_than_are_wanted() {
        let until = Until::after(Some(2), Some(Duration::from_secs(3600)), None);
        let mut shown = 0;
        for _ in 0..5 {
            until.count(|| shown += 1);
        }
        assert_eq!((until.wait(), shown, until.missing()), (End::Enough, 2, None));
    }

    #[test]
    fn silence_ends_it_also_when_nothing_has_come() {
        let until = Until::after(Some(2), Some(MOMENT), None);
        assert_eq!((until.wait(), until.missing()), (End::Silence, Some((0, 2))));
        until.count(|| ());
        assert_eq!((until.wait(), until.missing()), (End::Silence, Some((1, 2))));
    }

    #[test]
    fn what_is_being_shown_is_no_silence() {
        let until = Until::after(None, Some(MOMENT), None);
        let (go, gone) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let shown = &until;
        thread::scope(|scope| {
            scope.spawn(move || {
                shown.count(|| {
                    begun.send(()).unwrap();
                    // For longer than the silence, however slow the machine is.
                    gone.recv().unwrap();
                });
            });
            begins.recv().unwrap();
            let waiting = scope.spawn(|| until.wait());
            thread::sleep(5 * MOMENT);
            assert!(!waiting.is_finished());
            go.send(()).unwrap();
            assert_eq!(waiting.join().unwrap(), End::Silence);
        });
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let until = Until::after(Some(1), None, None);
        until.end();
        assert_eq!(until.wait(), End::Told);
    }

    #[test]
    fn it_ends_when_the_time_is_up_also_while_something_is_shown() {
        let until = Until::after(Some(2), Some(Duration::from_secs(3600)), Some(MOMENT));
        until.count(|| assert_eq!(until.wait(), End::TimeUp));
        let Err(Failure::TimedOut(why)) = until.judge(End::TimeUp, "messages") else { panic!("it is no failure") };
        assert_eq!(why, "1 of 2 messages came in 20ms");
    }
}
