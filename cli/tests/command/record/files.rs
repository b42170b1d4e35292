//! What is in a recording.

use std::fs;

use leads_comm_testing::folder::Folder;
use serde_json::json;

use super::reading::{Message, Recording};
use super::{Recorded, message, wait_for_messages};
use leads_comm_testing::wire::{Listening, Peer};

use crate::process::{Process, command, run};

#[test]
fn all_kinds_of_messages_are_kept_as_they_came() {
    let frame = r#"{ "t":1795897762603, "speed": 0,"gps_valid":true,"latitude":43.65,"longitude":-79.38,"x":"\u0000"}"#;
    let messages: [&[u8]; 8] = [
        frame.as_bytes(),
        b"time_lap",
        b"",
        b"frvc:/9j/4A==",
        b"frvc:no picture",
        b"\xff\x00\n",
        b"{\"gps_valid\":false,\"latitude\":1,\"longitude\":1}",
        b"{\"not\": json}",
    ];
    let recorded = Recorded::start(&["-c8"]);
    recorded.peer.write(messages.map(|message| [message, b";"].concat()).concat());
    let path = recorded.path();
    let ended = recorded.process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.last().unwrap().contains("recorded 8 messages"), "{ended:?}");

    let recording = Recording::read(path);
    assert!(recording.is_whole);
    assert_eq!(recording.payloads(), messages);
    assert!(recording.messages.iter().map(|message| message.sequence).eq(0..8));
    let places = recording.messages.iter().map(|message| (&*message.topic, &*message.metadata["wrap"]));
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            ("/leads", "none"),
            ("/text", "text"),
            ("/text", "text"),
            ("/frvc", "leads-video"),
            ("/text", "text"),
            ("/bytes", "base64"),
            ("/leads", "none"),
            ("/text", "text"),
        ]
    );
    for Message { metadata, .. } in &recording.messages {
        assert_eq!((&*metadata["role"], &*metadata["direction"], &*metadata["separator"]), ("client", "in", ";"));
        assert_eq!(metadata["peer"], format!("127.0.0.1:{}", recorded.listening.port));
    }
    assert_eq!(recording.messages[0].published, 1_795_897_762_603_000_000);
    assert_eq!(recording.messages[1].published, recording.messages[1].time);
    // The one without a valid position has none.
    let [(topic, fix)] = &recording.derived[..] else { panic!("{:?}", recording.derived) };
    assert_eq!((&**topic, &fix["latitude"], &fix["longitude"]), ("/leads/location", &json!(43.65), &json!(-79.38)));
    let end = recording.notes("leads.end");
    assert_eq!((&*end[0]["messages"], &*end[0]["lost_messages"]), ("8", "0"));
    assert_eq!(recording.notes("leads.recording")[0]["role"], "client");
}

/// Python writes numbers that JSON does not have, and so does LEADS when a sensor gives none.
#[test]
fn frames_with_what_is_no_number_are_seen_all_the_same() {
    let frame = r#"{"t": 1795897762603, "speed": NaN, "yaw": -Infinity, "latitude": 43.5, "longitude": -79.0}"#;
    let recorded = Recorded::start(&["-c3"]);
    recorded.peer.write(format!("{frame};{{\"speed\": NaN;{{\"speed\": 1}};"));
    let path = recorded.path();
    assert_eq!(recorded.process.end().code, 0);
    let recording = Recording::read(path);
    // As they came, and once more as viewers can read them.
    assert_eq!(recording.texts(), [frame, "{\"speed\": NaN", "{\"speed\": 1}"]);
    let topics: Vec<_> = recording.messages.iter().map(|message| &*message.topic).collect();
    assert_eq!(topics, ["/text", "/text", "/leads"]);
    assert_eq!(recording.messages[0].published, 1_795_897_762_603_000_000);
    let [(topic, readable), (_, fix)] = &recording.derived[..] else { panic!("{:?}", recording.derived) };
    let expected =
        json!({"t": 1_795_897_762_603_u64, "speed": null, "yaw": null, "latitude": 43.5, "longitude": -79.0});
    assert_eq!((&**topic, readable), ("/leads", &expected));
    assert_eq!(fix["latitude"], 43.5);
}

#[test]
fn large_messages_are_kept() {
    let recorded = Recorded::start(&["-c20"]);
    let frame = |index: usize| {
        let picture = "/9j/".repeat(256 << 10);
        format!("{{\"index\":{index},\"front_view_base64\":\"{picture}\"}}")
    };
    for index in 0..20 {
        recorded.peer.write(frame(index) + ";");
    }
    let path = recorded.path();
    assert_eq!(recorded.process.end().code, 0);
    let recording = Recording::read(path);
    assert!(recording.texts().into_iter().eq((0..20).map(frame)));
}

#[test]
fn a_server_keeps_what_its_clients_send() {
    let folder = Folder::new("record");
    let path = folder.path().join("served.mcap");
    let arguments = ["record", "--serve", "127.0.0.1:0", "-o", path.to_str().unwrap(), "--name", "vec/one"];
    let process = Process::start(&arguments);
    let listening = process.error_line_with("listening on");
    let port = listening.rsplit_once(':').unwrap().1.parse().unwrap();
    let (one, other) = (Peer::connect(port), Peer::connect(port));
    one.write("{\"a\":1};one;");
    process.error_line_with("connected");
    // What is answered to a goodbye comes behind what was received.
    one.say_goodbye();
    other.write("{\"b\":[[]]};");
    other.say_goodbye();
    process.signal("TERM");
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let recording = Recording::read(path);
    assert_eq!(recording.texts(), ["{\"a\":1}", "one", "{\"b\":[[]]}"]);
    for message in &recording.messages {
        assert_eq!((&*message.metadata["role"], &*message.metadata["peer"]), ("server", "127.0.0.1"));
    }
    assert_eq!((&*recording.messages[0].topic, &*recording.messages[1].topic), ("/vec/one", "/text"));
}

#[cfg(unix)]
#[test]
fn a_server_at_a_unix_socket_has_peers_without_an_address() {
    use std::io::{Read, Write};

    let folder = Folder::new("record");
    let (path, socket) = (folder.path().join("drive.mcap"), folder.path().join("socket"));
    let address = format!("unix:{}", socket.display());
    let process = Process::start(&["record", "--serve", &address, "-c2", "-s", "\\r\\n", "-o", path.to_str().unwrap()]);
    process.error_line_with("listening on unix:");
    let mut peer = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    peer.write_all(b"one\r\ntwo\r\n").unwrap();
    peer.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(process.end().code, 0);
    let recording = Recording::read(path);
    assert_eq!(recording.texts(), ["one", "two"]);
    let metadata = &recording.messages[0].metadata;
    assert_eq!((&*metadata["peer"], &*metadata["separator"]), ("unix", "\\r\\n"));
}

#[test]
fn messages_with_a_length_before_them_have_no_separator() {
    let recorded = Recorded::start(&["--length-prefix", "-c2"]);
    recorded.peer.write(b"\0\0\0\x03a;b\0\0\0\0");
    let path = recorded.path();
    assert_eq!(recorded.process.end().code, 0);
    let recording = Recording::read(path);
    assert_eq!(recording.texts(), ["a;b", ""]);
    assert_eq!(recording.messages[0].metadata["separator"], "");
}

#[test]
fn it_connects_again_into_the_same_file() {
    let recorded = Recorded::start(&["-c2"]);
    recorded.peer.write("one;");
    let port = recorded.listening.port;
    drop(recorded.listening);
    recorded.peer.hang_up();
    recorded.process.error_line_with("connecting again");
    let again = Listening::start_on(port);
    again.accept().write("two;");
    assert_eq!(recorded.process.end().code, 0);
    assert_eq!(Recording::read(recorded.folder.path().join("drive.mcap")).texts(), ["one", "two"]);
}

#[test]
fn a_file_that_exists_is_kept_unless_forced() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    fs::write(&path, "old").unwrap();
    let listening = Listening::start();
    let arguments = ["record", &format!("127.0.0.1:{}", listening.port), "-c1", "-o", path.to_str().unwrap()];
    let ended = run(&arguments);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].contains("exists already"), "{ended:?}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let process = Process::start(&[&arguments[..], &["--force"]].concat());
    listening.accept().write("new;");
    assert_eq!(process.end().code, 0);
    assert_eq!(Recording::read(&path).texts(), ["new"]);
}

#[test]
fn a_file_without_a_name_is_called_after_the_time() {
    let folder = Folder::new("record");
    // Also those that begin within the same second.
    for index in 1..=3 {
        let listening = Listening::start();
        let mut command = command(&["record", &format!("127.0.0.1:{}", listening.port), "-c1"]);
        let process = Process::spawn(command.current_dir(folder.path()));
        listening.accept().write(format!("{index};"));
        assert_eq!(process.end().code, 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), index);
    }
    let mut texts = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("leads-20") && name.ends_with(".mcap"), "{name}");
        texts.extend(Recording::read(&path).texts().iter().map(|text| (*text).to_owned()));
    }
    texts.sort();
    assert_eq!(texts, ["1", "2", "3"]);
}

#[test]
fn nothing_is_left_of_a_recording_that_never_began() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    // Nobody listens there any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = run(&["record", &address, "--no-reconnect", "-o", path.to_str().unwrap()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(!path.exists());
}

#[test]
fn each_part_can_be_read_by_itself() {
    let recorded = Recorded::start(&["-c200", "--split", "20k"]);
    let message = |index: u64| {
        // What is no text, and cannot be compressed much.
        let mut chance = leads_comm_testing::seed::Random::new(index);
        let bytes: Vec<u8> = (0..500).map(|_| (chance.number() % 200) as u8).map(|byte| byte.max(60)).collect();
        [index.to_string().as_bytes(), b"\xff", &bytes].concat()
    };
    for index in 0..200 {
        recorded.peer.write([message(index), b";".to_vec()].concat());
    }
    let folder = recorded.folder;
    let ended = recorded.process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (mut number, mut messages) = (0, Vec::new());
    loop {
        let path = folder.path().join(format!("drive_{:04}.mcap", number + 1));
        let Ok(bytes) = fs::read(&path) else { break };
        number += 1;
        let part = Recording::of(&bytes);
        assert!(part.is_whole && !part.messages.is_empty(), "part {number}");
        assert!(bytes.len() < 60_000, "part {number} has {} bytes", bytes.len());
        assert_eq!(part.notes("leads.recording")[0]["part"], number.to_string());
        messages.extend(part.messages);
    }
    assert!(number > 3, "{number} parts");
    assert!(messages.iter().map(|message| message.sequence).eq(0..200));
    assert!(messages.iter().map(|message| message.payload.clone()).eq((0..200).map(message)));
}

#[test]
fn parts_are_as_long_as_they_should_be() {
    let recorded = Recorded::start(&["--split", "300ms"]);
    let files = || fs::read_dir(recorded.folder.path()).unwrap().count();
    let mut sent = 0;
    while files() < 3 {
        recorded.peer.write("x;");
        sent += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    recorded.process.signal("INT");
    recorded.peer.expect_goodbye();
    assert_eq!(recorded.process.end().code, 0);
    let mut messages = Vec::new();
    for number in 1..=fs::read_dir(recorded.folder.path()).unwrap().count() {
        let part = Recording::read(recorded.folder.path().join(format!("drive_{number:04}.mcap")));
        let times: Vec<_> = part.messages.iter().map(|message| message.time).collect();
        assert!(part.is_whole && times[times.len() - 1] - times[0] < 300_000_000, "{times:?}");
        messages.extend(part.messages);
    }
    assert_eq!(messages.len(), sent);
}

/// However long that is waited for.
#[test]
fn the_first_part_begins_with_the_first_message() {
    for options in [["--split", "1ms"], ["--split", "1B"]] {
        let recorded = Recorded::start(&[&["-c1"], &options[..]].concat());
        std::thread::sleep(std::time::Duration::from_millis(5));
        recorded.peer.write("x;");
        let Recorded { folder, process, .. } = recorded;
        assert_eq!(process.end().code, 0);
        let part = Recording::read(folder.path().join("drive_0001.mcap"));
        assert!(part.is_whole && part.texts() == ["x"], "{part:?}");
    }
}

/// They would be in the way later, or be taken for parts of this recording.
#[test]
fn parts_of_another_recording_are_told_at_once() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    for (name, is_part) in [("drive_2.mcap", false), ("drive_0002.csv", false), ("drive_0007.mcap", true)] {
        fs::write(folder.path().join(name), "old").unwrap();
        let arguments = ["record", "--serve", "127.0.0.1:0", "-W1ms", "--split", "1h", "-o", path.to_str().unwrap()];
        let ended = run(&arguments);
        assert_eq!(ended.code, i32::from(is_part), "{name}: {ended:?}");
        assert_eq!(is_part, ended.stderr[0].contains("drive_0007.mcap exists already"), "{ended:?}");
        let _ = fs::remove_file(folder.path().join("drive_0001.mcap"));
    }
}

#[test]
fn a_recording_goes_to_stdout_as_well() {
    let listening = Listening::start();
    let address = format!("127.0.0.1:{}", listening.port);
    let (mut process, mut stdout) = Process::start_unread(&["record", &address, "-o", "-", "-c1000"]);
    let peer = listening.accept();
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut bytes).unwrap();
        bytes
    });
    (0..1000).for_each(|index| peer.write(format!("{index};")));
    assert_eq!(process.wait().code, 0);
    let recording = Recording::of(&reading.join().unwrap());
    assert!(recording.is_whole);
    assert!(recording.texts().into_iter().eq((0..1000).map(|index| index.to_string())));
}

/// Stdout, also once it has to end: as long as somebody reads.
#[test]
fn a_slow_reader_of_stdout_gets_all_of_it() {
    let listening = Listening::start();
    let (process, mut stdout) = Process::start_unread(&["record", &listening.address(), "-o", "-"]);
    let peer = listening.accept();
    (0..1500).for_each(|index| peer.write(message(index)));
    process.signal("TERM");
    peer.expect_goodbye();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        let len = std::io::Read::read(&mut stdout, &mut buffer).unwrap();
        if len == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..len]);
        // Some seconds in all.
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(Recording::of(&bytes).is_whole);
}

#[test]
fn what_is_received_is_in_the_file_a_moment_later() {
    let recorded = Recorded::start(&[]);
    recorded.peer.write("one;two;");
    wait_for_messages(&recorded.path(), 2);
}

#[test]
fn frames_are_kept_as_leads_keeps_them() {
    let folder = Folder::new("record");
    let path = folder.path().join("drive.csv");
    let listening = Listening::start();
    let address = format!("127.0.0.1:{}", listening.port);
    let process = Process::start(&["record", &address, "-c5", "-o", path.to_str().unwrap()]);
    let frames = "{\"t\":1,\"speed\":0.5,\"gps_valid\":false};{\"no\":\"frame\"};{\"t\":2};{\"speed\": NaN, \"t\": 3};";
    listening.accept().write(format!("time_lap;{frames}"));
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let last = ended.stderr.last().unwrap();
    assert!(last.contains("recorded 3 messages") && last.contains("2 messages passed over"), "{last}");
    let csv = fs::read_to_string(&path).unwrap();
    let (header, rows) = csv.split_once('\n').unwrap();
    assert!(header.starts_with("index,t,voltage,speed,") && header.ends_with(",throttle,brake"), "{header}");
    assert_eq!(rows, "0,1,,0.5,,,,,,,,,,,,,,False,,,,,,\n1,2,,,,,,,,,,,,,,,,,,,,,,\n2,3,,,,,,,,,,,,,,,,,,,,,,\n");
}
