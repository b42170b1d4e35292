//! X5 to X7: processes that end, in good order or not.

use std::net::{SocketAddr, TcpStream};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Client, CloseOnDrop, Closing, Server, callback};
use leads_comm_testing::alone::again;
use leads_comm_testing::child::{Process, task, tell};
use leads_comm_testing::*;
use socket2::SockRef;

use crate::figures::Times;
use crate::in_two_lengths;

const STALLED: usize = 10;

/// What a process may take to close its services.
const LIMIT: Duration = Duration::from_millis(300);

/// The ways in which the process of [`x5_stalled_peers_hold_up_no_exit`] ends.
const WAYS: &[&str] = &[
    "returns",
    "exits",
    "closes",
    #[cfg(unix)]
    SIGTERM,
];

const SIGTERM: &str = "is told to by SIGTERM";

/// A server whose ten peers do not read, and the end of its process.
fn end_with_stalled_peers(way: &str) {
    let terminated = Arc::new(AtomicBool::new(false));
    ctrlc::set_handler({
        let terminated = Arc::clone(&terminated);
        move || terminated.store(true, Ordering::SeqCst)
    })
    .unwrap();
    let builder = Server::builder().port(0).closing(Closing::new().flush_timeout(LIMIT).close_timeout(LIMIT));
    let server = builder.timeouts(unhurried(3 * PATIENCE)).build().unwrap();
    server.start(true).unwrap();
    let guard = (way == "closes" || way == SIGTERM).then(|| CloseOnDrop::new(server.clone()));
    tell("port", server.port());
    until("all have come", || server.num_connections() == STALLED);
    let connections = server.connections();
    while connections.iter().any(|connection| connection.queued_bytes() < 100_000) {
        server.broadcast_where(&[b'x'; 50_000], |connection| connection.queued_bytes() < 100_000).unwrap();
    }
    tell("ready", "now");
    match way {
        "exits" => process::exit(0),
        SIGTERM => until("the signal", || terminated.load(Ordering::SeqCst)),
        _ => {}
    }
    drop(guard);
}

/// A peer of this machine that reads nothing, with a small window.
fn stalled(port: u16) -> TcpStream {
    let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
    peer
}

/// Serves until it is killed, and sends back all that it gets.
fn serve_on(port: u16) {
    let echo = callback::on_receive(|connection, message| drop(connection.send(message)));
    let server = Server::builder().port(port).callback(echo).build().unwrap();
    match server.start(true) {
        Ok(()) => tell("port", server.port()),
        Err(error) => tell("port", error),
    }
    server.wait();
}

/// Sends until it is killed.
fn send_to(address: SocketAddr) {
    let client = Client::builder().port(address.port()).build().unwrap();
    client.start(&address.ip().to_string(), true).unwrap();
    tell("connected", "now");
    while client.send(&[b'x'; 100]).is_ok() {
        thread::sleep(Duration::from_micros(100));
    }
}

in_two_lengths! {
    fn x5_stalled_peers_hold_up_no_exit(count: 1, or 25: "long: takes half a minute") {
        let test = if count == 1 { "short" } else { "long" };
        if let Some(way) = task() {
            return end_with_stalled_peers(&way);
        }
        for &way in WAYS {
            let mut times = Times::default();
            for _ in 0..count {
                let mut process = Process::spawn(again(module_path!(), test, way));
                let port = process.hear("port").parse().unwrap();
                let peers: Vec<_> = (0..STALLED).map(|_| stalled(port)).collect();
                process.hear("ready");
                let before = Instant::now();
                if way == SIGTERM {
                    process.signal("TERM");
                }
                let status = process.wait(PATIENCE).expect("the process does not end");
                times.add(before.elapsed());
                assert!(status.success(), "{way}: {status}");
                drop(peers);
            }
            println!("X5: a process with {STALLED} stalled peers {way}: {times}; close limit {LIMIT:?}");
        }
    }

    fn x7_who_is_killed_is_noticed_and_can_start_again(count: 3, or 100: "long: takes a minute") {
        let test = if count == 3 { "short" } else { "long" };
        match task().as_deref().map(|task| task.split_once(' ').unwrap()) {
            Some(("serve", port)) => return serve_on(port.parse().unwrap()),
            Some((_, address)) => return send_to(address.parse().unwrap()),
            None => {}
        }
        if cfg!(windows) {
            return skipped("Wine does not close all sockets of a process that is killed");
        }
        let (mut failures, mut times) = (0, Times::default());
        let mut port = 0;
        // They do not hang up, so that the port has connections of the killed server's when it starts again.
        let mut left = Vec::new();
        for _ in 0..count {
            let mut process = Process::spawn(again(module_path!(), test, &format!("serve {port}")));
            let told = process.hear("port");
            let Ok(real_port) = told.parse() else {
                println!("not started: {told}");
                failures += 1;
                continue;
            };
            port = real_port;
            let echoes = Arc::new(AtomicUsize::new(0));
            let (tell_end, ended) = mpsc::channel();
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let (echoes, tell_end) = (Arc::clone(&echoes), tell_end.clone());
                    let callback = callback::on_receive(move |connection, message| {
                        echoes.fetch_add(1, Ordering::SeqCst);
                        let _ = connection.send(message);
                    });
                    let callback = callback.on_disconnect(move |_, _, _| tell_end.send(Instant::now()).unwrap());
                    let client = Client::builder().port(port).callback(callback).build().unwrap();
                    client.start("127.0.0.1", true).unwrap();
                    client.send(&[b'x'; 100]).unwrap();
                    CloseOnDrop::new(client)
                })
                .collect();
            left.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
            until("there is traffic", || echoes.load(Ordering::SeqCst) > 100);
            let before = Instant::now();
            process.kill();
            for _ in &clients {
                times.add(ended.recv_timeout(PATIENCE).expect("a killed server is not noticed") - before);
            }
            assert!(process.wait(PATIENCE).is_some());
        }
        println!("X7: restarts on the port of a killed server that failed {failures} of {count}; its clients noticed after {times}");
        assert_eq!(failures, 0);

        let mut times = Times::default();
        for _ in 0..count {
            let started = Net::Tcp.start_server(|builder| builder);
            let task = format!("send {}", started.addr());
            let mut process = Process::spawn(again(module_path!(), test, &task));
            process.hear("connected");
            received(&started.events);
            let before = Instant::now();
            process.kill();
            drop(disconnected(&started.events));
            times.add(before.elapsed());
        }
        println!("X7: a killed client was noticed after {times}");
    }
}

/// SIGPIPE, with its disposition as Linux tells it.
#[cfg(target_os = "linux")]
mod sigpipe {
    use std::fs;

    use leads_comm_testing::alone::again_under;

    use super::*;

    /// The standard library ignores SIGPIPE before `main`; a tracer keeps it from doing so, as a program could that resets
    /// the disposition.
    #[test]
    fn x6_sigpipe_kills_nobody() {
        const TEST: &str = "x6_sigpipe_kills_nobody";
        if task().is_some() {
            return send_to_peers_that_are_gone();
        }
        if !child::can_trace("X6") {
            return;
        }
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=rt_sigaction",
            "-e",
            "inject=rt_sigaction:retval=0",
            "--seccomp-bpf",
        ];
        let mut process = Process::spawn(again_under(&strace, module_path!(), TEST, "send"));
        let survived = process.hear("survived");
        let status = process.wait(PATIENCE).expect("the process does not end");
        println!("X6: killed {} of 100; survived {survived}", usize::from(!status.success()));
        assert_eq!((status.success(), &*survived), (true, "100, with SIGPIPE default"));
    }

    /// Serves a hundred peers that go away while they are being sent to, in this process.
    fn send_to_peers_that_are_gone() {
        const ROUNDS: usize = 100;
        let (started, mut failed) =
            (Net::Tcp.start_server(|builder| builder.closing(Closing::new().flush_timeout(Duration::ZERO))), 0);
        for round in 0..ROUNDS {
            let raw = started.raw();
            let connection = connected(&started.events);
            match round % 3 {
                0 => raw.reset(),
                1 => drop(raw),
                _ => {
                    // With something to write for the pump.
                    while connection.queued_bytes() < 100_000 {
                        connection.send(&[b'x'; 50_000]).unwrap();
                    }
                    raw.reset();
                }
            }
            while connection.send(b"into the void").is_ok() {
                started.server.broadcast(b"and so on").unwrap();
            }
            failed += 1;
            disconnected(&started.events);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let is_set = |field: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() >> 12 & 1 == 1
        };
        let disposition = if is_set("SigIgn:") {
            "ignored"
        } else if is_set("SigCgt:") {
            "caught"
        } else {
            "default"
        };
        tell("survived", format!("{failed}, with SIGPIPE {disposition}"));
    }
}
