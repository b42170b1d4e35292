//! The pump fails, which takes a program's logger that panics: everything ends, and is told.
//!
//! The logger belongs to the whole process, so this is a suite of its own.

#![cfg(all(unix, not(leads_comm_portable)))]

mod support;

use std::sync::mpsc;
use std::thread;

use leads_comm::{Callback, Connection, DisconnectKind, DisconnectReason, Error, Server, Service};
use log::{LevelFilter, Log, Metadata, Record};
use support::*;

/// Panics about whatever is logged by the pump.
struct Panicking;

impl Log for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &Record<'_>) {
        assert!(!is_pump(), "the disk is full");
    }

    fn flush(&self) {}
}

fn is_pump() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with("leads-comm pump"))
}

/// What a test is told of the end.
enum Told {
    Connect(Connection),
    Disconnect(DisconnectReason),
    Fail(Error),
}

struct Tell(mpsc::Sender<Told>);

impl Callback for Tell {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        self.0.send(Told::Connect(connection.clone())).unwrap();
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        self.0.send(Told::Disconnect(reason.clone())).unwrap();
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.0.send(Told::Fail(error.clone())).unwrap();
    }
}

#[test]
fn a_pump_that_fails_ends_the_service_and_every_connection() {
    expect_panics_in_callbacks();
    log::set_logger(&Panicking).unwrap();
    log::set_max_level(LevelFilter::Trace);

    let (tell, told) = mpsc::channel();
    let server = Server::builder().port(0).callback(Tell(tell)).build().unwrap();
    server.start(true).unwrap();
    let next = || told.recv_timeout(PATIENCE).expect("nothing more is told");
    let dial = net::tcp::Tcp;
    let peers: Vec<_> = (0..3)
        .map(|_| {
            let raw = dial.raw(&server);
            let Told::Connect(connection) = next() else { panic!("no connection") };
            (raw, connection)
        })
        .collect();

    // One takes no more, so that the pump is handed its writing; and has something to write when that one reads.
    let (raws, connections): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
    let mut raws = raws.into_iter();
    while connections[0].queued_bytes() < 1_000_000 && connections[0].send(&[b'x'; 100_000]).is_ok() {}
    let _reading = raws.next().unwrap().into_messages();

    let (mut ended, mut failed) = (0, 0);
    while (ended, failed) != (3, 1) {
        match next() {
            Told::Disconnect(DisconnectReason::ServiceFailed { message, .. }) => {
                assert!(message.contains("the disk is full"), "{message}");
                ended += 1;
            }
            Told::Fail(Error::ServiceFailed { name, message }) => {
                assert!(name.starts_with("leads-comm pump"), "{name}");
                assert!(message.contains("the disk is full"), "{message}");
                failed += 1;
            }
            Told::Disconnect(reason) => panic!("{reason}"),
            Told::Fail(error) => panic!("{error}"),
            Told::Connect(_) => panic!("a connection to a service that has failed"),
        }
    }
    for connection in &connections {
        assert!(matches!(connection.send(b"late"), Err(Error::Disconnected)));
    }
    // It closes by itself; whoever asks for it again waits for that.
    let closing = server.clone();
    in_time("close", move || closing.close());
    assert!(server.wait_timeout(PATIENCE));
    assert_eq!(server.num_connections(), 0);
    let stats = server.stats();
    assert_eq!((stats.ended.get(DisconnectKind::ServiceFailed), stats.ended.total(), stats.opened), (3, 3, 3));
    // The callback was dropped with the service, and is called no more.
    assert!(matches!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected)));
    #[cfg(target_os = "linux")]
    until("the end of every thread", || threads().iter().all(|name| !name.starts_with("leads-comm")));
}

/// The names of this process's threads, as far as the system keeps them.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}
