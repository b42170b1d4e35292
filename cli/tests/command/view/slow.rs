//! A browser that reads nothing is its own trouble.

use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm_testing::wire::Peer;
use serde_json::json;

use super::{JPEG, View};

/// A browser that has asked for its WebSocket, and reads nothing any more.
fn stopped(view: &View) -> Peer {
    let browser = Peer::new(TcpStream::connect(("127.0.0.1", view.port)).unwrap());
    let port = view.port;
    browser.write(format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: leads-comm.view.1\r\n\r\n"
    ));
    browser.expect("HTTP/1.1 101 ");
    browser
}

#[test]
fn one_that_is_stopped_holds_up_neither_others_nor_the_vehicle() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let _stopped = stopped(&view);
    let mut page = view.page();
    // Some 100 MB, of which a system holds a few for one who does not read. An emulator passes no question on whether its
    // system is alive, so that it is ended after half a minute there.
    let pictures = if cfg!(leads_comm_emulated) { 20 } else { 70 };
    let picture = STANDARD.encode([JPEG, &[7; 1 << 20]].concat());
    for number in 0..pictures {
        vehicle.write(format!("frvc:{picture};{{\"n\":{number}}};"));
        page.find_sample("n", number.into());
    }
    let state = page.find("state", |state| state["messages"] == 2 * pictures);
    assert_eq!(state["left_out"], 0, "{state}");
    assert_eq!(view.get("/healthz").status, 200);
    // It is still there, and all that waits for it is the newest of each kind.
    let stats = view.get("/stats").json();
    assert_eq!(stats["page"]["connections"], json!(2), "{stats}");
}

/// What waits for it is large, and the newest picture is not.
#[test]
fn one_that_is_being_sent_a_large_picture_is_told_samples_behind_it() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let (mut slow, mut page) = (view.page(), view.page());
    let large = STANDARD.encode([JPEG, &[7; 7 << 19]].concat());
    let small = STANDARD.encode(JPEG);
    for (number, picture) in [large, small].iter().enumerate() {
        vehicle.write(format!("frvc:{picture};{{\"n\":{number}}};"));
        page.find_sample("n", number as f64);
    }
    slow.find_sample("n", 0.0);
    slow.find_sample("n", 1.0);
}

#[test]
fn one_that_goes_without_a_word_is_forgotten() {
    let (view, vehicle) = View::of_vehicle(&[]);
    stopped(&view).reset();
    let mut page = view.page();
    vehicle.write(r#"{"n":1};"#);
    page.find_sample("n", 1.0);
    drop(page);
    let mut page = view.page();
    page.find("fields", |fields| fields["fields"][0]["path"] == "n");
}
