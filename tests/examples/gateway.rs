//! The example `gateway`: what it says was passed on and lost is what has arrived and has not.

use std::{env, fs, process};

use leads_comm::{Client, CloseOnDrop};

use crate::process::{Process, run};

#[test]
fn what_it_counts_is_what_arrives_when_the_server_goes_away_and_comes_back() {
    let folder = env::temp_dir().join(format!("leads-comm-gateway-{}", process::id()));
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    assert_eq!(run("tls", &["--make-certs", folder.to_str().unwrap()]).code, 0);
    fs::write(file("token"), "correct horse battery staple").unwrap();
    let (ca, certificate, key, token) = (file("ca.pem"), file("server.pem"), file("server.key"), file("token"));
    let serve = |port: &str| {
        let options = ["--port", port, "--token", &token, "--tls-cert", &certificate, "--tls-key", &key];
        Process::start("server", &options)
    };
    let server = serve("0");
    let port = server.port().to_string();
    let address = format!("127.0.0.1:{port}");
    // For 50 messages of 35 bytes, with the separator, 64 each.
    let gateway =
        Process::start("gateway", &[&address, "--ca", &ca, "--token", &token, "--port", "0", "--keep", "5000"]);
    assert!(gateway.error_line().starts_with("connected to "));
    let vehicle = Client::connect(&format!("127.0.0.1:{}", gateway.port()), ()).unwrap();
    let vehicle = CloseOnDrop::new(vehicle);
    let state = |number: u32| format!("{number:035}");
    let arrive = |server: &Process, mut numbers: std::ops::Range<u32>| {
        assert!(numbers.all(|number| server.line().ends_with(&format!(" {}", state(number)))));
    };
    (0..10).for_each(|number| vehicle.send(state(number).as_bytes()).unwrap());
    arrive(&server, 0..10);
    gateway.line_with("passed 10, kept 0, lost 0");

    server.signal("TERM");
    assert_eq!(server.end().code, 0);
    assert!(gateway.error_line().starts_with("disconnected from "));
    (10..100).for_each(|number| vehicle.send(state(number).as_bytes()).unwrap());
    gateway.line_with("passed 10, kept 50, lost 40");

    let server = serve(&port);
    server.port();
    arrive(&server, 10..60);
    (100..110).for_each(|number| vehicle.send(state(number).as_bytes()).unwrap());
    arrive(&server, 100..110);
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(
        (ended.code, ended.stdout.last().map(String::as_str)),
        (0, Some("passed 70, kept 0, lost 40")),
        "{ended:?}"
    );
    server.signal("TERM");
    assert_eq!(server.end().stdout, [""; 0]);
    fs::remove_dir_all(&folder).unwrap();
}
