//! What a page sees of a vehicle that is alive, that goes, and that comes back.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm_testing::wire::Listening;
use serde_json::{Value, json};

use super::{JPEG, Told, View};

/// Now, in milliseconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

#[test]
fn a_page_is_told_who_it_sees_and_then_all_that_is_known() {
    let (view, vehicle) = View::of_vehicle(&["--keep", "2m"]);
    vehicle.write(r#"{"speed":12.5,"gps":{"lat":43.5}};"#);
    view.page().find("fields", |fields| fields["fields"][1]["last"] == 12.5);
    // One that comes later is told the same at once, without anything new having come.
    let mut page = view.page();
    let hello = page.hello.clone();
    assert_eq!((&hello["live"], &hello["commands"], &hello["keep_s"]), (&json!(true), &json!([]), &json!(120.0)));
    assert_eq!((&hello["monitor"], &hello["files"]), (&json!(null), &json!(null)));
    assert_eq!(hello["version"], env!("CARGO_PKG_VERSION"));
    assert!(hello["source"].as_str().unwrap().starts_with("127.0.0.1:"));
    let Told::Text(fields) = page.next() else { panic!() };
    let paths: Vec<_> = fields["fields"].as_array().unwrap().iter().map(|field| &field["path"]).collect();
    assert_eq!(paths, ["gps.lat", "speed"]);
    let Told::Text(state) = page.next() else { panic!() };
    assert_eq!((&state["type"], &state["connected"], &state["messages"]), (&json!("state"), &json!(true), &json!(1)));
    assert!((now() - state["now"].as_f64().unwrap()).abs() < 60_000.0, "{state}");
    let Told::Text(raw) = page.next() else { panic!() };
    assert_eq!(
        (&raw["type"], &raw["messages"][0]["text"]),
        (&json!("raw"), &json!(r#"{"speed":12.5,"gps":{"lat":43.5}}"#))
    );
}

#[test]
fn what_is_sent_is_drawn_counted_and_in_the_history() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let mut page = view.page();
    for speed in 0..10 {
        vehicle.write(format!("{{\"speed\":{speed},\"t\":{}}};", now() as u64));
    }
    let time = page.find_sample("speed", 9.0);
    assert!((now() - time).abs() < 60_000.0);
    let state = page.find("state", |state| state["messages"] == 10);
    assert!(state["skew_ms"].as_f64().unwrap().abs() < 60_000.0 && state["not_json"] == 0, "{state}");
    assert!(state["age_ms"].as_f64().unwrap() >= 0.0, "{state}");
    let field = view.page().find("fields", |fields| fields["fields"].to_string().contains("\"count\":10"));
    let field = field["fields"].as_array().unwrap().iter().find(|field| field["path"] == "speed").unwrap().clone();
    assert_eq!((&field["min"], &field["max"], &field["last"]), (&json!(0), &json!(9), &json!(9)));
    let history = view.get("/history").json();
    let id = field["id"].to_string();
    assert_eq!(history["v"][&id].as_array().unwrap().len(), 10);
    assert_eq!(history["t"].as_array().unwrap().last(), Some(&json!(time)));
    assert!(history["seq"].as_u64().unwrap() > 0);
    let metrics = view.get("/metrics");
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    let line = "leads_comm_messages_received_total{service=\"vehicle\"} 10";
    assert!(metrics.text().lines().any(|metric| metric == line), "{}", metrics.text());
    let stats = view.get("/stats").json();
    assert_eq!(
        (&stats["vehicle"]["traffic"]["received"]["messages"], &stats["page"]["opened"]),
        (&json!(10), &json!(2))
    );
}

/// The history ends where what was told begins: nothing is missing, and nothing doubled.
#[test]
fn the_history_and_what_is_told_fit_together() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let writer = std::thread::spawn(move || {
        for number in 0..300 {
            vehicle.write(format!("{{\"n\":{number}}};"));
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        vehicle
    });
    // Begins in the middle of it.
    view.page().find("state", |state| state["messages"].as_u64() >= Some(100));
    let mut page = view.page();
    let fields = page.find("fields", |_| true);
    let id = fields["fields"][0]["id"].to_string();
    let history = view.get("/history").json();
    let mut seen: Vec<f64> = history["v"][&id].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    let mut seq = history["seq"].as_u64().unwrap();
    while seen.last() != Some(&299.0) {
        let samples = page.find("samples", |samples| samples["seq"].as_u64().unwrap() > seq);
        seq += 1;
        assert_eq!(samples["seq"], seq);
        seen.extend(samples["v"][&id].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()));
    }
    assert_eq!(seen, (0..300).map(f64::from).collect::<Vec<_>>());
    drop(writer.join().unwrap());
}

#[test]
fn pictures_are_shown_and_the_newest_to_those_who_come_later() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let picture = |page: &mut super::Page, wanted: &str| loop {
        if let Told::Picture { name, time, bytes } = page.next() {
            if name == wanted {
                return (time, bytes);
            }
        }
    };
    let data = STANDARD.encode(JPEG);
    vehicle.write(format!("frvc:{data};"));
    let mut page = view.page();
    let (time, bytes) = picture(&mut page, "frvc");
    assert!((now() - time).abs() < 60_000.0);
    assert_eq!(bytes, JPEG);
    let newer = [JPEG, b"!"].concat();
    vehicle.write(format!("{{\"speed\":1,\"front_view_base64\":\"{}\"}};", STANDARD.encode(&newer)));
    assert_eq!(picture(&mut page, "front_view").1, newer);
    assert_eq!(picture(&mut view.page(), "front_view").1, newer);
    vehicle.write([b"\x89PNG\r\n\x1a\n".as_slice(), b"and so on;"].concat());
    assert_eq!(picture(&mut page, "picture").1, b"\x89PNG\r\n\x1a\nand so on");
}

/// Two ports behind each other, at which nobody listens.
fn two_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

#[test]
fn a_vehicle_of_leads_has_its_pictures_at_the_next_port() {
    let port = two_ports();
    let vehicle = Listening::start_on(port);
    let view = View::start(&[&vehicle.address(), "--monitor", "none", "--leads"]);
    let vehicle = vehicle.accept();
    vehicle.write(r#"{"speed":1};"#);
    let mut page = view.page();
    page.find("fields", |fields| fields["fields"][0]["last"] == 1);
    // They may come later, as they may not be there at all.
    let cameras = Listening::start_on(port + 1).accept();
    cameras.write(format!("revc:{}end;", STANDARD.encode(JPEG)));
    while !matches!(page.next(), Told::Picture { name, .. } if name == "revc") {}
    // They are no part of the connection.
    cameras.reset();
    vehicle.write(r#"{"speed":2};"#);
    page.find_sample("speed", 2.0);
    assert_eq!(view.page().find("state", |_| true)["connected"], true);
}

#[test]
fn a_vehicle_that_starts_again_is_seen_again() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let port = vehicle.name().port();
    let mut page = view.page();
    page.find("state", |state| state["connected"] == true && state["since"].is_number());
    assert_eq!(view.get("/healthz").status, 200);
    vehicle.reset();
    let state = page.find("state", |state| state["connected"] == false);
    let status = state["status"].as_str().unwrap();
    assert!(status.starts_with("disconnected: ") || status.starts_with("cannot connect to "), "{state}");
    let health = view.get("/healthz");
    assert_eq!((health.status, health.text()), (503, "not connected\n"));
    let vehicle = Listening::start_on(port).accept();
    vehicle.write(r#"{"back":1};"#);
    page.find_sample("back", 1.0);
    let state = page.find("state", |state| state["connected"] == true);
    assert!(state["status"].as_str().unwrap().starts_with("connected to "), "{state}");
}

#[test]
fn a_page_is_there_before_the_vehicle_is() {
    let address = leads_comm_testing::wire::unused_address();
    let view = View::start(&[&address, "--monitor", "none"]);
    let mut page = view.page();
    let state = page.find("state", |state| state["status"] != format!("connecting to {address}"));
    assert_eq!((&state["connected"], &state["age_ms"]), (&json!(false), &Value::Null));
    assert!(state["status"].as_str().unwrap().contains("cannot connect"), "{state}");
    let vehicle = Listening::start_at(&address).accept();
    vehicle.write(r#"{"here":1};"#);
    page.find_sample("here", 1.0);
}
