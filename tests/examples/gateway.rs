//! The example `gateway`: what it says was passed on and lost is what has arrived and has not.

use std::ops::Range;
use std::path::PathBuf;
use std::{env, fs, process};

use leads_comm::transport::tls::{Identity, ServerConfig};
use leads_comm::{Client, CloseOnDrop, Server, callback};
use leads_comm_testing::child;

use crate::process::{PATIENCE, Process, run};

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

    /// A server that says what it is passed, and its port.
    fn serve(&self, port: u16) -> (child::Process, u16) {
        let server = child::Process::start("gateway::a_server", &format!("{port} {}", self.0.display()));
        let port = server.hear("port").parse().unwrap();
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

/// The server of the other tests, in a process of its own that can be killed.
#[test]
fn a_server() {
    let Some(task) = child::task() else { return };
    let (port, files) = task.split_once(' ').unwrap();
    let file = |name: &str| PathBuf::from(files).join(name);
    let identity = Identity::from_pem_files(file("server.pem"), file("server.key")).unwrap();
    let server = Server::builder()
        .port(port.parse().unwrap())
        .tls(ServerConfig::new(identity))
        .token(fs::read(file("token")).unwrap())
        .callback(callback::on_receive(|_, message| child::say(std::str::from_utf8(message).unwrap())));
    let server = server.build().unwrap();
    server.start(true).unwrap();
    child::tell("port", server.port());
    child::wait_for_parent();
    server.close();
}

/// Asserts that these are what a server is passed next.
#[track_caller]
fn arrive(server: &child::Process, states: impl Iterator<Item = String>) {
    states.for_each(|state| assert_eq!(server.line(), state));
}

/// Ends a server regularly, to which nothing more has come.
fn stop(mut server: child::Process) {
    server.release();
    assert_eq!(server.next_line(), None);
    assert!(server.wait(PATIENCE).unwrap().success());
}

/// Sends SIGTERM to a gateway, and waits for the end; the last thing it says.
fn summary(gateway: Process) -> String {
    gateway.signal("TERM");
    let mut ended = gateway.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout.pop().expect("it says something")
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
    assert_eq!(summary(gateway), "passed 70, kept 0, lost 40");
    stop(server);
}

#[test]
#[cfg_attr(windows, ignore = "needs a process that is stopped, which only Unix has")]
fn what_waits_for_a_server_that_is_killed_comes_to_the_next_one() {
    let files = Files::make("unsent");
    let (mut server, port) = files.serve(0);
    let (gateway, vehicle) = files.pass_on_to(port, "2000");
    // It reads nothing any more, and the systems hold only a part of this.
    server.signal("STOP");
    let sent = 2000;
    (0..sent).for_each(|number| vehicle.send(state(number, 1024).as_bytes()).unwrap());
    vehicle.flush(PATIENCE).unwrap();
    server.kill();
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
    assert_eq!(summary(gateway), format!("passed {}, kept 0, lost 0", sent + 1));
    stop(server);
}
