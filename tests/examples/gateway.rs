//! The example `gateway`: what it says was passed on and lost is what has arrived and has not.

use std::ops::Range;
use std::path::PathBuf;
use std::{env, fs, process};

use leads_comm::{Client, CloseOnDrop};

use crate::process::{Ended, PATIENCE, Process, run};

/// A folder with certificates and a token, which goes with the test.
struct Files(PathBuf);

impl Files {
    fn make(test: &str) -> Self {
        let folder = env::temp_dir().join(format!("leads-comm-gateway-{test}-{}", process::id()));
        let this = Self(folder);
        assert_eq!(run("tls", &["--make-certs", this.0.to_str().unwrap()]).code, 0);
        fs::write(this.file("token"), "correct horse battery staple").unwrap();
        this
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A server that prints what it is passed, and its port.
    fn serve(&self, port: u16) -> (Process, u16) {
        let [token, certificate, key] = ["token", "server.pem", "server.key"].map(|name| self.file(name));
        let port = port.to_string();
        let options = ["--port", &port, "--token", &token, "--tls-cert", &certificate, "--tls-key", &key];
        let server = Process::start("server", &options);
        let port = server.port();
        (server, port)
    }

    /// A gateway to that server which keeps so many messages, and a client that sends to it.
    fn pass_on_to(&self, port: u16, keep: &str) -> (Process, CloseOnDrop<Client>) {
        let (server, ca, token) = (format!("127.0.0.1:{port}"), self.file("ca.pem"), self.file("token"));
        let options = [&server, "--ca", &ca, "--token", &token, "--port", "0", "--keep", keep];
        let gateway = Process::start("gateway", &options);
        assert!(gateway.error_line().starts_with("connected to "));
        let vehicle = Client::connect(&format!("127.0.0.1:{}", gateway.port()), ()).unwrap();
        (gateway, CloseOnDrop::new(vehicle))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A message of so many bytes.
fn state(number: usize, len: usize) -> String {
    format!("{number:0len$}")
}

/// Asserts that these are what a server prints next.
#[track_caller]
fn arrive(server: &Process, mut states: impl Iterator<Item = String>) {
    assert!(states.all(|state| server.line().ends_with(&format!(" {state}"))));
}

/// Sends SIGTERM, and waits for the end.
fn stop(process: Process) -> Ended {
    process.signal("TERM");
    let ended = process.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

#[test]
fn what_it_counts_is_what_arrives_when_the_server_goes_away_and_comes_back() {
    let files = Files::make("counts");
    let (server, port) = files.serve(0);
    let (gateway, vehicle) = files.pass_on_to(port, "50");
    let send = |numbers: Range<usize>| numbers.for_each(|number| vehicle.send(state(number, 35).as_bytes()).unwrap());
    let states = |numbers: Range<usize>| numbers.map(|number| state(number, 35));
    send(0..10);
    arrive(&server, states(0..10));
    gateway.line_with("passed 10, kept 0, lost 0");

    stop(server);
    assert!(gateway.error_line().starts_with("disconnected from "));
    send(10..100);
    gateway.line_with("passed 10, kept 50, lost 40");

    let (server, _) = files.serve(port);
    arrive(&server, states(10..60));
    send(100..110);
    arrive(&server, states(100..110));
    assert_eq!(stop(gateway).stdout.last().unwrap(), "passed 70, kept 0, lost 40");
    assert_eq!(stop(server).stdout, [""; 0]);
}

#[test]
fn what_waits_for_a_server_that_is_killed_comes_to_the_next_one() {
    let files = Files::make("unsent");
    let (server, port) = files.serve(0);
    let (gateway, vehicle) = files.pass_on_to(port, "2000");
    // It reads nothing any more, and the systems hold only a part of this.
    server.signal("STOP");
    let sent = 2000;
    (0..sent).for_each(|number| vehicle.send(state(number, 1024).as_bytes()).unwrap());
    vehicle.flush(PATIENCE).unwrap();
    server.signal("KILL");
    assert!(gateway.error_line().starts_with("disconnected from "));
    vehicle.send(b"last").unwrap();
    // Everything has come, and is one or the other.
    let kept = loop {
        let line = gateway.line();
        let numbers: Vec<usize> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        let [passed, kept, 0] = numbers[..] else { panic!("{line}") };
        if passed + kept == sent + 1 {
            break kept;
        }
    };
    println!("of {sent} messages of 1 KiB, {} were under way when the server was killed", sent + 1 - kept);
    assert!(kept > 1);
    let (server, _) = files.serve(port);
    arrive(&server, (sent + 1 - kept..sent).map(|number| state(number, 1024)).chain(["last".to_owned()]));
    assert_eq!(stop(gateway).stdout.last().unwrap(), &format!("passed {}, kept 0, lost 0", sent + 1));
    assert_eq!(stop(server).stdout, [""; 0]);
}
