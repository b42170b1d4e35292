//! `record`: a client, or a server, that keeps what it is sent.

mod receiver;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::Closing;

use crate::address::Address;
use crate::console::{Failure, complain, fail, on_stop, stop_when_unread, tell, usage};
use crate::endpoint::{self, Endpoint, Side};
use crate::recording::channels::{DEFAULT_NAME, escape};
use crate::recording::clock::Clock;
use crate::recording::file::{Destination, outlive_limits};
use crate::recording::progress::{self, Drawn};
use crate::recording::queue::{PATIENCE, Queue};
use crate::recording::reading::Format;
use crate::recording::recorder::{FormKind, Outcome, Plan, Recorder, Split};
use crate::recording::words::{bytes, count, length};
use crate::show::{End, Until};
use crate::units;
use receiver::Receiver;

const EXAMPLES: &str = "\
Examples:
  leads-comm record 10.0.0.4 --leads     into leads-DATE_TIME.mcap, until Ctrl-C
  leads-comm record 10.0.0.4 -o drive.mcap --duration 10m
  leads-comm record 10.0.0.4 --csv       the CSV of LEADS's data tools
  leads-comm record --serve :16900 --split 1h     what clients send";

const EXIT_CODES: &str = "\
Exit code 0: it was ended by Ctrl-C, -c, -W or --duration. 1: it failed, or the
file could not be written, or the connection was lost with --no-reconnect.
2: a wrong call. 3: silence, or the time was up, before -c was reached.";

/// How much may wait to be written, in bytes: four seconds of 20,000 messages a second.
const BUFFER: usize = 64 << 20;

/// How often a file is brought to the disk.
const SYNC: Duration = Duration::from_secs(5);

pub(crate) fn command() -> Command {
    let command = Command::new("record")
        .about("Keep what a server, a device, or clients send, with its times")
        .before_help(EXAMPLES)
        .after_help(EXIT_CODES)
        .arg(endpoint::address_argument().required_unless_present("serve"))
        .next_help_heading("Recording")
        .args([
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where to, - for stdout (default leads-DATE_TIME.mcap)"),
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Replace a file that exists, once there is a message"),
            Arg::new("csv")
                .long("csv")
                .action(ArgAction::SetTrue)
                .help("Only LEADS's frames, in its own CSV; also if FILE ends in .csv"),
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .value_parser(name)
                .conflicts_with("csv")
                .help("The topic of JSON objects is /NAME (default leads)"),
            Arg::new("split")
                .long("split")
                .value_name("TIME|SIZE")
                .value_parser(split)
                .help("A new file after so long, or so large: 10m, 1GiB"),
            Arg::new("serve")
                .long("serve")
                .action(ArgAction::SetTrue)
                .help("Be the server that others connect to (default 127.0.0.1)"),
            Arg::new("no-reconnect")
                .long("no-reconnect")
                .action(ArgAction::SetTrue)
                .conflicts_with("serve")
                .help("End with the connection, instead of connecting again"),
            Arg::new("buffer")
                .long("buffer")
                .value_name("SIZE")
                .value_parser(units::size)
                .help("How much may wait for the disk (default 64M)"),
            Arg::new("lossless")
                .long("lossless")
                .action(ArgAction::SetTrue)
                .help("Let the other side wait for a slow disk, and lose nothing"),
            Arg::new("sync")
                .long("sync")
                .value_name("TIME")
                .value_parser(units::time)
                .help("How often the file is brought to the disk (default 5s)"),
        ]);
    endpoint::with_options(Until::with_options(command))
}

/// `10m` is a time; `10M`, with a larger unit or with `B`, a size.
fn split(text: &str) -> Result<Split, String> {
    if text.ends_with(|character: char| character.is_ascii_digit()) {
        return Err("a unit is needed: 10m is ten minutes, 10MB ten million bytes".into());
    }
    if let Ok(time) = units::time(text) {
        return Ok(Split::After(time));
    }
    let len = units::len(text).map_err(|_| "not a time or a size such as 10m, 1h30m, 500MB or 1GiB")?;
    Ok(Split::At(len))
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-./".contains(character);
    match !text.is_empty() && !text.starts_with('/') && text.chars().all(is_plain) {
        true => Ok(text.into()),
        false => Err("has to be of letters, digits, _, -, . and /".into()),
    }
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let serves = matches.get_flag("serve");
    let here = Address::Tcp { host: Some("127.0.0.1".into()), port: None, tls: false };
    let endpoint = Arc::new(Endpoint::of(matches, serves.then_some(here))?);
    outlive_limits();
    let until = Arc::new(Until::of(matches));
    let limit = matches.get_one::<usize>("buffer").copied().unwrap_or(BUFFER);
    let patience = (!matches.get_flag("lossless")).then_some(PATIENCE);
    let queue = Arc::new(Queue::new(limit, patience, Clock::start()));
    let receiver = Receiver::new(Arc::clone(&endpoint), serves, Arc::clone(&queue), Arc::clone(&until));
    let receiver = Arc::new(receiver);
    let side = side(matches, &endpoint, &receiver)?;

    let ending = Arc::clone(&until);
    let plan = plan(matches, &endpoint, &receiver)?;
    let prints = matches!(plan.destination, Destination::Stdout);
    let goes_on = serves && !prints;
    let recorder = Recorder::start(plan, Arc::clone(&queue), move |outcome| {
        // A server goes on serving; a client has nothing else to do, and says it as the last thing. So does who prints,
        // which ends with stdout.
        if goes_on {
            complain(format_args!("leads-comm: {}; serving goes on", stopped(outcome)));
        } else {
            ending.end();
        }
    });
    let recorder = recorder.map_err(|broken| fail(broken.to_string()))?;
    match matches.get_one("split") {
        Some(Split::After(time)) => tell(format_args!("a new file every {}", length(*time))),
        Some(Split::At(len)) => tell(format_args!("a new file every {}", bytes(*len))),
        None => {}
    }
    let has_stopped = stop_on(&until)?;
    if prints {
        stop_when_unread();
    }
    let drawn = Drawn::start(Arc::clone(&queue), recorder.len());

    let (starting, ending) = (side.clone(), Arc::clone(&until));
    // However short the time is, a server has listened.
    let begun = side.begin();
    let running = thread::spawn(move || {
        let outcome = begun.and_then(|()| starting.go_on());
        ending.end();
        outcome
    });
    let end = until.wait();
    // Says goodbye; what has arrived is still received.
    side.close();
    let outcome = running.join().expect("the library does not panic");
    let recorded = recorder.finish();
    drawn.end();
    let (_, lost) = queue.volumes();

    if recorded.failure.is_some() {
        let again = "the recording is not complete, as was said when it stopped";
        return Err(fail(if goes_on && recorded.is_early { again.into() } else { stopped(&recorded) }));
    }
    tell(progress::summary(&recorded, lost, receiver.unfinished(), queue.clock()));
    match end {
        End::Enough => Ok(()),
        End::Silence | End::TimeUp => until.judge(end, "messages"),
        End::Told => match outcome {
            Ok(()) if has_stopped.load(Ordering::Relaxed) => Ok(()),
            Ok(()) => receiver.outcome(),
            Err(error) => Err(error.into()),
        },
    }
}

/// Has a signal end it; whether one has.
fn stop_on(until: &Arc<Until>) -> Result<Arc<AtomicBool>, Failure> {
    let has_stopped = Arc::new(AtomicBool::new(false));
    let (stopped, until) = (Arc::clone(&has_stopped), Arc::clone(until));
    on_stop(move || {
        stopped.store(true, Ordering::Relaxed);
        until.end();
    })?;
    Ok(has_stopped)
}

fn side(matches: &ArgMatches, endpoint: &Endpoint, receiver: &Arc<Receiver>) -> Result<Side, Failure> {
    // Where nothing may be lost, what is on its way is worth a few seconds.
    let closing = if matches.get_flag("lossless") { Closing::default() } else { endpoint::closing() };
    if matches.get_flag("serve") {
        let builder = endpoint.server()?.closing(closing);
        return Ok(Side::Server(builder.callback((endpoint.watch(), Arc::clone(receiver))).build()?));
    }
    let (builder, place) = endpoint.client()?;
    let mut builder = builder.closing(closing);
    if !matches.get_flag("no-reconnect") {
        builder = builder.reconnect(endpoint::reconnect());
    }
    let client = builder.callback((endpoint.watch(), (receiver.status(), Arc::clone(receiver)))).build()?;
    Ok(Side::Client(client, place))
}

fn plan(matches: &ArgMatches, endpoint: &Endpoint, receiver: &Receiver) -> Result<Plan, Failure> {
    let output = matches.get_one::<PathBuf>("output");
    let name = matches.get_one::<String>("name");
    let named = output.and_then(|path| Format::named(path));
    let csv = matches.get_flag("csv") || named == Some(Format::Csv);
    if named == Some(Format::JsonLines) {
        return Err(usage("record writes MCAP or CSV, and convert makes JSON Lines of them"));
    }
    if csv && named == Some(Format::Mcap) {
        return Err(usage("--csv writes no MCAP: give FILE another ending"));
    }
    if csv && name.is_some() {
        return Err(usage("--name is for MCAP: a CSV has no topics"));
    }
    if !csv && output.is_some_and(|path| path == Path::new("-")) && io::stdout().is_terminal() {
        return Err(usage("an MCAP is nothing to look at: -o - needs a pipe or a file at stdout"));
    }
    let destination = match output {
        None => Destination::Dated { extension: if csv { "csv" } else { "mcap" } },
        Some(path) if path == Path::new("-") => Destination::Stdout,
        Some(path) => Destination::Named { path: path.clone(), replaces: matches.get_flag("force") },
    };
    let split = matches.get_one("split").copied();
    if let (Destination::Stdout, Some(_)) = (&destination, split) {
        return Err(usage("--split needs files, and stdout is none"));
    }
    let name = name.map_or(DEFAULT_NAME, String::as_str);
    Ok(Plan {
        destination,
        form: if csv { FormKind::Csv } else { FormKind::Mcap(name.into()) },
        split,
        sync: matches.get_one("sync").copied().unwrap_or(SYNC),
        address: endpoint.address.to_string(),
        role: receiver.role(),
        separator: escape(&endpoint.separator),
    })
}

/// What is said, once, of a recording that cannot go on.
fn stopped(outcome: &Outcome) -> String {
    let Outcome { kept, failure, .. } = outcome;
    let why = failure.as_ref().map(ToString::to_string).unwrap_or_default();
    let rest = if kept.messages == 0 { "" } else { ", which can be read" };
    let (messages, received) = (count(kept.messages, "message"), bytes(kept.bytes));
    format!("recording has stopped with {messages} ({received}){rest}: {why}")
}
