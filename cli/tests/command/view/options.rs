//! How it is called, where it listens, and how it ends.

use std::net::TcpListener;

use leads_comm_testing::folder::Folder;

use super::View;
use crate::process::run;

#[test]
fn a_wrong_call_says_what_is_wrong() {
    let folder = Folder::new("view");
    let file = folder.path().join("drive.jsonl");
    std::fs::write(&file, "{\"t\":1795897762603}\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, why) in [
        (&["a", "b"][..], "one vehicle is viewed at a time, or several recordings"),
        (&[file, "127.0.0.1"], "either a vehicle is viewed, or recordings"),
        (&["a/b"], "a/b is no file, and no address: a path needs unix: or serial: before it"),
        (&[file, "--allow", "time_lap"], "--allow needs a vehicle, and this is a recording"),
        (&[file, "--monitor", "none"], "--monitor needs a vehicle, and this is a recording"),
        (&["x", "--listen", "car:80"], "car is no IP address of this machine"),
        (&["x", "--listen", "tls://127.0.0.1"], "is not HOST:PORT"),
        (&["x", "--allow", "time_lap,"], "a command has 1 to 100 bytes"),
        (&["x", "--monitor", "serial:/dev/x"], "--monitor takes HOST:PORT, unix:PATH or none"),
        (&["x", "--keep", "0"], "not a time such as"),
    ] {
        let ended = run(&[&["view"], arguments].concat());
        assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{ended:?}");
        assert!(ended.stderr[0].contains(why), "{ended:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_the_option_for_another_one() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&["view", "127.0.0.1:1", "--listen", &address]);
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    assert!(ended.stderr[0].contains(&address) && ended.stderr[0].contains("--listen"), "{ended:?}");
    // And so it is where another view is.
    let view = View::start(&["127.0.0.1:1", "--monitor", "none"]);
    let ended = run(&["view", "127.0.0.1:1", "--listen", &format!("127.0.0.1:{}", view.port)]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr[0].contains("--listen"), "{ended:?}");
}

#[test]
fn a_signal_ends_it_with_all_who_look() {
    use super::Told;

    let (view, vehicle) = View::of_vehicle(&[]);
    let mut page = view.page();
    view.process.signal("INT");
    vehicle.expect_goodbye();
    while page.next() != Told::End {}
    let ended = view.process.end();
    assert_eq!(ended.code, 0, "{ended:?}");

    let folder = crate::folder_with("drive.jsonl", "{\"t\":1795897762603}\n");
    let view = View::start(&[folder.path().join("drive.jsonl").to_str().unwrap()]);
    view.process.signal("TERM");
    assert_eq!(view.process.end().code, 0);
}

#[test]
fn strangers_are_refused() {
    let (view, _vehicle) = View::of_vehicle(&["--allow", "time_lap"]);
    let port = view.port;
    let body = r#"{"name":"time_lap"}"#;
    let post = |host: &str, origin: &str| {
        let head =
            format!("POST /command HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Type: application/json\r\n");
        view.ask(&format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())).status
    };
    let (host, origin) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    assert_eq!(post(&host, &origin), 200);
    assert_eq!(post(&host, "https://example.org"), 403);
    assert_eq!(post("example.org", "http://example.org"), 403);
    let stranger = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: https://example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: leads-comm.view.1\r\n\r\n"
    );
    assert_eq!(view.ask(&stranger).status, 403);
    assert_eq!(view.get("/nothing").status, 404);
}

#[test]
fn the_page_and_its_parts_are_there() {
    let (view, _vehicle) = View::of_vehicle(&[]);
    let page = view.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>"), "{}", page.text());
    // Whatever it names is served.
    let named: Vec<&str> = page
        .text()
        .split(['"', '\''])
        .filter(|word| [".js", ".css", ".svg"].iter().any(|ending| word.ends_with(ending)))
        .collect();
    assert!(named.len() >= 3, "{named:?}");
    for path in named {
        let file = view.get(&format!("/{}", path.trim_start_matches("./")));
        assert_eq!(file.status, 200, "{path}");
        assert!(!file.body.is_empty());
    }
}
