//! An accept that fails in every way that Linux has.

use std::env;
use std::fs;
use std::thread;
use std::time::Duration;

use leads_comm_testing::{alone, child};

use super::server_process::{Process, Setup};

/// A server whose accept fails as `inject` says; its calls go to the file `calls`.
fn injected(inject: &str, calls: &str) -> Process {
    let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=accept4", "-o", calls, "-e", inject];
    Process::start_under(&strace, &Setup::default())
}

const ERRORS: [&str; 13] = [
    "EMFILE",
    "ENFILE",
    "ENOBUFS",
    "ENOMEM",
    "ECONNABORTED",
    "EPROTO",
    "EPERM",
    "ENETDOWN",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ETIMEDOUT",
    "EINTR",
    "EAGAIN",
];

/// Each a few times in a row; then the caller that has waited is let in.
#[test]
fn accepting_survives_every_error_of_the_system() {
    alone!();
    if !child::can_trace("making accept fail") {
        return;
    }
    let survived = |error: &str| {
        let inject = format!("inject=accept4:error={error}:when=1..6");
        let mut server = injected(&inject, "/dev/null");
        let mut peer = server.connect();
        // One that is refused for want of a descriptor may come again.
        while !peer.is_let_in() {
            peer = server.connect();
        }
        peer.echo("served");
        server.close();
    };
    thread::scope(|scope| {
        let survived = &survived;
        let threads: Vec<_> = ERRORS.iter().map(|error| (error, scope.spawn(move || survived(error)))).collect();
        let alive: Vec<_> =
            threads.into_iter().filter_map(|(error, thread)| thread.join().ok().map(|()| error)).collect();
        println!("A1: loop alive {} of {}", alive.len(), ERRORS.len());
        assert_eq!(alive.len(), ERRORS.len(), "only {alive:?}");
    });
}

/// However often accepting fails, it is tried again only so often.
#[test]
fn accepting_that_fails_without_end_does_not_spin() {
    alone!();
    if !child::can_trace("making accept fail") {
        return;
    }
    let time = Duration::from_millis(1000);
    let tries = |error: &str| {
        let calls = env::temp_dir().join(format!("leads-comm-{}-{error}", std::process::id()));
        let path = calls.to_str().unwrap();
        let inject = format!("inject=accept4:error={error}:when=1+");
        let mut server = injected(&inject, path);
        let _waiting = server.connect();
        thread::sleep(time);
        server.close();
        drop(server);
        let count = fs::read_to_string(&calls).unwrap().lines().filter(|line| line.contains("INJECTED")).count();
        fs::remove_file(calls).unwrap();
        count
    };
    let errors = ["EMFILE", "ENOBUFS", "ECONNABORTED", "EAGAIN"];
    let counts: Vec<_> = thread::scope(|scope| {
        let tries = &tries;
        let threads: Vec<_> = errors.map(|error| scope.spawn(move || tries(error))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("A1: accept tried in {:.1} s: {errors:?} {counts:?}", time.as_secs_f64());
    // 64 of one caller each are passed over, and from then on 5 ms lie between two; every try may take three calls.
    let most = 3 * (64 + time.as_millis() as usize / 5 + 20);
    assert!(counts.iter().all(|count| (3..=most).contains(count)), "{counts:?}");
}
