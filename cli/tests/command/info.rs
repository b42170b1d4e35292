//! `info`: what it tells of a recording, also of what is left of one.

use std::fs;

use serde_json::Value;

use crate::process::run;
use crate::recordings::{Recordings, all_kinds};

/// What `info --json` says of a file.
fn info(file: &str) -> Value {
    let ended = run(&["info", "--json", file]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    serde_json::from_str(&ended.stdout[0]).unwrap()
}

#[test]
fn a_recording_in_numbers() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 500_000_000, &all_kinds());
    let info = info(&file);
    assert_eq!((&info["format"], &info["cut_off"], &info["damages"]), (&"mcap".into(), &false.into(), &0.into()));
    assert_eq!((&info["messages"], &info["duration"], &info["rate"]), (&11.into(), &5.0.into(), &2.0.into()));
    assert_eq!((&info["start"], &info["silence"]["time"]), (&1_795_897_762.603.into(), &0.5.into()));
    assert_eq!(info["bytes"], all_kinds().iter().map(Vec::len).sum::<usize>());
    let topics: Vec<_> = info["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].as_str()).collect();
    assert_eq!(topics, ["/bytes", "/frvc", "/leads", "/text"].map(Some));
    let text = &info["topics"][3];
    assert_eq!((&text["messages"], &text["min"], &text["wrap"]), (&6.into(), &0.into(), &"text".into()));
    assert_eq!(text["schemas"][0], "leads.Text");
    let told = run(&["info", &file]).stdout;
    assert!(
        told[0].contains("a.mcap: MCAP, ") && told[0].ends_with(&format!("leads-comm {}", env!("CARGO_PKG_VERSION")))
    );
    assert!(told[1].ends_with("2026-11-28 20:29:22.603 to 20:29:27.603, 0:05.000"), "{told:?}");
    assert!(told.iter().any(|line| line.contains("11, 2.0/s, 100.1 kB")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("  /text          6  ") && line.ends_with("  text")), "{told:?}");
}

/// A file of what a server was sent by so many peers with long names.
fn of_peers(recordings: &Recordings, count: usize) -> String {
    let line = |peer: usize| {
        let text = "x".repeat(1_000_000 * (peer % 3));
        format!(
            "{{\"time\":{peer}.5,\"peer\":\"a-host-with-a-long-name-{peer:04}.example.org\",\"text\":\"frvc:{text}\"}}\n"
        )
    };
    fs::write(recordings.path("a.jsonl"), (0..count).map(line).collect::<String>()).unwrap();
    run(&["convert", &recordings.name("a.jsonl"), &recordings.name("a.mcap")]);
    recordings.name("a.mcap")
}

#[cfg(unix)]
#[test]
fn it_fits_the_terminal() {
    use crate::process::{Process, command};
    use crate::terminal::Terminal;

    let recordings = Recordings::new();
    let file = of_peers(&recordings, 12);
    for columns in [80, 40, 30] {
        let terminal = Terminal::open(columns);
        let mut command = command(&["info", &file]);
        let info = Process::spawn(command.stdout(terminal.stdio()));
        assert_eq!(info.end().code, 0);
        terminal.line_with("a.mcap: MCAP, ");
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("  /text ")) {
            lines.push(terminal.line_with(""));
        }
        // A name is never broken, whatever is behind it.
        let wide = |line: &&String| line.chars().count() > columns.into() && line.trim().contains(' ');
        let wide: Vec<_> = lines.iter().filter(wide).filter(|line| !line.starts_with("  peer ")).collect();
        assert!(wide.is_empty(), "{columns}: {wide:#?}");
        let named = lines.iter().filter(|line| line.contains("a-host-with-a-long-name-00"));
        assert_eq!(named.count(), 10, "{lines:#?}");
        let text = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        assert!(text.contains(".example.org and 2 others"), "{lines:#?}");
    }
}

#[test]
fn what_was_cut_off_is_said_and_no_failure() {
    let recordings = Recordings::new();
    let whole = recordings.mcap("a.mcap", 1, &all_kinds());
    let bytes = fs::read(&whole).unwrap();
    // Behind the last message, before it, and before the first one.
    for (len, messages) in [(bytes.len() - 1, 11), (bytes.len() / 8, 0), (3, 0)] {
        fs::write(recordings.path("cut.mcap"), &bytes[..len]).unwrap();
        let info = info(&recordings.name("cut.mcap"));
        assert_eq!((&info["cut_off"], &info["messages"]), (&true.into(), &messages.into()), "{len}: {info}");
        let told = run(&["info", &recordings.name("cut.mcap")]);
        assert_eq!(told.code, 0);
        assert!(told.stdout.iter().any(|line| line.contains("the recording was cut off")), "{told:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let recordings = Recordings::new();
    let (a, b) = (recordings.mcap("a.mcap", 1, &["one"]), recordings.json_lines("b.jsonl", 1, &["one", "two"]));
    let ended = run(&["info", "--json", &a, "/nowhere", &b]);
    assert_eq!((ended.code, ended.stdout.len()), (1, 2), "{ended:?}");
    assert!(ended.stderr[0].starts_with("cannot read /nowhere: "), "{ended:?}");
    assert_eq!(ended.stderr[1], "leads-comm: 1 of 3 files cannot be read");
    assert!(ended.stdout[1].contains("\"format\":\"json-lines\"") && ended.stdout[1].contains("\"messages\":2"));
}

#[test]
fn channels_of_other_programs_are_named() {
    let recordings = Recordings::new();
    let file = recordings.foreign(
        "a.mcap",
        &[("/json", "json", &[], b"{}"), ("/ros", "cdr", &[], b"\0"), ("/x", "json", &[("derived", "true")], b"{}")],
    );
    let info = info(&file);
    assert_eq!(info["messages"], 1);
    let topics =
        info["topics"].as_array().unwrap().iter().map(|topic| (topic["topic"].as_str(), topic["wrap"].as_str()));
    let expected = [("/json", "none"), ("/ros", "unknown"), ("/x", "derived")];
    assert_eq!(topics.collect::<Vec<_>>(), expected.map(|(topic, wrap)| (Some(topic), Some(wrap))));
}
