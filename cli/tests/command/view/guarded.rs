//! Who may ask, and what is said of it.

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::Listening;
use serde_json::json;

use super::{View, ask};
use crate::process::{Process, command, run};

const TOKEN: &str = "correct horse battery staple";

#[test]
fn names_of_this_machine_may_be_asked_for_where_they_are_told() {
    let (view, _vehicle) = View::of_vehicle(&["--web-host", "car.local,pit.example"]);
    let status = |host: &str| ask(view.port, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    for (host, expected) in [("car.local:8765", 200), ("pit.example", 200), ("localhost", 200), ("evil.example", 403)] {
        assert_eq!(status(host), expected, "{host}");
    }
    let ended = run(&["view", "127.0.0.1:1", "--web-host", "car.local:8765"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr[0].contains("no port"), "{ended:?}");
}

/// Neither the token, nor what a vehicle and a page say, however much is logged.
#[test]
fn a_log_holds_no_secrets() {
    let folder = Folder::new("guarded");
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let vehicle = Listening::start();
    let address = vehicle.address();
    let arguments = ["view", "--listen", "127.0.0.1:0", &address, "--monitor", "none", "--allow", "a secret command"];
    let mut command = command(&[&arguments[..], &["--web-token-file", file.to_str().unwrap()]].concat());
    let process = Process::spawn(command.env("RUST_LOG", "trace"));
    let line = process.error_line_with("the page is at http://127.0.0.1:");
    let (before, query) = line.split_once("/?token=").expect("the address has the token");
    let view = View { port: before.rsplit(':').next().unwrap().parse().unwrap(), process };
    let peer = vehicle.accept();

    let opened =
        ask(view.port, &format!("GET /?token={query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
    assert_eq!(opened.status, 302, "{opened:?}");
    assert!(!opened.head.contains(query), "{opened:?}");
    assert_eq!(view.get("/").status, 401);
    let bearer = format!("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    assert_eq!(ask(view.port, &bearer).status, 200);
    let mut page = view.page_with(&format!("?token={query}"));
    peer.write(b"{\"a secret field\":42};");
    page.find("fields", |told| told.to_string().contains("a secret field"));
    page.say(json!({ "type": "command", "name": "a secret command" }));
    page.find("commanded", |told| told["ok"] == true);
    peer.expect("a secret command;");

    view.process.signal("INT");
    let log = view.process.end().stderr.join("\n");
    assert!(log.contains("web::exchange") && log.contains("GET / 302"), "it is logged: {log}");
    for secret in [TOKEN, query, "secret", &query[..10]] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
}
