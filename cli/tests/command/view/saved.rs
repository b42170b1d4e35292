//! The last minutes, saved.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{JPEG, View};
use crate::process::run;
use crate::recordings::{Recordings, messages};

#[test]
fn what_is_saved_is_what_record_would_have_written() {
    let (view, vehicle) = View::of_vehicle(&[]);
    assert_eq!(view.get("/save").status, 404);
    let picture = format!("frvc:{}", STANDARD.encode(JPEG));
    let sent =
        [r#"{"t":1795897762603,"speed":12.50,"latitude":43.5,"longitude":-79.5}"#, "time_lap", &picture, "\u{e9}"];
    sent.iter().for_each(|message| vehicle.write(format!("{message};")));
    view.page().find("state", |state| state["messages"] == 4);
    let answer = view.get("/save?format=mcap");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("attachment; filename=\"leads-"), "{}", answer.head);
    let folder = Recordings::new();
    fs::write(folder.path("saved.mcap"), &answer.body).unwrap();
    let kept: Vec<_> = messages(folder.path("saved.mcap")).into_iter().map(|(_, message)| message).collect();
    assert_eq!(kept, sent.map(|message| message.as_bytes().to_vec()));
    let info = run(&["info", &folder.name("saved.mcap")]);
    assert_eq!(info.code, 0, "{info:?}");
    let told = info.stdout.join("\n");
    for part in ["recorded by a client", "/frvc", "/leads/location", "separator   ;"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(info.stderr.is_empty() && !told.contains("cut off"), "{info:?}");

    let table = view.get("/save?format=csv");
    let rows: Vec<&str> = table.text().lines().collect();
    assert!(table.head.contains(".csv\"") && rows.len() == 2, "{table:?}");
    assert!(rows[0].starts_with("index,t,voltage,speed,") && rows[1].starts_with("0,1795897762603,,12.5,"), "{rows:?}");
    assert_eq!(view.get("/save?format=exe").status, 400);
}

#[test]
fn only_so_much_is_kept_as_was_asked_for() {
    let (view, vehicle) = View::of_vehicle(&["--keep-bytes", "64k"]);
    let mut page = view.page();
    for number in 0..100 {
        vehicle.write(format!("{{\"n\":{number},\"pad\":\"{}\"}};", "x".repeat(2000)));
    }
    page.find("state", |state| state["messages"] == 100);
    let folder = Recordings::new();
    fs::write(folder.path("saved.mcap"), view.get("/save").body).unwrap();
    let kept = messages(folder.path("saved.mcap"));
    // Three quarters of it are for messages.
    assert!((15..=24).contains(&kept.len()), "{}", kept.len());
    assert!(kept.last().unwrap().1.starts_with(b"{\"n\":99,"));
    // Their numbers are few, and all there.
    assert_eq!(view.get("/history").json()["t"].as_array().unwrap().len(), 100);
}

#[test]
fn a_csv_needs_frames() {
    let (view, vehicle) = View::of_vehicle(&[]);
    vehicle.write("time_lap;");
    view.page().find("state", |state| state["messages"] == 1);
    let answer = view.get("/save?format=csv");
    assert_eq!((answer.status, answer.text()), (404, "nothing has come that a CSV of LEADS has a place for\n"));
}
