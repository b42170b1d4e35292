//! `send`: a client that sends what is typed or piped, and may wait for answers.

mod feed;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::{
    Callback, Client, Closing, Connection, DisconnectCause, DisconnectReason, Error, Service, SlowConsumer, Timeouts,
};
use parking_lot::Mutex;

use crate::console::{Failure, Lines, fail, hurry, on_stop, stop_when_unread};
use crate::endpoint::{self, Endpoint, Status};
use crate::pace::Pace;
use crate::show::{self, End, Printer, Until};
use crate::units;
use feed::{Busy, Fed, Feed, Line, Source};

const EXAMPLES: &str = "\
Examples:
  leads-comm send 10.0.0.4 time_lap           one message; each argument is one
  leads-comm send 10.0.0.4 < messages         a message a line
  leads-comm send 10.0.0.4 'lap?' --wait 2s --answers 1   and print the answer
  leads-comm send 10.0.0.4 ping --count 100 --rate 10";

/// What exit codes tell.
const EXIT_CODES: &str = "\
Exit code 0: everything was sent; or Ctrl-C or --duration ended it while lines
were read. 1: something was not sent, or the server left before that. 2: a wrong
call. 3: fewer answers than --answers says.";

/// How long a server that reads slowly is waited for: rather long than lose a line of a large file.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the server is given to read the rest and to answer our goodbye, once all is written; also one that talks on
/// and never answers.
const DRAIN: Duration = Duration::from_secs(5);

/// The same for a device at a serial line, which knows no goodbye as a rule.
const SERIAL_DRAIN: Duration = Duration::from_millis(500);

/// How long all of that may take after Ctrl-C.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often it is looked whether the feed still has something to tell.
const MOMENT: Duration = Duration::from_millis(10);

pub(crate) fn command() -> Command {
    let command = Command::new("send")
        .about("Send messages to a server or a device")
        .before_help(EXAMPLES)
        .after_help(EXIT_CODES)
        .args([
            endpoint::address_argument().required(true),
            Arg::new("message")
                .value_name("MESSAGE")
                .num_args(0..)
                .value_parser(value_parser!(OsString))
                .help("What to send (default: the lines of stdin)"),
        ])
        .next_help_heading("Sending")
        .args([
            Arg::new("count")
                .long("count")
                .value_name("N")
                .value_parser(units::count)
                .default_value("1")
                .hide_default_value(true)
                .help("Send each message N times"),
            Pace::option(),
            Arg::new("wait")
                .short('W')
                .long("wait")
                .value_name("TIME")
                .value_parser(units::time)
                .help("Print what comes, and stay until so much silence"),
            Arg::new("answers")
                .long("answers")
                .value_name("N")
                .requires("wait")
                .value_parser(units::count)
                .help("With --wait: stay for N messages only"),
            Until::duration(),
            Arg::new("reconnect")
                .long("reconnect")
                .action(ArgAction::SetTrue)
                .help("Connect again until everything is sent"),
        ]);
    let null = "NUL instead of a newline, read or printed";
    let command = show::with_options(command).mut_arg("null", |arg| arg.help(null));
    // Nothing is printed unless something is waited for.
    let command =
        ["format", "fields"].into_iter().fold(command, |all, name| all.mut_arg(name, |arg| arg.requires("wait")));
    endpoint::with_options(command)
}

/// What the main thread waits for.
enum News {
    /// Nothing more is sent.
    Fed(io::Result<Fed>),
    /// A connection has ended; how many messages are lost with it.
    Disconnected(DisconnectReason, u64),
    /// The client has ended, or could not begin.
    Ended(Result<(), Error>),
    /// It has gone on for as long as was asked for.
    TimeUp,
    /// Ctrl-C, or nobody reads stdout any more.
    Stopped,
}

/// What happens with the connection, or with one after the other.
struct Sending {
    status: Status,
    /// Where answers are wanted.
    printer: Option<Printer>,
    until: Until,
    reconnects: bool,
    /// What no connection has written yet, for the next one.
    unsent: Mutex<Vec<Vec<u8>>>,
    line: Sender<Line>,
    news: Sender<News>,
}

impl Callback for Sending {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let mut unsent = self.unsent.lock().split_off(0).into_iter();
        // Before anything newer. What is not accepted any more is for the connection after this one.
        let refused = unsent.find(|message| connection.send(message).is_err());
        self.unsent.lock().extend(refused.into_iter().chain(unsent));
        let _ = self.line.send(Line::Up(connection.clone()));
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        if let Some(printer) = &self.printer {
            self.until.count(|| printer.show(connection, message));
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let unsent = connection.take_unsent();
        let lost = reason.undelivered.unsent.messages.saturating_sub(unsent.len() as u64);
        self.unsent.lock().splice(0..0, unsent);
        let _ = self.line.send(Line::Down { has_unsent: reason.undelivered.unsent.messages > 0 });
        let _ = self.news.send(News::Disconnected(reason.clone(), lost));
        if !self.reconnects {
            self.until.end();
        }
    }
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let endpoint = Endpoint::of(matches, None)?;
    let waits = matches.contains_id("wait");
    let reconnects = matches.get_flag("reconnect");
    let (tell, news) = mpsc::channel();
    let (tell_line, line) = mpsc::channel();
    let sending = Arc::new(Sending {
        status: endpoint.status(),
        printer: if waits { Some(Printer::of(matches, false)?) } else { None },
        until: Until::new(matches.get_one("answers").copied(), matches),
        reconnects,
        unsent: Mutex::default(),
        line: tell_line,
        news: tell.clone(),
    });
    let (client, place) = client(&endpoint, &sending)?;
    if let Some(printer) = &sending.printer {
        printer.begin();
    }
    let busy = Busy::default();
    let source = match matches.get_many::<OsString>("message") {
        Some(messages) => Source::Arguments(messages.cloned().collect()),
        None if matches.get_flag("null") => Source::Stdin(Lines::of_stdin(endpoint.max_message_len).ended_by_nul()),
        None => Source::Stdin(Lines::of_stdin(endpoint.max_message_len)),
    };
    let is_typed = matches!(source, Source::Stdin(_));
    let count = matches.get_one("count").copied().expect("it has a default");
    let feed = Feed { source, count, pace: Pace::of(matches), line, reconnects, busy: busy.clone() };

    let (stopping, stopped, until) = (client.clone(), tell.clone(), Arc::clone(&sending));
    if let Some(time) = sending.until.left() {
        let (stopping, stopped) = (client.clone(), tell.clone());
        // Ends with the process.
        thread::spawn(move || {
            thread::sleep(time);
            hurry();
            close_aside(&stopping);
            let _ = stopped.send(News::TimeUp);
        });
    }
    on_stop(move || {
        close_aside(&stopping);
        let _ = stopped.send(News::Stopped);
        until.until.end();
    })?;
    // Not on this thread, which has to hear of Ctrl-C also while the client connects.
    let (starting, ended, until) = (client.clone(), tell.clone(), Arc::clone(&sending));
    thread::spawn(move || {
        let _ = ended.send(News::Ended(starting.start(&place, false)));
        until.until.end();
    });
    thread::spawn(move || tell.send(News::Fed(feed.run())));
    let outcome = Outcome::of(&client, &sending, waits, &busy, &news);
    outcome.judged(&sending, is_typed)
}

/// A client that rather waits than loses anything, and what its `start` is given.
fn client(endpoint: &Endpoint, sending: &Arc<Sending>) -> Result<(Client, String), Failure> {
    let (mut builder, place) = endpoint.client()?;
    if sending.reconnects {
        builder = builder.reconnect(endpoint::reconnect()).keep_unsent(true);
    }
    let drain = if endpoint.is_serial() { SERIAL_DRAIN } else { DRAIN };
    let client = builder
        .slow_consumer(SlowConsumer::Block(PATIENCE))
        .timeouts(Timeouts::new().stall_timeout(PATIENCE))
        // The feed has waited until all is written.
        .closing(Closing::new().flush_timeout(drain).drain_timeout(drain).close_timeout(drain))
        .callback((endpoint.watch(), (sending.status.clone(), Arc::clone(sending))))
        .build()?;
    Ok((client, place))
}

/// Begins the client's end; not here, because it lasts until everything is sent.
fn close_aside(client: &Client) {
    let client = client.clone();
    thread::spawn(move || client.close());
}

/// What has happened, up to the end.
#[derive(Default)]
struct Outcome {
    fed: Option<Fed>,
    broken: Option<io::Error>,
    reason: Option<DisconnectReason>,
    lost: u64,
    /// Why no more answers were waited for.
    answered: Option<End>,
    has_stopped: bool,
    /// `None` if nobody waited for it.
    ended: Option<Result<(), Error>>,
}

impl Outcome {
    /// Waits until the client has ended; after Ctrl-C not for long.
    fn of(client: &Client, sending: &Sending, waits: bool, busy: &Busy, news: &Receiver<News>) -> Self {
        let mut this = Self::default();
        let mut deadline = None;
        loop {
            let left =
                deadline.map_or(Duration::MAX, |deadline: Instant| deadline.saturating_duration_since(Instant::now()));
            // The feed tells in a moment what it has in hand, now that there is no connection; or it waits again.
            let left = if this.ended.is_some() { left.min(MOMENT) } else { left };
            let news = match news.recv_timeout(left) {
                Ok(news) => news,
                Err(_) if this.ended.is_some() && busy.get() && deadline.is_none_or(|end| end > Instant::now()) => {
                    continue;
                }
                Err(_) => return this,
            };
            match news {
                News::Fed(Ok(fed)) => {
                    this.fed = Some(fed);
                    if waits && fed.all {
                        // There is nothing left to do but to print.
                        stop_when_unread();
                        this.answered = Some(sending.until.wait());
                    }
                    close_aside(client);
                }
                News::Fed(Err(error)) => {
                    this.broken = Some(error);
                    close_aside(client);
                }
                News::Disconnected(reason, lost) => {
                    this.lost += lost;
                    this.reason = Some(reason);
                }
                // The end is as patient as any other.
                News::TimeUp => this.has_stopped = true,
                News::Stopped => {
                    this.has_stopped = true;
                    deadline.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                }
                News::Ended(outcome) => this.ended = Some(outcome),
            }
            if this.ended.is_some() && (this.fed.is_some() || !busy.get()) {
                return this;
            }
        }
    }

    /// What it is worth.
    fn judged(mut self, sending: &Sending, is_typed: bool) -> Result<(), Failure> {
        if let Some(error) = self.broken {
            return Err(fail(format!("cannot read stdin: {error}")));
        }
        match self.ended.take() {
            None => return Err(fail("interrupted before the server said goodbye")),
            Some(Ok(()) | Err(Error::Closed)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
        let has_read_all = self.fed.is_some_and(|fed| fed.all);
        if let (Some(reason), false) = (&self.reason, sending.reconnects) {
            let is_expected = match reason.cause {
                DisconnectCause::LocalClose | DisconnectCause::ServiceClosed => true,
                DisconnectCause::PeerGoodbye => has_read_all,
                _ => false,
            };
            if !is_expected || reason.undelivered.unsent.messages > 0 {
                return Err(fail(sending.status.cause()));
            }
        }
        let lost = self.lost + sending.unsent.lock().len() as u64;
        match (lost, self.fed.map_or(0, |fed| fed.unsent)) {
            (0, 0) if self.has_stopped && !has_read_all && !is_typed => {
                Err(fail("interrupted before everything was sent"))
            }
            (0, 0) => self.answered.map_or(Ok(()), |end| answers(end, &sending.until)),
            (0, unsent) => Err(fail(format!("messages that were not sent: {unsent}"))),
            (lost, _) => Err(fail(format!("messages that were lost: {lost}"))),
        }
    }
}

/// Whether there were as many answers as were wanted.
fn answers(end: End, until: &Until) -> Result<(), Failure> {
    match (end, until.missing()) {
        (_, None) => Ok(()),
        (End::Silence | End::TimeUp, _) => until.judge(end, "answers"),
        (_, Some((come, count))) => Err(fail(format!("the server has left after {come} of {count} answers"))),
    }
}
