//! Those who look beside the page, and are no viewers: PlotJuggler, and the page of LEADS's remote analyst.

use std::net::UdpSocket;

use leads_comm_testing::wire::{Listening, Peer};
use serde_json::{Value, json};

use super::{Answer, View};
use crate::process::{PATIENCE, Process, run};

/// Where LEADS's page comes from.
const PAGE: &str = "https://leads-vec-rc.projectneura.org";

#[test]
fn json_goes_out_by_udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (view, vehicle) = View::of_vehicle(&["--udp", &socket.local_addr().unwrap().to_string()]);
    vehicle.write(r#"time_lap;{"speed":12.5};"#);
    let mut bytes = [0; 1000];
    let len = socket.recv(&mut bytes).unwrap();
    let told: Value = serde_json::from_slice(&bytes[..len]).unwrap();
    assert_eq!(told["speed"], 12.5);
    assert!(told["timestamp"].as_f64().unwrap() > 1.7e9, "{told}");
    view.process.error_line_with("not sent by UDP: messages that are no JSON objects");
    let left_out = view.get("/stats").json()["left_out"].clone();
    let by_udp = json!({ "not_json": 1, "too_long": 0, "not_taken": 0 });
    assert_eq!(left_out, json!({ "udp": by_udp, "foxglove": { "too_long": 0 } }));
    let metrics = view.get("/metrics");
    let lines: Vec<_> = metrics.text().lines().filter(|line| line.contains("leads_comm_view_left_out_total")).collect();
    assert_eq!(
        lines,
        [
            "# HELP leads_comm_view_left_out_total Messages not sent to those beside the page, by cause",
            "# TYPE leads_comm_view_left_out_total counter",
            "leads_comm_view_left_out_total{to=\"udp\",cause=\"not_json\"} 1",
            "leads_comm_view_left_out_total{to=\"udp\",cause=\"too_long\"} 0",
            "leads_comm_view_left_out_total{to=\"udp\",cause=\"not_taken\"} 0",
            "leads_comm_view_left_out_total{to=\"foxglove\",cause=\"too_long\"} 0",
        ]
    );
    view.process.signal("INT");
    view.process.error_line_with("by UDP: 1 message sent, 1 no JSON objects");
}

/// The view, the vehicle, and the port at which LEADS's page asks.
fn dashboard(arguments: &[&str]) -> (View, Peer, u16) {
    let vehicle = Listening::start();
    let address = vehicle.address();
    let own = ["view", &address, "--listen", "127.0.0.1:0", "--monitor", "none", "--leads-rc=0"];
    let process = Process::start(&[&own[..], arguments].concat());
    let port = |line: String| -> u16 { line.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap() };
    let asked = port(process.error_line_with("LEADS's dashboard is answered at http://127.0.0.1:"));
    let shown = port(process.error_line_with("the page is at"));
    let peer = vehicle.accept();
    process.error_line_with("connected to");
    (View { process, port: shown }, peer, asked)
}

fn ask(port: u16, method: &str, path: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    super::ask(port, &format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}\r\n"))
}

fn of_page(port: u16, path: &str) -> Answer {
    ask(port, "GET", path, &[&format!("Origin: {PAGE}")])
}

#[test]
fn the_dashboard_of_leads_is_answered() {
    let (view, vehicle, leads) = dashboard(&["--allow", "time_lap,m1"]);
    assert_eq!(of_page(leads, "/").json(), json!("LEADS VeC Remote Controller"));
    assert_eq!(of_page(leads, "/current").json()["speed"], 0);
    // What was before it came, it would have to ask for.
    let mut page = view.page();
    vehicle.write(r#"{"t":1795982253354,"speed":4,"forward_acceleration":1.5,"lateral_acceleration":-0.5};"#);
    page.find_sample("speed", 4.0);
    let current = of_page(leads, "/current");
    assert!(current.head.contains(&format!("Access-Control-Allow-Origin: {PAGE}\r\n")), "{}", current.head);
    let current = current.json();
    assert_eq!((&current["speed"], &current["cfc_fl"]), (&json!(4), &json!(918.17)));
    assert_eq!(of_page(leads, "/time_stamp").json(), json!([1_795_982_253_354_u64]));
    assert_eq!(of_page(leads, "/time_lap").json(), json!("done"));
    assert_eq!(of_page(leads, "/hazard").status, 403);
    assert_eq!(of_page(leads, "/docs").status, 404);
    // What another page can cause: an image, with no word of where it comes from.
    for headers in [&[][..], &["Origin: https://evil.example"], &["Origin: null"]] {
        assert_eq!(ask(leads, "GET", "/m1", headers).status, 403, "{headers:?}");
    }
    assert_eq!(ask(leads, "GET", "/current", &["Origin: https://evil.example"]).status, 403);
    // A name that points here for a moment.
    assert_eq!(super::ask(leads, "GET /current HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 403);
    vehicle.expect("time_lap;");
}

/// What a browser asks before it lets a page of the internet ask something of this machine.
#[test]
fn a_browser_is_told_that_the_page_may_ask() {
    let (_view, _vehicle, leads) = dashboard(&["--origin", "http://localhost:5173"]);
    for origin in [PAGE, "http://localhost:5173"] {
        let asked = ask(
            leads,
            "OPTIONS",
            "/current",
            &[
                &format!("Origin: {origin}"),
                "Access-Control-Request-Method: GET",
                "Access-Control-Request-Private-Network: true",
            ],
        );
        assert_eq!(asked.status, 204, "{asked:?}");
        for header in [
            &format!("Access-Control-Allow-Origin: {origin}"),
            "Access-Control-Allow-Methods: GET",
            "Access-Control-Allow-Private-Network: true",
        ] {
            assert!(asked.head.contains(header), "{header}: {}", asked.head);
        }
    }
    let refused = ask(leads, "OPTIONS", "/current", &["Origin: https://evil.example"]);
    assert!(refused.status == 403 && !refused.head.contains("Allow-Origin"), "{refused:?}");
}

#[test]
fn no_command_is_sent_unless_it_is_allowed() {
    let (_view, vehicle, leads) = dashboard(&[]);
    for command in ["/time_lap", "/hazard", "/m1", "/m3"] {
        let answer = of_page(leads, command);
        assert_eq!((answer.status, answer.json()["detail"].as_str()), (403, Some("no command is allowed")));
    }
    vehicle.write("a;");
}

#[test]
fn a_wrong_call_is_told() {
    let outcome = |arguments: &[&str]| {
        let ended = run(&[&["view", "127.0.0.1:1", "--listen", "127.0.0.1:0"], arguments].concat());
        (ended.code, ended.stderr.concat())
    };
    for (arguments, part) in [
        (&["--udp", "nowhere"][..], "cannot send to --udp nowhere"),
        (&["--origin", "*"], "an origin is https://HOST"),
        (&["--leads-rc=x"], "--leads-rc"),
    ] {
        let (code, told) = outcome(arguments);
        assert!(code == 2 && told.contains(part), "{arguments:?}: {code} {told}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, told) = outcome(&[&format!("--leads-rc={port}")]);
    assert!(code == 1 && told.contains("for --leads-rc"), "{code} {told}");
}
