//! `replay`: what viewers are sent, when it begins and ends, and what its exit code tells.

use std::fs;

use leads_comm_testing::wire::{Listening, Peer};
use serde_json::Value;

use crate::leads_peer::{Peer as LeadsPeer, leads};
use crate::process::{Process, SIGNALS, run};
use crate::recordings::{Foreign, Recordings, all_kinds, messages, on_the_wire};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// A server that plays, and its port.
fn start(arguments: &[&str]) -> (Process, u16) {
    let (replay, port, _) = start_told(arguments);
    (replay, port)
}

/// With what it says before it listens.
fn start_told(arguments: &[&str]) -> (Process, u16, Vec<String>) {
    let replay = Process::start(&[&["replay", "--serve", "127.0.0.1:0"], arguments].concat());
    let mut told = Vec::new();
    loop {
        let line = replay.error_line();
        match line.strip_prefix("listening on 127.0.0.1:") {
            Some(port) => return (replay, port.parse().unwrap(), told),
            None => told.push(line),
        }
    }
}

/// What the only viewer is sent, all of it.
#[track_caller]
fn viewed(arguments: &[&str], separator: &str) -> Vec<u8> {
    let (replay, port) = start(&[&["--wait-viewers", "1"], arguments].concat());
    let viewer = Peer::connect(port);
    let mut all = viewer.rest();
    assert_eq!(replay.end().code, 0);
    let goodbye = [b"disconnect", separator.as_bytes()].concat();
    assert!(all.ends_with(&goodbye), "{}", all.escape_ascii());
    all.truncate(all.len() - goodbye.len());
    all
}

/// The same for messages without a `;`.
#[track_caller]
fn texts(arguments: &[&str]) -> Vec<String> {
    let all = String::from_utf8(viewed(arguments, ";")).unwrap();
    all.split_terminator(';').map(str::to_owned).collect()
}

fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

#[test]
fn every_message_is_sent_byte_for_byte() {
    let recordings = Recordings::new();
    let mcap = recordings.mcap("a.mcap", MILLISECOND, &all_kinds());
    for file in [mcap, recordings.name("a.mcap.jsonl")] {
        assert!(viewed(&[&file], ";") == on_the_wire(&all_kinds(), ";"), "{file}");
    }
}

#[test]
fn a_recording_of_a_replay_is_the_same_recording() {
    let recordings = Recordings::new();
    let original = recordings.mcap("0.mcap", MILLISECOND, &all_kinds());
    let mut played = original.clone();
    for again in ["1.mcap", "2.mcap"] {
        let (replay, port) = start(&["--wait-viewers", "1", &played]);
        let again = recordings.name(again);
        let server = format!("127.0.0.1:{port}");
        let recorded = run(&["record", &server, "-o", &again, "--no-reconnect"]);
        assert_eq!(replay.end().code, 0);
        assert!(recorded.code < 2, "{recorded:?}");
        let payloads = |file: &str| messages(file).into_iter().map(|(_, message)| message).collect::<Vec<_>>();
        assert!(payloads(&again) == payloads(&original));
        played = again;
    }
}

#[test]
fn several_files_are_played_in_turn() {
    let recordings = Recordings::new();
    let (a, b) = (recordings.mcap("a.mcap", 1, &["1", "2"]), recordings.json_lines("b.jsonl", 1, &["3", "4"]));
    assert_eq!(texts(&[&a, &b, "--topic", "/text"]), numbers(1..=4));
}

#[test]
fn a_csv_of_leads_is_played() {
    let recordings = Recordings::new();
    let frame = "{\"speed\": 12.5, \"t\": 1795897762603}";
    let mcap = recordings.mcap("a.mcap", 1, &[frame]);
    run(&["convert", &mcap, &recordings.name("a.csv")]);
    assert_eq!(texts(&[&recordings.name("a.csv")]), [frame]);
}

#[test]
fn messages_end_as_they_did_in_the_recording() {
    let recordings = Recordings::new();
    let messages: [&[u8]; 2] = [b"frvc:/9j/4A==;", b"a;b"];
    let metadata = [("wrap", "none"), ("separator", "end;")];
    let channels = messages.map(|message| ("/x", "json", &metadata[..], message));
    let file = recordings.foreign("a.mcap", &channels);
    assert_eq!(viewed(&[&file], "end;"), on_the_wire(&messages, "end;"));
    let lengths = recordings.foreign("b.mcap", &[("/x", "json", &[("wrap", "none"), ("separator", "")], b"a;b")]);
    let (replay, port) = start(&["--wait-viewers", "1", &lengths]);
    assert!(Peer::connect(port).rest().starts_with(b"\0\0\0\x03a;b"));
    assert_eq!(replay.end().code, 0);
    // What would be split is not sent, and said.
    let (replay, port) = start(&["--wait-viewers", "1", &file, "--separator", "d/"]);
    assert_eq!(Peer::connect(port).rest(), b"frvc:/9j/4A==;d/a;bd/disconnectd/");
    assert_eq!(replay.end().code, 0);
    let (replay, port) = start(&["--wait-viewers", "1", &file, "--separator", ";b"]);
    assert_eq!(Peer::connect(port).rest(), b"frvc:/9j/4A==;;bdisconnect;b");
    let ended = replay.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    let last = ended.stderr.last().unwrap();
    assert!(last.starts_with("leads-comm: 1 message could not be sent, the first one because: "), "{last}");
}

#[test]
fn topics_and_sections_are_chosen() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", SECOND, &(0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(texts(&["--fast", &file, "--start", "10s", "--duration", "5s"]), numbers(10..=15));
    assert_eq!(texts(&["--fast", &file, "--start", "0.5m", "--topic", "/leads,/text"]), numbers(30..60));
    for (nothing, why) in [
        (["--start", "2m"], "a.mcap is 0:59.000 long: --start is behind its end"),
        (["--topic", "/frvc"], "a.mcap: info lists what there is"),
    ] {
        let ended = run(&[&["replay", &file], &nothing[..]].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr[0].ends_with(why), "{ended:?}");
    }
}

/// It would take a year.
#[test]
fn long_silences_are_shortened() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 30 * 24 * 3600 * SECOND, &["1", "2", "3"]);
    assert_eq!(texts(&[&file, "--max-gap", "10ms"]), numbers(1..=3));
}

#[test]
fn a_loop_plays_it_again() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", MILLISECOND, &["1", "2", "3"]);
    assert_eq!(texts(&[&file, "--loop=3"]), numbers([1, 2, 3, 1, 2, 3, 1, 2, 3]));
    let (replay, port) = start(&[&file, "--loop", "--rate", "0.1"]);
    let viewer = Peer::connect(port);
    let first: usize = viewer.message().parse().unwrap();
    for number in first..first + 20 {
        assert_eq!(viewer.message(), (number % 3 + 1).to_string());
    }
    drop(replay);
    assert_eq!(run(&["replay", &file, "--loop=0"]).code, 2);
    let ended = run(&["replay", "-", "--loop"]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[test]
fn it_begins_when_so_many_are_there() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1, &["1", "2"]);
    let (replay, port) = start(&[&file, "--wait-viewers", "3"]);
    let viewers = [(); 3].map(|()| {
        let viewer = Peer::connect(port);
        replay.error_line_with(" connected");
        viewer
    });
    for viewer in viewers {
        assert_eq!(viewer.rest(), b"1;2;disconnect;");
    }
    let ended = replay.end();
    assert!(ended.stderr.iter().any(|line| line.starts_with("2 messages sent, 2 B; late by ")), "{ended:?}");
}

/// 40 MB, for which there is no room anywhere.
#[test]
fn played_fast_nothing_is_lost_by_one_who_is_slow() {
    let recordings = Recordings::new();
    let sent: Vec<_> = (0..4000).map(|number| format!("{number}{}", "x".repeat(10_000))).collect();
    let file = recordings.json_lines("a.jsonl", SECOND, &sent);
    let (replay, port) = start(&["--fast", &file, "--wait-viewers", "2", "--max-message-len", "64k"]);
    let (slow, fast) = (Peer::connect(port), Peer::connect(port));
    let goodbye = b"disconnect;";
    let expected = [&on_the_wire(&sent, ";"), &goodbye[..]].concat();
    // The slow one begins when there is room for nothing any more, and the fast one has to wait with it.
    fast.expect(&expected[..1_000_000]);
    let other = std::thread::spawn(move || fast.rest());
    assert!(slow.rest() == expected);
    assert!(other.join().unwrap() == expected[1_000_000..]);
    assert_eq!(replay.end().code, 0);
}

#[test]
fn a_vehicle_waits_for_nobody() {
    let recordings = Recordings::new();
    let sent: Vec<_> = (0..4000).map(|number| format!("{number}{}", "x".repeat(10_000))).collect();
    let file = recordings.json_lines("a.jsonl", 1, &sent);
    let (replay, port) = start(&[&file, "--wait-viewers", "1", "--max-message-len", "64k"]);
    let _reads_nothing = Peer::connect(port);
    let ended = replay.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.starts_with("4000 messages sent, ")), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains("lost by viewers that read too slowly")), "{ended:?}");
}

#[test]
fn as_a_client_it_sends_to_a_server() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", MILLISECOND, &["1", "2"]);
    let listening = Listening::start();
    let replay = Process::start(&["replay", &file, "--connect", &format!("127.0.0.1:{}", listening.port)]);
    let server = listening.accept();
    server.expect("1;2;");
    server.expect_goodbye();
    assert_eq!(replay.end().code, 0);
}

#[test]
fn what_nobody_gets_is_said() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", MILLISECOND, &["1", "2"]);
    let ended = run(&["replay", "--serve", "127.0.0.1:0", &file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr.last().unwrap(), "2 of them when no viewer was there", "{ended:?}");

    let listening = Listening::start();
    let mut replay = Process::start(&["replay", "-", "--connect", &listening.address()]);
    replay.write("{\"time\":1,\"text\":\"one\"}\n");
    let server = listening.accept();
    server.expect("one;");
    drop((server, listening));
    replay.error_line_with("disconnected");
    replay.write("{\"time\":1,\"text\":\"two\"}\n");
    let ended = replay.end_input();
    assert_eq!(ended.code, 1, "{ended:?}");
    let last = "leads-comm: 1 message not sent: there was no connection";
    assert_eq!(ended.stderr.last().unwrap(), last, "{ended:?}");
}

#[test]
fn times_are_made_now_and_messages_marked() {
    let recordings = Recordings::new();
    let frames = ["{\"t\": 1795897762603, \"a\":{\"t\":1}}", "time_lap", "{\"t\": 1795897762713, \"b\":1.50}"];
    let file = recordings.mcap("a.mcap", 50 * MILLISECOND, &frames);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now();
    let sent = texts(&[&file, "--retime", "t:ms", "--mark"]);
    let (first, last): (Value, Value) =
        (serde_json::from_str(&sent[0]).unwrap(), serde_json::from_str(&sent[2]).unwrap());
    let time = first["t"].as_u64().unwrap();
    assert!((before..=now()).contains(&time), "{before} {time}");
    assert_eq!(sent[0], format!("{{\"t\": {time}, \"a\":{{\"t\":1}},\"replay\":true}}"));
    assert_eq!(sent[1], "time_lap");
    assert_eq!(last["t"].as_u64().unwrap(), time + 110);
    assert_eq!(sent[2], format!("{{\"t\": {}, \"b\":1.50,\"replay\":true}}", time + 110));
}

#[test]
fn what_is_left_of_a_recording_is_played() {
    let recordings = Recordings::new();
    let sent: Vec<_> = std::iter::repeat_n(all_kinds(), 40).flatten().collect();
    let bytes = fs::read(recordings.mcap("a.mcap", 1, &sent)).unwrap();
    fs::write(recordings.path("cut.mcap"), &bytes[..bytes.len() - 500]).unwrap();
    let (replay, port, mut told) = start_told(&["--fast", &recordings.name("cut.mcap")]);
    let all = Peer::connect(port).rest();
    let there = messages(recordings.path("cut.mcap")).into_iter().map(|(_, message)| message).collect::<Vec<_>>();
    assert!(there.len() > 100 && all == [on_the_wire(&there, ";"), b"disconnect;".to_vec()].concat());
    let ended = replay.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    told.extend(ended.stderr);
    let cut_off = told.iter().filter(|line| line.contains("the recording was cut off; everything up to"));
    assert_eq!(cut_off.count(), 1, "{told:?}");
}

#[test]
fn what_other_programs_recorded_is_played_if_it_is_json() {
    let recordings = Recordings::new();
    let records: [Foreign<'_>; 4] = [
        ("/pose", "json", &[], b"{ }"),
        ("/ros", "cdr", &[], b"\0"),
        ("/leads/location", "json", &[("derived", "true"), ("wrap", "none")], b"{}"),
        ("/text", "json", &[("wrap", "text"), ("direction", "out")], b"{\"text\":\"mine\"}"),
    ];
    let file = recordings.foreign("a.mcap", &records);
    let (replay, port, mut told) = start_told(&[&file, "--wait-viewers", "1"]);
    assert_eq!(Peer::connect(port).rest(), b"{ };disconnect;");
    let ended = replay.end();
    told.extend(ended.stderr.iter().filter(|line| line.contains("not played")).cloned());
    let expected = [
        "1 message not played: /ros is in no format that can be played",
        "1 message not played: they were sent by the side that recorded",
    ];
    assert_eq!(told, expected, "{ended:?}");
}

#[test]
fn a_signal_ends_it_with_goodbyes() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 3600 * SECOND, &["1", "2"]);
    for signal in SIGNALS {
        let (replay, port) = start(&[&file, "--wait-viewers", "1"]);
        let viewer = Peer::connect(port);
        viewer.expect("1;");
        replay.signal(signal);
        viewer.expect_goodbye();
        let ended = replay.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.iter().any(|line| line.starts_with("1 message sent, 1 B")), "{ended:?}");
    }
    // While a pipe gives nothing.
    let mut replay = Process::start(&["replay", "-", "--serve", "127.0.0.1:0", "--wait-viewers", "1"]);
    replay.write("{\"time\":1,\"text\":\"one\"}\n");
    let line = replay.error_line_with("listening on ");
    let viewer = Peer::connect(line.rsplit_once(':').unwrap().1.parse().unwrap());
    viewer.expect("one;");
    replay.signal("INT");
    viewer.expect_goodbye();
    assert_eq!(replay.wait().code, 0);
    // Before anybody is there, and while somebody who reads nothing is waited for.
    let (replay, _) = start(&[&file, "--wait-viewers", "1"]);
    replay.signal("INT");
    assert_eq!(replay.end().code, 0);
    let large = recordings.json_lines("b.jsonl", 1, &vec!["x".repeat(100_000); 400]);
    let (replay, port) = start(&[&large, "--fast", "--max-message-len", "100k"]);
    let viewer = Peer::connect(port);
    viewer.expect("xxx");
    replay.signal("INT");
    assert_eq!(replay.end().code, 0);
}

#[test]
fn a_wrong_call_is_told() {
    let recordings = Recordings::new();
    let file = recordings.mcap("a.mcap", 1, &["1"]);
    for (arguments, why) in [
        (&["--paused"][..], "--paused waits for a key, but stdin is no terminal"),
        (&["--rate", "0"], "is no rate from"),
        (&["--retime", "t"], "as in t:ms"),
        (&["--fast", "--rate", "2"], "cannot be used with"),
        (&["--connect", "127.0.0.1:1", "--wait-viewers", "1"], "cannot be used with"),
        (&["--serve", "serial:/dev/ttyS0"], "a serial line has a device at its other end"),
    ] {
        let ended = run(&[&["replay", &file], arguments].concat());
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr[0].contains(why), "{ended:?}");
    }
    let ended = run(&["replay", "/nowhere/a.mcap"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].starts_with("leads-comm: cannot read /nowhere/a.mcap: "), "{ended:?}");
}

#[test]
fn leads_sees_a_vehicle() {
    let Some(path) = leads() else { return };
    let recordings = Recordings::new();
    let sent = all_kinds().into_iter().filter(|message| !message.contains(&b';')).collect::<Vec<_>>();
    // LEADS breaks when messages arrive together, hence the time between them.
    let file = recordings.mcap("a.mcap", 100 * MILLISECOND, &sent);
    let (replay, port) = start(&["--leads", &file, "--wait-viewers", "1", "--start", "0"]);
    let (mut viewer, _) = LeadsPeer::start(path, "client", port, ";");
    viewer.expect("connect");
    viewer.tell("listen");
    viewer.expect("listening");
    // It may have missed the first ones, before it listened.
    let last = sent.last().unwrap();
    let hex: String = last.iter().map(|byte| format!("{byte:02x}")).collect();
    while viewer.expect("received") != hex {}
    viewer.expect("disconnect");
    viewer.end();
    assert_eq!(replay.end().code, 0);
}

#[test]
fn what_comes_through_a_pipe_is_played_as_it_comes() {
    let mut replay = Process::start(&["replay", "-", "--serve", "127.0.0.1:0", "--wait-viewers", "1"]);
    replay.write("{\"time\":1,\"text\":\"one\"}\n");
    let line = replay.error_line_with("listening on ");
    let viewer = Peer::connect(line.rsplit_once(':').unwrap().1.parse().unwrap());
    viewer.expect("one;");
    replay.write("{\"time\":1.01,\"text\":\"two\"}\n");
    viewer.expect("two;");
    replay.close_stdin();
    viewer.expect_goodbye();
    assert_eq!(replay.end().code, 0);
}
