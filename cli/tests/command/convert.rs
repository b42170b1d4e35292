//! `convert`: nothing is lost that the new format can hold, and nothing is half done.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::process::{Ended, Process, run};
use crate::recordings::{Recordings, all_kinds, messages};

const SECOND: u64 = 1_000_000_000;

#[track_caller]
fn convert(arguments: &[&str]) -> Ended {
    let ended = run(&[&["convert"], arguments].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

/// What is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn there_and_back_every_message_is_the_same() {
    let recordings = Recordings::new();
    let kinds = all_kinds();
    // Not a whole number of microseconds.
    let mcap = recordings.mcap("a.mcap", 1_000_001, &kinds);
    let expected = messages(&mcap);
    assert_eq!(expected.iter().map(|(_, message)| message.clone()).collect::<Vec<_>>(), kinds);
    assert_eq!(expected[1].0, "{\"time\":1795897762.604000001");
    convert(&[&mcap, &recordings.name("b.jsonl")]);
    convert(&[&recordings.name("b.jsonl"), &recordings.name("c.mcap")]);
    convert(&[&recordings.name("c.mcap"), &recordings.name("d.mcap")]);
    convert(&[&recordings.name("d.mcap"), &recordings.name("e.mcap")]);
    assert_eq!(messages(recordings.path("e.mcap")), expected);
    // One that is complete has nothing to be mended.
    assert_eq!(fs::read(recordings.path("d.mcap")).unwrap(), fs::read(recordings.path("e.mcap")).unwrap());
}

#[test]
fn what_was_cut_off_is_mended() {
    let recordings = Recordings::new();
    let kinds: Vec<_> = std::iter::repeat_n(all_kinds(), 30).flatten().collect();
    let whole = recordings.mcap("whole.mcap", SECOND, &kinds);
    let bytes = fs::read(&whole).unwrap();
    fs::write(recordings.path("cut.mcap"), &bytes[..bytes.len() - 1000]).unwrap();
    let ended = convert(&[&recordings.name("cut.mcap"), &recordings.name("mended.mcap")]);
    assert!(ended.stderr[0].contains("cut.mcap: the recording was cut off; everything up to "), "{ended:?}");
    let there = messages(recordings.path("mended.mcap"));
    assert!(!there.is_empty() && there == messages(&whole)[..there.len()]);
    let ended = run(&["info", "--json", &recordings.name("mended.mcap")]);
    assert!(ended.stdout[0].contains("\"cut_off\":false"), "{ended:?}");
    // In place.
    convert(&["--force", &recordings.name("cut.mcap"), &recordings.name("cut.mcap")]);
    assert_eq!(messages(recordings.path("cut.mcap")), there);
}

#[test]
fn what_is_damaged_is_told_with_its_place() {
    let recordings = Recordings::new();
    let kinds: Vec<_> = std::iter::repeat_n(all_kinds(), 60).flatten().collect();
    let mut bytes = fs::read(recordings.mcap("a.mcap", SECOND, &kinds)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(recordings.path("a.mcap"), bytes).unwrap();
    let ended = convert(&[&recordings.name("a.mcap"), &recordings.name("b.mcap")]);
    assert!(ended.stderr[0].contains("a.mcap: it is damaged at byte "), "{ended:?}");
    let there = messages(recordings.path("b.mcap"));
    assert!(!there.is_empty() && there.len() < kinds.len());
}

/// As other programs compress by lz4.
#[test]
fn what_cannot_be_unpacked_is_not_replaced_by_nothing() {
    let recordings = Recordings::new();
    let mut bytes = fs::read(recordings.mcap("a.mcap", SECOND, &all_kinds())).unwrap();
    let at = bytes.windows(8).position(|bytes| bytes == b"\x04\0\0\0zstd").unwrap();
    let len = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
    // A name that is a byte shorter, and a byte more of what is packed.
    let head = [&b"\x03\0\0\0lz4"[..], &(len + 1).to_le_bytes(), b"\0"].concat();
    bytes[at..at + 16].copy_from_slice(&head);
    fs::write(recordings.path("a.mcap"), &bytes).unwrap();
    let file = recordings.name("a.mcap");
    let ended = run(&["convert", "--force", &file, &file]);
    let why = "it is compressed by lz4, and not by zstd";
    assert_eq!((ended.code, &ended.stderr[..]), (1, &[format!("leads-comm: cannot read {file}: {why}")][..]));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    let ended = run(&["convert", &file, &recordings.name("b.csv")]);
    assert_eq!((ended.code, ended.stderr.len()), (1, 2), "{ended:?}");
    assert!(ended.stderr[0].ends_with(why) && !recordings.path("b.csv").exists(), "{ended:?}");
    let ended = run(&["info", &file]);
    assert!(ended.stdout.iter().any(|line| line.ends_with(why)), "{ended:?}");
    assert!(!ended.stdout.iter().any(|line| line.contains("cut off")), "{ended:?}");
}

#[test]
fn several_become_one() {
    let recordings = Recordings::new();
    let first = recordings.mcap("a.mcap", 1, &["one", "two"]);
    let second = recordings.mcap("b.mcap", 1, &["{\"three\":3}"]);
    convert(&[&first, &second, &recordings.name("c.mcap")]);
    let payloads: Vec<_> = messages(recordings.path("c.mcap")).into_iter().map(|(_, message)| message).collect();
    assert_eq!(payloads, [&b"one"[..], b"two", b"{\"three\":3}"]);
}

#[test]
fn a_csv_has_the_frames_and_says_what_it_has_not() {
    let recordings = Recordings::new();
    let frames = ["{\"speed\": 12.5, \"t\": 1795897762603}", "time_lap", "{\"speed\": 13.0, \"t\": 1795897762636}"];
    let mcap = recordings.mcap("a.mcap", 33_000_000, &frames);
    let ended = convert(&[&mcap, &recordings.name("a.csv")]);
    assert_eq!(ended.stderr[0], "1 message left out: a CSV holds only frames of a vehicle");
    assert!(ended.stderr[1].starts_with("2 messages in "), "{ended:?}");
    let csv = fs::read_to_string(recordings.path("a.csv")).unwrap();
    assert!(csv.starts_with("index,t,voltage,speed,") && csv.contains("\n1,1795897762636,,13.0,"), "{csv}");
    let back = messages(recordings.path("a.csv"));
    assert_eq!(back[0].1, frames[0].as_bytes());
    assert_eq!(back[1], ("{\"time\":1795897762.636000000".into(), frames[2].into()));
    convert(&[&recordings.name("a.csv"), &recordings.name("b.mcap")]);
    assert_eq!(messages(recordings.path("b.mcap")), back);
}

#[test]
fn nothing_is_replaced_unless_one_says_so() {
    let recordings = Recordings::new();
    let lines = recordings.json_lines("a.jsonl", 1, &["one"]);
    fs::write(recordings.path("b.mcap"), "mine").unwrap();
    let ended = run(&["convert", &lines, &recordings.name("b.mcap")]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].ends_with("b.mcap exists already: --force replaces it"), "{ended:?}");
    assert_eq!(fs::read(recordings.path("b.mcap")).unwrap(), b"mine");
    convert(&["--force", &lines, &recordings.name("b.mcap")]);
    assert_eq!(messages(recordings.path("b.mcap")).len(), 1);
    assert_eq!(names(recordings.path("b.mcap").parent().unwrap()), ["a.jsonl", "b.mcap"]);
}

/// A file may have 4 kB and no more.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_completed_is_not_there() {
    let recordings = Recordings::new();
    let lines = recordings.json_lines("a.jsonl", 1, &vec!["x".repeat(1000); 100]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]);
    command.args(leads_comm_testing::runner::words(crate::process::PROGRAM));
    command.args(["convert", &lines, &recordings.name("b.csv"), "--to", "jsonl"]);
    crate::process::prepare(&mut command);
    let ended = Process::spawn(&mut command).end_input();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].contains("leads-comm: cannot write ") && ended.stderr.len() == 1, "{ended:?}");
    assert_eq!(names(Path::new(&lines).parent().unwrap()), ["a.jsonl"]);
}

#[test]
fn text_formats_go_through_pipes() {
    let mut process = Process::start(&["convert", "-", "-", "--to", "csv"]);
    process.write("{\"speed\":1,\"t\":1000}\n{\"speed\":2,\"t\":2000}\nnot JSON\n");
    let ended = process.end_input();
    assert_eq!((ended.code, ended.stdout.len()), (0, 3), "{ended:?}");
    assert!(ended.stdout[2].starts_with("1,2000,,2,"), "{ended:?}");
    assert!(ended.stderr[0].starts_with("-: line 3 is no JSON object"), "{ended:?}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let recordings = Recordings::new();
    for (content, why) in [
        (&b""[..], "is no recording: it is empty"),
        (b"\x89PNG\r\n\x1a\n", "is no recording: it is no MCAP, no JSON Lines, and no CSV of LEADS"),
        (b"hello\n", "is no recording: it is no MCAP, no JSON Lines, and no CSV with a column t"),
    ] {
        fs::File::create(recordings.path("a")).unwrap().write_all(content).unwrap();
        let (file, to) = (recordings.name("a"), recordings.name("b.mcap"));
        for arguments in [&["convert", &file, &to][..], &["info", &file], &["replay", &file]] {
            let ended = run(arguments);
            assert_eq!(ended.code, 1, "{ended:?}");
            assert!(ended.stderr[0].ends_with(why), "{ended:?}");
        }
    }
    assert_eq!(names(recordings.path("a").parent().unwrap()), ["a"]);
}

#[test]
fn lines_without_a_message_make_no_file() {
    let recordings = Recordings::new();
    fs::write(recordings.path("a.jsonl"), "{\"speed\":1}\n").unwrap();
    let ended = run(&["convert", &recordings.name("a.jsonl"), &recordings.name("b.mcap")]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].ends_with("line 1 has neither time and message, nor t"), "{ended:?}");
    assert_eq!(names(recordings.path("a.jsonl").parent().unwrap()), ["a.jsonl"]);
}

#[test]
fn a_wrong_call_is_told() {
    for arguments in [&["a.mcap"][..], &["a.mcap", "b.txt"], &["a.mcap", "-", "--to", "mcap"], &["a", "b", "--to", "x"]]
    {
        let ended = run(&[&["convert"], arguments].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
    }
    let ended = run(&["convert", "/nowhere/a.mcap", "b.mcap"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].starts_with("leads-comm: cannot read /nowhere/a.mcap: "), "{ended:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_stopped_at_once_leaves_nothing() {
    let recordings = Recordings::new();
    let folder = recordings.path("a").parent().unwrap().to_owned();
    let mut convert = Process::start(&["convert", "-", &recordings.name("a.jsonl")]);
    convert.write("{\"t\":1}\n");
    leads_comm_testing::until("it is at work", || names(&folder).len() == 1);
    let stat = format!("/proc/{}/stat", convert.id());
    leads_comm_testing::until("a signal has ended it", || {
        convert.signal("INT");
        fs::read_to_string(&stat).unwrap().contains(") Z ")
    });
    assert!(!convert.status().success());
    assert!(names(&folder).is_empty());
}

#[cfg(unix)]
#[test]
fn only_files_are_replaced() {
    let recordings = Recordings::new();
    let lines = recordings.json_lines("a.jsonl", 1, &["one"]);
    fs::create_dir(recordings.path("folder.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/null", recordings.path("null.jsonl")).unwrap();
    for (name, what) in [("folder.jsonl", "a folder"), ("null.jsonl", "a device or a pipe")] {
        for force in [&["convert"][..], &["convert", "--force"]] {
            let ended = run(&[force, &[&lines, &recordings.name(name)]].concat());
            assert_eq!(ended.code, 1, "{ended:?}");
            assert!(ended.stderr[0].ends_with(&format!("{name} is {what}, not a file")), "{ended:?}");
        }
    }
    assert_eq!(names(Path::new(&lines).parent().unwrap()), ["a.jsonl", "folder.jsonl", "null.jsonl"]);
}

#[test]
fn what_other_programs_attached_is_not_lost_without_a_word() {
    let recordings = Recordings::new();
    let mut writer = mcap::Writer::new(std::io::Cursor::new(Vec::new())).unwrap();
    let attachment = mcap::Attachment {
        log_time: 1,
        create_time: 1,
        name: "map.png".into(),
        media_type: "image/png".into(),
        data: b"\x89PNG"[..].into(),
    };
    writer.attach(&attachment).unwrap();
    writer.finish().unwrap();
    fs::write(recordings.path("a.mcap"), writer.into_inner().into_inner()).unwrap();
    let ended = convert(&[&recordings.name("a.mcap"), &recordings.name("b.mcap")]);
    assert!(ended.stderr.contains(&format!("{}: 1 attachment left out", recordings.name("a.mcap"))), "{ended:?}");
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let recordings = Recordings::new();
    let folder = recordings.path("a").parent().unwrap().to_owned();
    let mut convert = Process::start(&["convert", "-", &recordings.name("a.jsonl")]);
    convert.write("{\"t\":1}\n");
    leads_comm_testing::until("it is at work", || names(&folder).len() == 1);
    convert.signal("INT");
    let ended = convert.end();
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    assert!(names(&folder).is_empty());
}
