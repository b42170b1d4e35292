//! `convert`: another file of recordings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::crossbeam_channel::{RecvTimeoutError, bounded};

use crate::console::{self, Failure, Redrawn, fail, on_stop, stop_when_unread, tell, usage};
use crate::converting::{Work, convert};
use crate::recording::file::outlive_limits;
use crate::recording::reading::{Format, named};
use crate::recording::words::{bytes, count, percent};

const EXAMPLES: &str = "\
Examples:
  leads-comm convert a.mcap a.csv              for LEADS's tools, and for tables
  leads-comm convert a.mcap - --to jsonl | jq  an object a message, with time
  leads-comm convert cut.mcap whole.mcap       mends what was cut off or damaged
  leads-comm convert a_*.mcap a.mcap           one file of several";

/// What the options do not tell.
const NOTES: &str = "\
OUT is there when it is complete, and not before. Nothing is replaced without
--force. A CSV holds the frames of a vehicle: what is left out is counted.";

/// How often the line about the progress is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// How long the work is given to notice that it has to end.
const PATIENCE: Duration = Duration::from_secs(1);

const FORMATS: [(&str, Format); 3] = [("mcap", Format::Mcap), ("jsonl", Format::JsonLines), ("csv", Format::Csv)];

pub(crate) fn command() -> Command {
    Command::new("convert")
        .about("Make another file of recordings, or mend one")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .override_usage("leads-comm convert [OPTIONS] <IN>... <OUT>")
        .args([
            Arg::new("files")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("MCAP, JSON Lines, LEADS's CSV; a text format may be -, a pipe"),
            Arg::new("to")
                .long("to")
                .value_name("FORMAT")
                .value_parser(FORMATS.map(|(name, _)| name))
                .hide_possible_values(true)
                .help("mcap, jsonl or csv (default: as OUT ends)"),
            Arg::new("force").long("force").action(ArgAction::SetTrue).help("Replace OUT, which may be IN"),
        ])
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    // Not two arguments to clap, which would not take options between them.
    let mut files = named(matches.get_many::<PathBuf>("files").expect("it is required"));
    let to = files
        .pop()
        .filter(|_| !files.is_empty())
        .ok_or_else(|| usage("convert needs a file, and another one to make"))?;
    let format = match matches.get_one::<String>("to") {
        Some(name) => FORMATS.into_iter().find(|(format, _)| format == name).map(|(_, format)| format),
        None => Format::named(&to),
    };
    let format = format.ok_or_else(|| usage("--to says which format: mcap, jsonl or csv"))?;
    if format == Format::Mcap && to.as_os_str() == "-" {
        return Err(usage("an MCAP needs a file, not stdout"));
    }
    if let Some(file) = files.iter().find(|file| format == Format::Mcap && !can_be_read_again(file)) {
        return Err(fail(format!("{} cannot be looked at before it is read: use a file", file.display())));
    }
    outlive_limits();
    let work = Work::default();
    let stopping = work.clone();
    let (working, ended) = bounded::<()>(0);
    on_stop(move || {
        stopping.give_up();
        // A pipe that gives nothing may hold up the work for ever.
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = console::end(Err(fail("stopped")));
            std::process::exit(1);
        }
    })?;
    if to.as_os_str() == "-" {
        stop_when_unread();
    }
    let drawn = Redrawn::start(EVERY, line(work.clone(), size(&files)));
    let converted = convert(&files, &to, format, matches.get_flag("force"), &work);
    drop((drawn, working));
    let converted = converted?;
    for (why, number) in &converted.left_out {
        tell(format_args!("{} left out: {why}", count(*number, "message")));
    }
    if let Some(told) = converted.begun.told() {
        tell(told);
    }
    let place = if to.as_os_str() == "-" { "to stdout".into() } else { format!("in {}", to.display()) };
    tell(format_args!("{} {place} ({})", count(converted.messages, "message"), bytes(converted.len)));
    Ok(())
}

fn can_be_read_again(path: &Path) -> bool {
    // What is not there is told when it is opened.
    path.as_os_str() != "-" && fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// How many bytes there are to be read; `None` where that cannot be told.
fn size(files: &[PathBuf]) -> Option<u64> {
    files.iter().map(|file| fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|file| file.len())).sum()
}

/// The line that is drawn while it goes on.
fn line(work: Work, size: Option<u64>) -> impl FnMut() -> String + Send + 'static {
    let began = Instant::now();
    move || {
        let (read, messages) = work.done();
        let seconds = began.elapsed().as_secs_f64().max(1e-3);
        let rate = read as f64 / seconds;
        let (done, per_second) = (bytes(read), bytes(rate as u64));
        let told = format!("{done}, {}, {per_second}/s", count(messages, "message"));
        let Some(size) = size.filter(|size| *size > 0 && read > 0) else { return told };
        let left = (size.saturating_sub(read) as f64 / rate).ceil() as u64;
        // A narrow terminal has room for what is asked for most.
        format!("{:3}%  {}:{:02} left  {told}", percent(read, size), left / 60, left % 60)
    }
}
