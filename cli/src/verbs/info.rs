//! `info`: what is in a recording.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::console::{Failure, complain, fail, print};
use crate::recording::reading::{Format, Recording, cut_off};
use crate::recording::summary::{Sizes, Summary};
use crate::recording::words::{bytes, clock, count, date, rate, span};

const EXAMPLES: &str = "\
Examples:
  leads-comm info drive.mcap        what is in it, and when it was cut off
  leads-comm info --json *.mcap     an object a line, for scripts";

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
    let files: Vec<_> = matches.get_many::<PathBuf>("files").expect("it is required").collect();
    let mut unreadable = 0;
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
        let summary = Summary::of(&mut recording, |_| {});
        match matches.get_flag("json") {
            true => print(&[object(&recording, &summary).to_string().as_bytes(), b"\n"]),
            false => {
                let separator: &[u8] = if index > 0 { b"\n" } else { b"" };
                print(&[separator, text(&recording, &summary).as_bytes()]);
            }
        }
    }
    match unreadable {
        0 => Ok(()),
        unreadable => Err(fail(format!("{unreadable} of {} files cannot be read", files.len()))),
    }
}

fn text(recording: &Recording, summary: &Summary) -> String {
    let mut lines = vec![head(recording, summary)];
    let mut say = |name: &str, text: String| lines.push(format!("  {name:<11} {text}"));
    if let Some((first, last)) = summary.times {
        say("recorded", format!("{} to {}, {}", date(first), clock(last), span(last - first)));
    }
    say("messages", told(&summary.messages, summary.duration()));
    if let Some((longest, began)) = summary.silence.filter(|(longest, _)| *longest > 0) {
        let offset = began - summary.times.map_or(began, |(first, _)| first);
        say("silence", format!("at most {}, {} from the start", span(longest), span(offset)));
    }
    if !summary.separators.is_empty() {
        say("separator", joined(&summary.separators));
    }
    if !summary.roles.is_empty() {
        say("recorded by", format!("a {}", joined(&summary.roles)));
    }
    for (at, offset) in &summary.clock_steps {
        let direction = if *offset < 0 { "behind" } else { "before" };
        let offset = span(offset.unsigned_abs());
        say("clock", format!("at {} it was set: {offset} {direction} the times in the recording", clock(*at)));
    }
    for gap in &summary.gaps {
        let (from, to) = gap.times;
        let lost = format!("{}, {}", count(gap.messages, "message"), bytes(gap.bytes));
        say("lost", format!("{lost}, from {} to {}: they came too fast", clock(from), clock(to)));
    }
    for damage in &summary.damages {
        say("damaged", damage.clone());
    }
    if summary.num_damages > summary.damages.len() as u64 {
        say("damaged", format!("{} in all", count(summary.num_damages, "place")));
    }
    if summary.is_cut_off {
        say("cut off", format!("{} (convert mends the file)", cut_off(summary.times.map(|(_, last)| last))));
    }
    lines.extend(topics(summary));
    lines.iter().map(|line| format!("{line}\n")).collect()
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

fn topics(summary: &Summary) -> Vec<String> {
    if summary.topics.is_empty() {
        return Vec::new();
    }
    let head = ["topic", "", "messages", "rate", "min", "mean", "max", "as", "schema", "peer"].map(str::to_owned);
    let rows = summary.topics.iter().map(|(topic, told)| {
        let Sizes { count, min, max, .. } = told.sizes;
        [
            topic.name.clone(),
            if topic.is_outgoing { "out" } else { "in" }.into(),
            count.to_string(),
            rate(count.saturating_sub(1), summary.duration()).map_or("-".into(), |rate| format!("{rate:.1}/s")),
            min.to_string(),
            format!("{:.0}", told.sizes.mean()),
            max.to_string(),
            topic.wrap.into(),
            joined(&told.schemas),
            joined(&told.peers),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            // Numbers end where those below them do.
            2..=6 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    std::iter::once(String::new()).chain(rows.iter().map(line)).collect()
}

/// The number of seconds that is nearest, so that it is as short as what was recorded.
fn seconds(nanoseconds: u64) -> f64 {
    format!("{nanoseconds}e-9").parse().unwrap_or_default()
}

fn joined(names: &std::collections::BTreeSet<String>) -> String {
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
