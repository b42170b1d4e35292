//! A process that was stopped for longer than its time-outs: peers that did everything in time are not ended for it,
//! and those that did not still are.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::{MemoryLimits, Server, ServerBuilder};
use leads_comm_testing::child::{self, Process, say, tell};
use leads_comm_testing::*;

/// The time-out that the process has, and for how long it is stopped.
const TIMEOUT: Duration = Duration::from_secs(2);
const STOPPED: Duration = Duration::from_millis(4500);

const PEERS: usize = 100;
/// More than a window of the system's, and little enough to come within the time-out on a busy machine.
const LONG: usize = 1024 * 1024;

fn adapt(task: &str, builder: ServerBuilder) -> ServerBuilder {
    let timeouts = unhurried(Duration::from_secs(60));
    match task {
        "idle" => builder.timeouts(timeouts).idle_timeout(TIMEOUT),
        "pending" => {
            builder.token("secret").timeouts(timeouts.handshake_timeout(TIMEOUT)).max_handshakes(2 * PEERS).admit(
                |_| {
                    say("asked");
                    true
                },
            )
        }
        _ => builder
            .timeouts(timeouts.partial_message_timeout(TIMEOUT))
            .max_received_len(LONG)
            .max_sent_len(LONG)
            .max_queued_bytes(2 * LONG),
    }
}

/// A server that is stopped, and tells what it hears.
fn process(task: &str) {
    let (callback, events) = recorder();
    // What is long and what waits are in nobody's way.
    let builder =
        adapt(task, Server::builder().port(0)).memory_limits(MemoryLimits::new().max_total_unfinished_bytes(4 * LONG));
    let server = builder.callback(callback).build().unwrap();
    server.start(true).unwrap();
    tell("port", server.port());
    for event in events.iter() {
        match event {
            Event::Connect { connection } => {
                say("connected");
                // The first one does not read, so that the pump has something to do when it wakes.
                if connection.id().to_string() == "1" {
                    while connection.queued_bytes() == 0 {
                        connection.send(&[b'x'; 10_000]).unwrap();
                    }
                    say("stuck");
                }
            }
            Event::Receive { message, .. } => say(&format!("received {}", message.len())),
            Event::Disconnect { reason, .. } => say(&format!("ended: {:?} {reason}", reason.kind())),
            Event::Fail { error, .. } => say(&format!("failed: {error}")),
            _ => {}
        }
    }
}

/// The process, the way to it, and the one who does not read.
fn start(name: &str, task: &str) -> (Process, u16, TcpStream) {
    let process = Process::start(name, task);
    let port = process.hear("port").parse().unwrap();
    let mut stuck = connect(port);
    if task == "pending" {
        stuck.write_all(b"secret;").unwrap();
    }
    expect(&process, "stuck", 1);
    (process, port, stuck)
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// Waits until the process has said a line so often; nobody may have been ended meanwhile.
fn expect(process: &Process, line: &str, times: usize) {
    let mut heard = 0;
    while heard < times {
        let said = process.line();
        assert!(!said.starts_with("ended") && !said.starts_with("failed"), "{said}, {heard} of {times} {line}");
        heard += usize::from(said == line);
    }
}

/// The process stands still while `meanwhile` is done, and for longer than its time-outs. What wakes its pump first is
/// that the one who did not read does.
fn stand_still(process: &Process, stuck: &mut TcpStream, meanwhile: impl FnOnce()) {
    process.signal("STOP");
    meanwhile();
    thread::sleep(STOPPED);
    stuck.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut chunk = vec![0; 1 << 20];
    while stuck.read(&mut chunk).is_ok_and(|count| count > 0) {}
    process.signal("CONT");
}

fn each(peers: &mut [TcpStream], bytes: &[u8]) {
    peers.iter_mut().for_each(|peer| peer.write_all(bytes).unwrap());
}

macro_rules! in_process {
    ($($(#[$doc:meta])* fn $name:ident($task:literal, $process:ident, $port:ident, $stuck:ident) $body:block)*) => {
        $($(#[$doc])* #[test] fn $name() {
            alone!();
            if let Some(task) = child::task() {
                return process(&task);
            }
            let ($process, $port, mut $stuck) = start(concat!("standstill::", stringify!($name)), $task);
            $body
        })*
    };
}

in_process! {
    fn messages_that_were_finished_in_time_are_delivered("partial", process, port, stuck) {
        let mut peers: Vec<_> = (0..PEERS).map(|_| connect(port)).collect();
        for _ in 0..2 {
            // The beginning of the second one arrives with the first.
            each(&mut peers, b"ready;half");
            expect(&process, "received 5", PEERS);
            stand_still(&process, &mut stuck, || each(&mut peers, b" full;"));
            expect(&process, "received 9", PEERS);
        }
    }

    /// They are written as fast as the process takes them, which is not at all for a while.
    fn a_long_message_that_stood_before_a_closed_window_is_delivered("partial", process, port, stuck) {
        let mut peer = connect(port);
        peer.write_all(b"ready;x").unwrap();
        expect(&process, "received 5", 1);
        let mut writing = None;
        stand_still(&process, &mut stuck, || {
            writing = Some(thread::spawn(move || {
                peer.write_all(&vec![b'x'; LONG - 1]).unwrap();
                peer.write_all(b";").unwrap();
                peer
            }));
        });
        expect(&process, &format!("received {LONG}"), 1);
        drop(writing.unwrap().join().unwrap());
    }

    fn whoever_spoke_in_time_has_not_been_silent("idle", process, port, stuck) {
        let mut peers: Vec<_> = (0..PEERS).map(|_| connect(port)).collect();
        each(&mut peers, b"ready;");
        expect(&process, "received 5", PEERS);
        stand_still(&process, &mut stuck, || each(&mut peers, b"again!;"));
        let mut heard = 0;
        while heard < PEERS {
            let said = process.line();
            // The other one has said nothing all the time, and is ended for it.
            let is_the_silent_one = said.starts_with("ended: IdleTimeout") && said.contains("unsent");
            assert!(said == "received 6" || is_the_silent_one, "{said} after {heard}");
            heard += usize::from(said == "received 6");
        }
    }

    fn callers_who_said_who_they_are_in_time_are_let_in("pending", process, port, stuck) {
        let mut peers: Vec<_> = (0..PEERS).map(|_| connect(port)).collect();
        each(&mut peers, b"sec");
        expect(&process, "asked", PEERS);
        stand_still(&process, &mut stuck, || each(&mut peers, b"ret;hello;"));
        expect(&process, "received 5", PEERS);
    }

    /// More of the same message is not what was waited for.
    fn whoever_does_not_finish_is_ended_all_the_same("partial", process, port, stuck) {
        let mut peer = connect(port);
        peer.write_all(b"ready;drip").unwrap();
        expect(&process, "received 5", 1);
        stand_still(&process, &mut stuck, || peer.write_all(b" drip").unwrap());
        let dripping = thread::spawn(move || while peer.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        });
        let said = process.line();
        assert!(said.starts_with("ended: PartialMessageTimeout"), "{said}");
        dripping.join().unwrap();
    }
}
