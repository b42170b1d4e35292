//! `info`: what is in a recording.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::console::{Failure, Redrawn, columns, complain, fail, print, tell};
use crate::recording::notes::Begun;
use crate::recording::reading::{Format, Recording, cut_off, named};
use crate::recording::summary::{Sizes, Summary};
use crate::recording::words::{bytes, clock, count, date, percent, rate, span};

const EXAMPLES: &str = "\
Examples:
  leads-comm info drive.mcap        what is in it, and when it was cut off
  leads-comm info --json *.mcap     an object a line, for scripts";

/// How often the line about the progress is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// So many peers are named.
const NAMED_PEERS: usize = 10;

/// The columns that a table has no room for on a narrow terminal: the sizes, as what, and how often.
const LEFT_OUT_FIRST: [usize; 5] = [3, 5, 4, 6, 2];

pub(crate) fn command() -> Command {
    Command::new("info").about("Say what is in a recording").before_help(EXAMPLES).args([
        Arg::new("files")
            .value_name("FILE")
            .required(true)
            .num_args(1..)
            .value_parser(value_parser!(PathBuf))
            .help("MCAP, JSON Lines, or LEADS's CSV; - is stdin"),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("The same as a JSON object a line, one for each file"),
    ])
}

/// A file that cannot be read does not keep the others from being told.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let files = named(matches.get_many::<PathBuf>("files").expect("it is required"));
    // Elsewhere a line may be as long as it likes.
    let width = columns().unwrap_or(usize::MAX);
    let mut unreadable = 0;
    let mut begun = Begun::default();
    for (index, file) in files.iter().enumerate() {
        let mut recording = match Recording::open(file) {
            Ok(recording) => recording,
            Err(failure) if files.len() == 1 => return Err(failure),
            Err(failure) => {
                complain(failure.text());
                unreadable += 1;
                continue;
            }
        };
        let read = Arc::new(AtomicU64::new(0));
        let drawn = Redrawn::start(EVERY, line(file, recording.size, Arc::clone(&read)));
        let summary = Summary::of(&mut recording, |position| read.store(position, Ordering::Relaxed));
        drop(drawn);
        begun.extend(&summary.begun);
        match matches.get_flag("json") {
            true => print(&[object(&recording, &summary).to_string().as_bytes(), b"\n"]),
            false => {
                let separator: &[u8] = if index > 0 { b"\n" } else { b"" };
                print(&[separator, text(&recording, &summary, width).as_bytes()]);
            }
        }
    }
    if let Some(told) = begun.told().filter(|_| files.len() > 1) {
        tell(told);
    }
    match unreadable {
        0 => Ok(()),
        unreadable => Err(fail(format!("{unreadable} of {} files cannot be read", files.len()))),
    }
}

/// The line that is drawn while a file is read.
fn line(file: &Path, size: Option<u64>, read: Arc<AtomicU64>) -> impl FnMut() -> String + Send + 'static {
    let file = file.display().to_string();
    move || {
        let read = read.load(Ordering::Relaxed);
        match size.filter(|size| *size > 0) {
            Some(size) => format!("{:3}%  {file}", percent(read, size)),
            None => format!("{}  {file}", bytes(read)),
        }
    }
}

/// For people; in lines that fit `columns`, where that can be.
fn text(recording: &Recording, summary: &Summary, columns: usize) -> String {
    let mut lines = vec![head(recording, summary)];
    let mut say = |name: &str, text: &str| lines.extend(folded(&format!("  {name:<11} "), text, columns));
    if let Some((first, last)) = summary.times {
        say("recorded", &format!("{} to {}, {}", date(first), clock(last), span(last - first)));
    }
    say("messages", &told(&summary.messages, summary.duration()));
    if let Some((longest, began)) = summary.silence.filter(|(longest, _)| *longest > 0) {
        let offset = began - summary.times.map_or(began, |(first, _)| first);
        say("silence", &format!("{} at most, at {}", span(longest), span(offset)));
    }
    if !summary.separators.is_empty() {
        say("separator", &joined(&summary.separators));
    }
    if !summary.roles.is_empty() {
        say("recorded by", &format!("a {}", joined(&summary.roles)));
    }
    let peers: BTreeSet<_> = summary.topics.values().flat_map(|topic| &topic.peers).map(String::as_str).collect();
    if !peers.is_empty() {
        let named: Vec<_> = peers.iter().copied().take(NAMED_PEERS).collect();
        let others = peers.len() - named.len();
        let others = if others > 0 { format!(" and {}", count(others as u64, "other")) } else { String::new() };
        say("peer", &(named.join(", ") + &others));
    }
    for (at, offset) in &summary.clock_steps {
        let direction = if *offset < 0 { "behind" } else { "before" };
        let offset = span(offset.unsigned_abs());
        say("clock", &format!("at {} it was set: {offset} {direction} the times in the recording", clock(*at)));
    }
    for gap in &summary.gaps {
        let (from, to) = gap.times;
        let lost = format!("{}, {}", count(gap.messages, "message"), bytes(gap.bytes));
        say("lost", &format!("{lost}, from {} to {}: they came too fast", clock(from), clock(to)));
    }
    for damage in &summary.damages {
        say("damaged", damage);
    }
    if summary.num_damages > summary.damages.len() as u64 {
        say("damaged", &format!("{} in all", count(summary.num_damages, "place")));
    }
    let last = summary.times.map(|(_, last)| last);
    if summary.is_being_recorded {
        say("goes on", &cut_off(true, last));
    } else if summary.is_cut_off {
        say("cut off", &format!("{} (convert mends the file)", cut_off(false, last)));
    }
    if let Some(told) = summary.begun.told() {
        say("of several", &told);
    }
    lines.extend(topics(summary, columns));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A text behind its name, in as many lines as it takes; no word is broken.
fn folded(name: &str, text: &str, columns: usize) -> Vec<String> {
    let indent = name.chars().count();
    let mut lines = vec![name.to_owned()];
    let mut width = indent;
    for word in text.split(' ') {
        let len = word.chars().count();
        if width > indent && width + 1 + len > columns {
            lines.push(" ".repeat(indent));
            width = indent;
        }
        let line = lines.last_mut().expect("there is one from the beginning");
        if width > indent {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += len;
    }
    lines
}

fn head(recording: &Recording, summary: &Summary) -> String {
    let format = match recording.format() {
        Format::Mcap => "MCAP",
        Format::JsonLines => "JSON Lines",
        Format::Csv => "CSV",
    };
    let made_by = summary.made_by.as_ref().filter(|program| !program.is_empty());
    let made_by = made_by.map_or(String::new(), |program| format!(", made by {program}"));
    format!("{}: {format}, {}{made_by}", recording.path.display(), bytes(summary.size))
}

fn told(messages: &Sizes, duration: u64) -> String {
    // Between n of them are n - 1 intervals.
    let rate = rate(messages.count.saturating_sub(1), duration).map_or(String::new(), |rate| format!(", {rate:.1}/s"));
    format!("{}{rate}, {}", messages.count, bytes(messages.sum))
}

/// A table of them, of as many of its columns as fit.
fn topics(summary: &Summary, columns: usize) -> Vec<String> {
    if summary.topics.is_empty() {
        return Vec::new();
    }
    let head = ["topic", "messages", "rate", "min", "mean", "max", "as"].map(str::to_owned);
    let rows = summary.topics.iter().map(|(topic, told)| {
        let Sizes { count, min, max, .. } = told.sizes;
        [
            format!("{}{}", topic.name, if topic.is_outgoing { " (out)" } else { "" }),
            count.to_string(),
            rate(count.saturating_sub(1), summary.duration()).map_or("-".into(), |rate| format!("{rate:.1}/s")),
            bytes(min),
            bytes(told.sizes.mean().round() as u64),
            bytes(max),
            match topic.wrap {
                "none" if told.schemas.is_empty() => "json".into(),
                "none" => joined(&told.schemas),
                wrap => wrap.into(),
            },
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut shown = [true; 7];
    let total =
        |shown: &[bool; 7]| (0..7).filter(|column| shown[*column]).map(|column| 2 + widths[column]).sum::<usize>();
    for column in LEFT_OUT_FIRST {
        shown[column] &= total(&shown) <= columns;
    }
    let line = |row: &[String; 7]| {
        let cells = (0..7).filter(|column| shown[*column]).map(|column| {
            let (cell, width) = (&row[column], widths[column]);
            match column {
                // Numbers end where those below them do.
                1..=5 => format!("  {cell:>width$}"),
                _ => format!("  {cell:<width$}"),
            }
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    std::iter::once(String::new()).chain(rows.iter().map(line)).collect()
}

/// The number of seconds that is nearest, so that it is as short as what was recorded.
fn seconds(nanoseconds: u64) -> f64 {
    format!("{nanoseconds}e-9").parse().unwrap_or_default()
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Times are seconds since 1970, or seconds; sizes are bytes.
fn object(recording: &Recording, summary: &Summary) -> Value {
    let duration = summary.duration();
    let topics = summary.topics.iter().map(|(topic, told)| {
        json!({
            "topic": topic.name,
            "direction": if topic.is_outgoing { "out" } else { "in" },
            "messages": told.sizes.count,
            "rate": rate(told.sizes.count.saturating_sub(1), duration),
            "bytes": told.sizes.sum,
            "min": told.sizes.min,
            "mean": told.sizes.mean(),
            "max": told.sizes.max,
            "wrap": topic.wrap,
            "schemas": told.schemas,
            "peers": told.peers,
        })
    });
    let gaps = summary.gaps.iter().map(|gap| {
        let (from, to) = gap.times;
        json!({ "from": seconds(from), "to": seconds(to), "messages": gap.messages, "bytes": gap.bytes })
    });
    let steps = summary.clock_steps.iter();
    let steps = steps.map(|(at, offset)| json!({ "at": seconds(*at), "offset": *offset as f64 / 1e9 }));
    json!({
        "file": recording.path.to_string_lossy(),
        "format": match recording.format() {
            Format::Mcap => "mcap",
            Format::JsonLines => "json-lines",
            Format::Csv => "csv",
        },
        "made_by": summary.made_by,
        "size": summary.size,
        "cut_off": summary.is_cut_off,
        "being_recorded": summary.is_being_recorded,
        "ended": summary.is_ended,
        "start": summary.times.map(|(first, _)| seconds(first)),
        "end": summary.times.map(|(_, last)| seconds(last)),
        "duration": seconds(duration),
        "messages": summary.messages.count,
        "bytes": summary.messages.sum,
        "rate": rate(summary.messages.count.saturating_sub(1), duration),
        "silence": summary.silence.map(|(longest, began)| json!({ "at": seconds(began), "time": seconds(longest) })),
        "separators": summary.separators,
        "roles": summary.roles,
        "lost": gaps.collect::<Vec<_>>(),
        "clock_steps": steps.collect::<Vec<_>>(),
        "damages": summary.num_damages,
        "damage": summary.damages,
        "topics": topics.collect::<Vec<_>>(),
    })
}
