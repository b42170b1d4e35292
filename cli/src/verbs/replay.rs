//! `replay`: plays the vehicle, from a recording.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::Error;
use leads_comm::crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

use crate::address::Address;
use crate::console::{Failure, Keys, Redrawn, fail, on_stop, tell, usage};
use crate::endpoint::{self, Endpoint};
use crate::numbers::publishing;
use crate::recording::reading::named;
use crate::recording::words::{bytes, count, span};
use crate::replaying::ahead::{Ahead, Program};
use crate::replaying::control::Control;
use crate::replaying::edit::{Edit, TimeMember};
use crate::replaying::player::{Manner, Played, Player, Progress, RATES};
use crate::replaying::stage::{Pace, Stage};
use crate::replaying::timeline::Section;
use crate::units;

const EXAMPLES: &str = "\
Examples:
  leads-comm replay a.mcap                        a vehicle at 127.0.0.1:16900
  leads-comm replay a.mcap --serve :16900         for viewers on other machines
  leads-comm replay a.mcap --start 5m --rate 2    from minute 5, twice as fast
  leads-comm replay a.mcap --loop --retime t:ms   for ever, as if it were now";

/// What the options do not tell.
const NOTES: &str = "\
Keys, at a terminal: space pauses and goes on, s sends one message, + and -
double and halve the rate, q quits.

Messages are sent byte for byte when they are due, counted from the beginning.
A viewer that is slow loses the oldest ones, as with a vehicle, but for --fast.
What is overdue, because the machine was too busy, is sent at once, and counted
as late.

Exit code 0: it was played, or stopped by Ctrl-C. 1: it failed, or messages
could not be sent. 2: a wrong call.";

/// How often the line about the progress is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// What stands for a `--loop` without a number.
const FOR_EVER: &str = "ever";

/// How much faster or slower a key makes it.
const FACTOR: f64 = 2.0;

pub(crate) fn command() -> Command {
    let command =
        Command::new("replay").about("Play a recording: be the vehicle again").before_help(EXAMPLES).after_help(NOTES);
    let time = |name: &'static str| Arg::new(name).long(name).value_name("TIME").value_parser(time);
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let command = command.args([
        Arg::new("files")
            .value_name("FILE")
            .required(true)
            .num_args(1..)
            .value_parser(value_parser!(PathBuf))
            .help("MCAP, LEADS's CSV, JSON Lines, one after the other; - is stdin"),
        endpoint::address_argument().long("serve").help("Where to listen, as a server (default 127.0.0.1)"),
        Arg::new("connect")
            .long("connect")
            .value_name("ADDRESS")
            .value_parser(str::parse::<Address>)
            .conflicts_with_all(["address", "wait-viewers"])
            .help("Where to connect instead, as a client"),
        Arg::new("topic")
            .long("topic")
            .value_name("TOPIC")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .help("Only these, as info lists them: /leads,/frvc"),
        Arg::new("rate")
            .long("rate")
            .value_name("X")
            .default_value("1")
            .value_parser(rate)
            .help("So many times as fast"),
        time("start").help("From this on, from the first message: 90s, 5m"),
        time("duration").help("So much of it"),
        Arg::new("loop")
            .long("loop")
            .value_name("N")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(FOR_EVER)
            .value_parser(rounds)
            .help("Again and again, or N times: --loop=3"),
        time("max-gap").help("Shorten longer silences to this"),
        Arg::new("wait-viewers")
            .long("wait-viewers")
            .value_name("N")
            .value_parser(value_parser!(u32))
            .help("Begin when so many are there (default 0; --fast: 1)"),
        flag("fast").conflicts_with("rate").help("As fast as all viewers read, without losing anything"),
        flag("paused").help("Begin with a pause, which the space key ends"),
        Arg::new("retime")
            .long("retime")
            .value_name("NAME:UNIT")
            .value_parser(str::parse::<TimeMember>)
            .help("Make this JSON number now: t:ms; s, ms, us or ns"),
        flag("mark").help("Add \"replay\":true to JSON objects"),
        publishing::option(),
    ]);
    endpoint::with_options(command)
        .mut_arg("separator", |argument| argument.help("What ends a message (default as recorded)"))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let flag = |name| matches.get_flag(name);
    let time = |name| matches.get_one::<Duration>(name).copied();
    let is_client = matches.contains_id("connect");
    let here = Address::Tcp { host: Some("127.0.0.1".into()), port: None, tls: false };
    let mut endpoint = Endpoint::of(matches, matches.get_one("connect").cloned().or(Some(here)))?;
    if flag("paused") && !io::stdin().is_terminal() {
        return Err(usage("--paused waits for a key, but stdin is no terminal"));
    }

    let rounds = matches.get_one::<Option<u64>>("loop").copied().unwrap_or(Some(1));
    let files = named(matches.get_many::<PathBuf>("files").expect("it is required"));
    let section =
        Section { start: time("start").unwrap_or_default(), duration: time("duration"), max_gap: time("max-gap") };
    let topics = matches.get_many("topic").unwrap_or_default().cloned().collect();
    let ahead = Ahead::start(Program { files: files.clone(), topics, section, rounds, is_told: true })?;
    if let Some(separator) = ahead.separator().filter(|_| !has_separator(matches)) {
        endpoint.separator = match separator {
            // Messages begin with their length.
            "" => Vec::new(),
            separator => endpoint::unescape(separator).map_err(|error| {
                fail(format!("the separator of the recording is of no use: {error}: say --separator"))
            })?,
        };
    }

    let is_fast = flag("fast");
    let pace = if is_fast { Pace::Fast } else { Pace::Live };
    let (control, controls) = unbounded();
    let stage = match is_client {
        true => Stage::client(&endpoint, pace, control.clone())?,
        false => Stage::server(&endpoint, pace, control.clone())?,
    };
    let progress = Arc::new(Mutex::new(Progress::default()));
    let (stopping, stopped) = (stage.clone(), control.clone());
    on_stop(move || {
        let _ = stopped.send(Control::Stop);
        if is_fast {
            // The player may be waiting for a viewer that does not read.
            stopping.service().close();
        }
    })?;
    match stage.open() {
        Ok(()) => {}
        Err(Error::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if let Stage::Server(_) = &stage {
        endpoint.tell_listening(stage.service());
    }
    publishing::publish(matches, stage.service(), endpoint.token())?;
    let keys = keys(&control).map_err(|error| fail(format!("cannot read keys: {error}")))?;
    if flag("paused") && keys.is_none() {
        return Err(usage("--paused waits for a key, but this is not in the foreground of its terminal"));
    }

    let default_viewers = u32::from(is_fast || is_client);
    let manner = Manner {
        rate: *matches.get_one::<f64>("rate").expect("it has a default"),
        is_fast,
        is_paused: flag("paused"),
        viewers: matches.get_one::<u32>("wait-viewers").copied().unwrap_or(default_viewers) as usize,
        edit: Edit::new(matches.get_one("retime").cloned(), flag("mark")),
    };
    let drawn = Redrawn::start(EVERY, line(Arc::clone(&progress), ahead.length(), stage.clone()));
    let played = Player::new(&stage, &controls, manner, progress).play(ahead);
    drop((drawn, keys));
    stage.service().close();
    report(&stage, &played, is_fast, matches.get_one("retime"))
}

/// How often it is played; `None` for ever.
fn rounds(text: &str) -> Result<Option<u64>, String> {
    if text == FOR_EVER {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or("it is not a number from 1 on".into())
}

/// Whether somebody has said what ends messages.
fn has_separator(matches: &ArgMatches) -> bool {
    let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    ["separator", "length-prefix", "leads", "leads-video"].into_iter().any(typed)
}

/// Reads keys, where there is a terminal for them.
fn keys(control: &Sender<Control>) -> io::Result<Option<Keys>> {
    let (struck, still) = (control.clone(), control.clone());
    let struck = move |key| {
        let wanted = match key {
            b' ' => Control::Pause,
            b's' => Control::Step,
            b'+' | b'=' => Control::Rate(FACTOR),
            b'-' => Control::Rate(1.0 / FACTOR),
            b'q' => Control::Stop,
            _ => return,
        };
        let _ = struck.send(wanted);
    };
    Keys::read(struck, move |time| {
        let _ = still.send(Control::StoodStill(time));
    })
}

/// The line that is drawn while it plays; `length` is how long that takes, in nanoseconds of the recording.
fn line(progress: Arc<Mutex<Progress>>, length: Option<u64>, stage: Stage) -> impl FnMut() -> String + Send + 'static {
    move || {
        let Progress { position, rate, is_paused, waits_for, messages, bytes: sent } = progress.lock().clone();
        let there = stage.service().num_connections();
        if waits_for > 0 {
            return format!("waiting for {} more ({there} there)", count(waits_for as u64, "viewer"));
        }
        let state = if is_paused { "  PAUSED".into() } else { format!("  x{rate}") };
        let (messages, sent) = (count(messages, "message"), bytes(sent));
        let length = length.map_or(String::new(), |length| format!(" of {}", span(length)));
        format!("{}{length}{state}  {messages}, {sent}  {}", span(position), count(there as u64, "viewer"))
    }
}

/// The last line, and whether all went well.
fn report(stage: &Stage, played: &Played, is_fast: bool, retime: Option<&TimeMember>) -> Result<(), Failure> {
    let mut line = format!("{} sent, {}", count(played.messages, "message"), bytes(played.bytes));
    let lateness = &played.lateness;
    if let (Some(p50), Some(p99)) = (lateness.percentile(50), lateness.percentile(99)) {
        let max = lateness.max();
        line += &format!("; late by {p50:.1?} (p50), {p99:.1?} (p99), {max:.1?} (max)");
    }
    tell(line);
    if played.unseen > 0 {
        tell(format_args!("{} of them when no viewer was there", played.unseen));
    }
    let dropped = stage.service().stats().traffic.dropped;
    if dropped.messages > 0 && !is_fast {
        let lost = count(dropped.messages, "message");
        tell(format_args!("{lost} ({}) lost by viewers that read too slowly", bytes(dropped.bytes)));
    }
    if let Some(time) = retime.filter(|_| played.messages > 0 && !played.has_retimed) {
        tell(format_args!("no message has a number {}", time.name()));
    }
    if let Some(why) = &played.why_refused {
        let refused = count(played.refused, "message");
        return Err(fail(format!("{refused} could not be sent, the first one because: {why}")));
    }
    match played.unconnected {
        0 => Ok(()),
        unconnected => Err(fail(format!("{} not sent: there was no connection", count(unconnected, "message")))),
    }
}

/// How many times as fast.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.strip_prefix('x').unwrap_or(text).parse().ok();
    let (slowest, fastest) = RATES;
    rate.filter(|rate| (slowest..=fastest).contains(rate)).ok_or(format!("is no rate from {slowest} to {fastest}"))
}

/// A time, or none.
fn time(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { units::time(text) }
}
