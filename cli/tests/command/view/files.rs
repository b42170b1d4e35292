//! Recordings, with a time line.

use serde_json::json;

use super::{Page, Told, View};
use crate::process::run;
use crate::recordings::{BEGIN, Recordings};

/// When the recordings begin, in milliseconds.
const START: f64 = BEGIN as f64 / 1e6;

const SECOND: u64 = 1_000_000_000;

/// A message a second, for this long.
fn seconds(count: u64) -> Vec<String> {
    (0..count).map(|second| format!("{{\"second\":{second}}}")).collect()
}

/// Asks to go there, and waits until that is so.
fn seek(page: &mut Page, second: f64) {
    page.say(json!({ "type": "seek", "at": START + second * 1000.0 }));
    page.find("reset", |_| true);
}

#[test]
fn a_recording_is_played_paused_and_moved_in() {
    let folder = Recordings::new();
    for file in
        [folder.mcap("drive.mcap", SECOND, &seconds(100)), folder.json_lines("drive.jsonl", SECOND, &seconds(100))]
    {
        let view = View::start(&[&file]);
        let mut page = view.page();
        let hello = page.hello.clone();
        assert_eq!((&hello["live"], &hello["files"], &hello["source"]), (&json!(false), &json!([file]), &json!(file)));
        let timeline = page.find("timeline", |_| true);
        assert_eq!((timeline["start"].as_f64(), timeline["end"].as_f64()), (Some(START), Some(START + 99_000.0)));
        assert_eq!(
            (&timeline["messages"], &timeline["ended"], &timeline["speed"]),
            (&json!(100), &json!(false), &json!(1))
        );
        page.say(json!({ "type": "pause", "on": true }));
        page.find("timeline", |timeline| timeline["paused"] == true);

        // What was recorded in the half minute before is there at once, and no more than that.
        seek(&mut page, 70.5);
        assert_eq!(page.find_sample("second", 70.0), START + 70_000.0);
        let timeline = page.find("timeline", |timeline| timeline["at"].as_f64() >= Some(START + 70_000.0));
        assert_eq!((timeline["at"].as_f64(), &timeline["paused"]), (Some(START + 70_500.0), &json!(true)));
        let history = view.get("/history").json();
        let expected: Vec<u64> = (41..=70).collect();
        assert_eq!(history["v"]["0"], json!(expected));
        let fields = page.find("fields", |fields| fields["fields"][0]["last"] == 70);
        assert_eq!((&fields["fields"][0]["min"], &fields["fields"][0]["count"]), (&json!(41), &json!(30)));

        // Back, and on from there.
        seek(&mut page, 2.0);
        assert_eq!(page.find_sample("second", 2.0), START + 2000.0);
        page.say(json!({ "type": "speed", "x": 50 }));
        page.say(json!({ "type": "pause", "on": false }));
        page.find_sample("second", 10.0);
        page.find_sample("second", 99.0);
        let end = page.find("timeline", |timeline| timeline["ended"] == true);
        assert_eq!((&end["paused"], end["at"].as_f64()), (&json!(true), Some(START + 99_000.0)));
        // And again from the beginning.
        page.say(json!({ "type": "pause", "on": false }));
        page.find("reset", |_| true);
        page.find_sample("second", 0.0);
        page.find("timeline", |timeline| timeline["ended"] == false && timeline["paused"] == false);
    }
}

#[test]
fn a_place_outside_is_the_beginning_or_the_end() {
    let folder = Recordings::new();
    let view = View::start(&[&folder.mcap("drive.mcap", SECOND, &seconds(10))]);
    let mut page = view.page();
    page.say(json!({ "type": "pause", "on": true }));
    page.say(json!({ "type": "seek", "at": 1e300 }));
    page.find("reset", |_| true);
    page.find_sample("second", 9.0);
    page.find("timeline", |timeline| timeline["at"].as_f64() == Some(START + 9000.0));
    page.say(json!({ "type": "seek", "at": -5 }));
    page.find("reset", |_| true);
    page.find_sample("second", 0.0);
    page.find("timeline", |timeline| timeline["at"].as_f64() == Some(START));
}

#[test]
fn all_who_look_see_the_same_place() {
    let folder = Recordings::new();
    let view = View::start(&[&folder.mcap("drive.mcap", SECOND, &seconds(100))]);
    let (mut page, mut other) = (view.page(), view.page());
    page.find("timeline", |_| true);
    other.find("timeline", |_| true);
    page.say(json!({ "type": "pause", "on": true }));
    seek(&mut page, 50.0);
    other.find("reset", |_| true);
    assert_eq!(other.find_sample("second", 50.0), START + 50_000.0);
    // And so does one that comes now.
    let mut late = view.page();
    let Told::Text(_) = late.next() else { panic!() };
    late.find("timeline", |timeline| timeline["at"].as_f64() == Some(START + 50_000.0));
}

#[test]
fn files_are_played_one_behind_the_other() {
    let folder = Recordings::new();
    let (first, second) =
        (folder.mcap("a.mcap", SECOND, &seconds(3)), folder.json_lines("b.jsonl", SECOND, &["{\"b\":1}"; 2]));
    let view = View::start(&[&first, &second]);
    let mut page = view.page();
    assert_eq!(page.hello["files"], json!([first, second]));
    let timeline = page.find("timeline", |_| true);
    // The second one was recorded before, and is played behind all the same.
    let length = timeline["end"].as_f64().unwrap() - timeline["start"].as_f64().unwrap();
    assert_eq!((length, &timeline["messages"]), (3000.0, &json!(5)));
    page.find_sample("b", 1.0);
}

#[test]
fn what_cannot_be_played_is_told() {
    let folder = Recordings::new();
    std::fs::write(folder.path("empty.jsonl"), "{\"a\":1}\n").unwrap();
    for (arguments, why) in [
        (&["missing.mcap"][..], "cannot read missing.mcap: "),
        (&[&folder.name("empty.jsonl")], "there is nothing to play in "),
    ] {
        let ended = run(&[&["view", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "{ended:?}");
    }
}
