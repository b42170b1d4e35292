//! What the system may do to a process at any time, signals that interrupt calls and clocks that jump, changes nothing.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Connection, DisconnectCause, SlowConsumer, Timeouts};
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::*;

/// How many messages go each way.
const MESSAGES: usize = 2000;

/// A conversation of two services over TCP, in which every call of the system's has its turn: short messages and such
/// as do not fit into a socket, connecting and closing. Says what was lost, and what was told to anybody that should
/// not be.
fn converse() {
    let (callback, events) = recorder();
    let echo = callback::on_receive(|connection: &Connection, message: &[u8]| connection.send(message).unwrap());
    let patient = SlowConsumer::Block(PATIENCE);
    let started = Net::Tcp.start_server(|builder| builder.callback((echo, callback)).slow_consumer(patient));
    let (mut lost, mut surfaced) = (0, 0);
    for round in 0..4 {
        let (callback, client_events) = recorder();
        let client = started.client().callback(callback).slow_consumer(patient).build().unwrap();
        if let Err(error) = client.start(started.address(), true) {
            eprintln!("connecting: {error}");
            surfaced += 1;
            continue;
        }
        let sender = client.clone();
        let sender = thread::spawn(move || {
            for number in 0..MESSAGES / 4 {
                let len = if number % 50 == 0 { 300_000 } else { 30 };
                sender.send(&numbered(number, len)).unwrap();
            }
        });
        for number in 0..MESSAGES / 4 {
            lost += usize::from(number_of(&received(&client_events)) != number);
        }
        sender.join().unwrap();
        client.close();
        surfaced += failures(&client_events, round) + failures(&events, round);
    }
    drop(started);
    child::say(&format!("lost {lost}, errors surfaced {surfaced}"));
}

/// What was told to `on_fail`, and connections that did not end in a regular way.
fn failures(events: &Receiver<Event>, round: usize) -> usize {
    let failure = |event: &Event| match event {
        Event::Fail { .. } => true,
        Event::Disconnect { reason, .. } => {
            !matches!(reason.cause, DisconnectCause::ServiceClosed | DisconnectCause::PeerGoodbye)
        }
        _ => false,
    };
    events.try_iter().filter(failure).inspect(|event| eprintln!("round {round}: {event:?}")).count()
}

/// L5: every tenth call of each kind is interrupted by a signal, as far as the caller can tell.
#[test]
#[cfg_attr(
    target_arch = "x86",
    ignore = "strace injects nothing into calls that have one number in common, as sockets' there"
)]
fn interrupted_calls_are_not_noticed() {
    alone!();
    const CALLS: [&str; 9] =
        ["recvfrom", "recvmsg", "sendto", "sendmsg", "poll", "ppoll", "epoll_pwait", "accept4", "connect"];
    if child::task().is_some() {
        return converse();
    }
    if !child::can_trace("interrupting calls") {
        return;
    }
    let log = std::env::temp_dir().join(format!("leads-comm-interrupted-{}", std::process::id()));
    let mut wrap = vec!["strace", "-f", "--seccomp-bpf", "-o", log.to_str().unwrap()];
    // Not every machine has each of them.
    let trace = format!("trace=?{}", CALLS.join(",?"));
    wrap.extend(["-e", &trace]);
    let inject: Vec<_> = CALLS.iter().map(|call| format!("inject=?{call}:error=EINTR:when=2+{}", step(call))).collect();
    inject.iter().for_each(|inject| wrap.extend(["-e", inject]));
    let process = Process::start_under(&wrap, "interruptions::interrupted_calls_are_not_noticed", "converse");
    let outcome = process.next_line();
    drop(process);
    let log_text = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    let interrupted = |call: &str| {
        // The line of a call is in two when another thread's comes in between.
        let (begun, resumed) = (format!("{call}("), format!("<... {call} resumed>"));
        let is_of_call = |line: &&str| line.contains(&begun) || line.contains(&resumed);
        log_text.lines().filter(is_of_call).filter(|line| line.contains("(INJECTED)")).count()
    };
    let counts: Vec<_> = CALLS.iter().map(|call| (*call, interrupted(call))).filter(|(_, count)| *count > 0).collect();
    let outcome = outcome.unwrap_or_else(|| "the process has died".into());
    println!("L5: {outcome}, of {MESSAGES} messages each way; interrupted: {counts:?}");
    assert_eq!(outcome, "lost 0, errors surfaced 0");
    for call in ["recvfrom", "accept4", "connect"] {
        assert!(counts.iter().any(|(name, _)| *name == call), "{call} was not interrupted: {counts:?}");
    }
}

/// How often: connecting and accepting take place a few times only, and each second time is interrupted.
fn step(call: &str) -> usize {
    if ["accept4", "connect"].contains(&call) { 2 } else { 10 }
}

/// What takes time in the library, each measured from its beginning to its end: how many were early, or came not at
/// all.
fn keep_time() {
    const SHORT: Duration = Duration::from_millis(300);
    let mut wrong = 0;
    for _ in 0..5 {
        let started = Net::Tcp.start_server(|builder| {
            builder.timeouts(Timeouts::new().partial_message_timeout(SHORT)).idle_timeout(2 * SHORT)
        });
        let begun = Instant::now();
        let (unfinished, silent) = (started.raw(), started.raw());
        unfinished.write(b"x");
        for (at_least, expected) in [(SHORT, "a message"), (2 * SHORT, "nothing arrived")] {
            let reason = disconnected(&started.events);
            let early = begun.elapsed() < at_least;
            wrong += usize::from(early || !reason.to_string().contains(expected));
        }
        drop((unfinished, silent));
        let closing = Instant::now();
        started.server.close();
        wrong += usize::from(closing.elapsed() > PATIENCE);
    }
    child::say(&format!("missed or early time-outs {wrong}"));
}

/// L4: the clock on the wall goes forth and back by ten years while time-outs run.
#[test]
#[ignore = "needs faketime"]
fn steps_of_the_wall_clock_are_not_noticed() {
    alone!();
    if child::task().is_some() {
        return keep_time();
    }
    if !child::is_there("faketime", "setting the clock") {
        return;
    }
    let library = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let library = library.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.exists());
    let library = library.expect("faketime is there, and its library is not");
    let clock = std::env::temp_dir().join(format!("leads-comm-clock-{}", std::process::id()));
    let set = |years: &str| std::fs::write(&clock, years).unwrap();
    set("+0");
    let mut command = child::command(&[], "interruptions::steps_of_the_wall_clock_are_not_noticed", "keep time");
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let process = Process::spawn(command);
    let (told, outcome) = std::sync::mpsc::channel();
    thread::spawn(move || told.send(process.line()));
    let outcome = (0..).find_map(|step| {
        set(["+10y", "-10y", "+0"][step % 3]);
        outcome.recv_timeout(Duration::from_millis(100)).ok()
    });
    let _ = std::fs::remove_file(&clock);
    let outcome = outcome.unwrap();
    println!("L4: the wall clock steps by 10 years: {outcome}");
    assert_eq!(outcome, "missed or early time-outs 0");
}

/// L4: the system has been running for 30 years, or since a moment ago.
#[test]
#[ignore = "needs root"]
fn any_time_since_the_systems_start_will_do() {
    alone!();
    if child::task().is_some() {
        return keep_time();
    }
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    for (what, offset) in [("30 years", 1_000_000_000), ("a moment", 1 - uptime as i64)] {
        let (monotonic, boottime) = (format!("--monotonic={offset}"), format!("--boottime={offset}"));
        let wrap = ["unshare", "--time", &monotonic, &boottime, "--fork", "--kill-child"];
        let there = Command::new(wrap[0]).args(&wrap[1..]).arg("true").status();
        if !there.is_ok_and(|status| status.success()) {
            skipped("a clock of one's own needs unshare and root");
            return;
        }
        let process =
            Process::start_under(&wrap, "interruptions::any_time_since_the_systems_start_will_do", "keep time");
        let outcome = process.line();
        println!("L4: the system has been running for {what}: {outcome}");
        assert_eq!(outcome, "missed or early time-outs 0");
    }
}
