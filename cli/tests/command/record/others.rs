//! Recordings, read by the tools of others: the Python package of MCAP's authors, and LEADS's data tools.
//!
//! `python3 cli/tests/tools/fetch.py mcap` gets the one, with `leads` the other.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use leads_comm_testing::folder::Folder;
use leads_comm_testing::seed::Random;
use serde_json::{Value, json};

use super::Recorded;
use leads_comm_testing::wire::Listening;

use crate::kits;
use crate::process::Process;

/// A script of `tests/tools`, which sees the modules of a kit; `None` where the kit has not been fetched.
fn script(name: &str, kit: &str) -> Option<Command> {
    let mut command = kits::python(kit)?;
    command.arg(kits::root().join("cli/tests/tools").join(name));
    Some(command)
}

fn run(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What LEADS sends, about: 30 a second.
pub(super) fn frame(index: u64) -> Value {
    let mut chance = Random::new(index);
    let mut noise = |scale: f64| scale * ((chance.number() % (1 << 20)) as f64 / f64::from(1 << 20));
    json!({
        "brake": 0.0, "forward_acceleration": noise(3.0) - 1.5, "front_proximity": -1, "front_wheel_speed": noise(60.0),
        "gps_ground_speed": noise(60.0), "gps_valid": index % 7 != 0,
        "lap_times": [], "lateral_acceleration": noise(1e-6),
        "latitude": 43.65 + noise(0.01), "left_proximity": -1, "longitude": -79.38 + noise(0.01), "m1_mode": "D",
        "m3_mode": null, "mileage": index as f64 * 0.001, "pitch": noise(3.0), "rear_proximity": -1,
        "rear_wheel_speed": noise(60.0), "right_proximity": -1, "roll": noise(1e17), "speed": noise(60.0),
        "speed_trend": noise(1.0), "steering_position": 0.0,
        "t": 1_795_897_762_603_u64 + index * 33, "throttle": noise(1.0),
        "vertical_acceleration": 9.81, "voltage": 48.0, "yaw": noise(360.0),
    })
}

#[test]
fn what_a_leads_server_broadcasts_is_recorded() {
    let Some(path) = crate::leads_peer::leads() else { return };
    let (mut leads, port) = crate::leads_peer::Peer::start(path, "server", 0, ";");
    let folder = Folder::new("record");
    let path = folder.path().join("drive.mcap");
    let address = format!("127.0.0.1:{port}");
    let process = Process::start(&["record", "--leads", &address, "-c3000", "-o", path.to_str().unwrap()]);
    leads.expect("connect");
    leads.tell("burst 3000");
    leads.expect("sent");
    assert_eq!(process.end().code, 0);
    let recording = super::reading::Recording::read(&path);
    assert_eq!(recording.messages.len(), 3000);
    // Numbered, and every hundredth is empty.
    for (number, payload) in recording.payloads().into_iter().enumerate() {
        let head = format!("{number}:");
        let is_right = if number % 100 == 7 { payload.is_empty() } else { payload.starts_with(head.as_bytes()) };
        assert!(is_right, "{number}: {}", payload.escape_ascii());
    }
    leads.expect("disconnect");
    leads.end();
}

fn check(script: Command, path: &Path, arguments: &[&str]) -> Value {
    let mut script = script;
    script.arg(path).args(arguments);
    serde_json::from_slice(&run(script)).unwrap()
}

#[test]
fn the_package_of_mcaps_authors_reads_all_of_it() {
    let Some(script) = script("check_mcap.py", "mcap") else { return };
    let recorded = Recorded::start(&["-c1000"]);
    let mut sent = Vec::new();
    for index in 0..1000 {
        let message = match index % 10 {
            3 => b"time_lap".to_vec(),
            5 => b"\xff\xfe".to_vec(),
            7 => format!("rtvc:/9j/{index:04}").into_bytes(),
            9 => Vec::new(),
            _ => frame(index).to_string().into_bytes(),
        };
        recorded.peer.write([&message[..], b";"].concat());
        sent.push(message);
    }
    let path = recorded.path();
    assert_eq!(recorded.process.end().code, 0);
    let read = check(script, &path, &[]);
    let messages = read["messages"].as_array().unwrap();
    assert_eq!(messages.len(), sent.len());
    for (index, (read, sent)) in messages.iter().zip(&sent).enumerate() {
        let payload =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, read["payload"].as_str().unwrap());
        assert_eq!((read["sequence"].as_u64(), &payload.unwrap()), (Some(index as u64), sent));
    }
    let channels = read["channels"].as_array().unwrap();
    let mut channels: Vec<_> =
        channels.iter().map(|channel| (channel["topic"].as_str(), channel["schema"].as_str())).collect();
    channels.sort();
    assert_eq!(
        channels,
        [
            (Some("/bytes"), Some("leads.Bytes")),
            (Some("/leads"), Some("leads.Frame")),
            (Some("/leads/location"), Some("foxglove.LocationFix")),
            (Some("/rtvc"), Some("foxglove.CompressedImage")),
            (Some("/text"), Some("leads.Text")),
        ]
    );
    assert_eq!(read["notes"][0]["name"], "leads.recording");
}

#[test]
fn the_package_of_mcaps_authors_reads_what_a_killed_recorder_left() {
    let Some(script) = script("check_mcap.py", "mcap") else { return };
    let mut recorded = Recorded::start(&[]);
    recorded.peer.write("one;two;");
    let path = recorded.path();
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while super::reading::Recording::read(&path).messages.len() < 2 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    recorded.process.kill();
    assert_eq!(check(script, &path, &["--truncated"])["messages"].as_array().unwrap().len(), 2);
}

/// Frames, recorded as CSV, and the same as LEADS would have got them.
fn csv(folder: &Folder, frames: &[String]) -> (PathBuf, PathBuf) {
    let (path, sent) = (folder.path().join("drive.csv"), folder.path().join("frames.jsonl"));
    let listening = Listening::start();
    let address = format!("127.0.0.1:{}", listening.port);
    let count = format!("-c{}", frames.len());
    let process = Process::start(&["record", &address, "--csv", &count, "-o", path.to_str().unwrap()]);
    let peer = listening.accept();
    let mut lines = String::new();
    for frame in frames {
        peer.write(format!("{frame};"));
        writeln!(lines, "{frame}").unwrap();
    }
    fs::write(&sent, lines).unwrap();
    assert_eq!(process.end().code, 0);
    (path, sent)
}

#[test]
fn leads_reads_the_csv_that_it_would_have_written() {
    let folder = Folder::new("record");
    let mut frames: Vec<_> = (0..300).map(frame).collect();
    // Whole numbers, large and small ones, and what is missing, which is an empty field.
    for (index, voltage) in
        [json!(0), json!(1e16), json!(1.5e-5), json!(-0.1), json!(123_456_789_012_345_i64)].into_iter().enumerate()
    {
        frames[10 + index]["voltage"] = voltage;
    }
    frames[20].as_object_mut().unwrap().remove("brake");
    // What Python writes of a sensor that gives no number.
    let mut frames = frames.iter().map(Value::to_string).collect::<Vec<_>>();
    for (index, voltage) in ["NaN", "Infinity", "-Infinity"].into_iter().enumerate() {
        frames[30 + index] = frames[30 + index].replace("\"voltage\":48.0", &format!("\"voltage\": {voltage}"));
        assert!(frames[30 + index].contains(voltage));
    }
    let (path, sent) = csv(&folder, &frames);
    let Some(mut script) = script("check_csv.py", "leads-data") else { return };
    script.arg(&path).arg(&sent);
    let said = String::from_utf8(run(script)).unwrap();
    assert!(said.contains("inferred") && said.contains("tensor (300, 4)"), "{said}");
}

#[test]
fn leads_reads_the_csv_of_a_vehicle_with_cameras() {
    let folder = Folder::new("record");
    let mut frames: Vec<_> = (0..20).map(frame).collect();
    for frame in &mut frames {
        for side in ["front", "left", "right", "rear"] {
            frame[format!("{side}_view_base64")] = "/9j/4AAQ".repeat(2000).into();
            frame[format!("{side}_view_latency")] = 12.into();
        }
    }
    let frames = frames.iter().map(Value::to_string).collect::<Vec<_>>();
    let (path, sent) = csv(&folder, &frames);
    let Some(mut script) = script("check_csv.py", "leads-data") else { return };
    script.arg(&path).arg(&sent);
    run(script);
}
