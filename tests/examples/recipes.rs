//! The recipes that take a process to show what they are for; the others are run where they are documented.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use leads_comm_testing::runner;
use leads_comm_testing::wire::Peer;

use crate::process::{Process, command, path};

/// Starts the service as systemd does: with the socket as descriptor 3.
fn start_on(socket: &TcpListener) -> Process {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null");
    shell.args(runner::words(path("recipe_systemd")));
    let socket = OwnedFd::from(socket.try_clone().unwrap());
    shell.env_remove("RUST_LOG").stdin(socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start_command(&mut shell)
}

#[test]
fn a_service_takes_over_the_socket_of_systemd_and_nobody_is_refused_while_it_restarts() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    for _ in 0..2 {
        // It calls while there is no service: that is why there will be one.
        let caller = Peer::connect(port);
        caller.write("m1;");
        let service = start_on(&socket);
        caller.expect("m1;");
        let other = Peer::connect(port);
        other.write("m2;");
        other.expect("m2;");
        drop(service);
    }
}

#[test]
fn the_log_says_what_happens_and_nothing_of_what_a_message_contains() {
    let log = |filter: Option<&str>| {
        let mut command = command("recipe_logging", &[]);
        command.envs(filter.map(|filter| ("RUST_LOG", filter)));
        let ended = Process::start_command(&mut command).end_input();
        assert_eq!((ended.code, ended.stdout.len()), (0, 0), "{ended:?}");
        assert!(ended.stderr.iter().all(|line| !line.contains("nobody but the peer")), "{ended:?}");
        ended.stderr
    };
    let usual = log(None);
    assert!(usual.iter().all(|line| line.contains(" INFO  leads_comm::")), "{usual:?}");
    for part in ["listens on", "is connected to", " closed"] {
        assert!(usual.iter().any(|line| line.contains(part)), "{part}: {usual:?}");
    }
    // One filter is for all of it.
    assert_eq!(log(Some("leads_comm=off")), [""; 0]);
    let all = log(Some("leads_comm=trace"));
    assert!(
        all.iter().any(|line| line.contains("TRACE leads_comm::") && line.ends_with(": 30 bytes received")),
        "{all:?}"
    );
}
