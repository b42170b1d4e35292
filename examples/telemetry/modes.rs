//! What the example does: publish and view in one process, only publish, or only view.

use std::io::{self, IsTerminal};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{BindAddress, Connection, DisconnectCause, DisconnectReason, Monitor, Server};
use support::{Failure, complain, fail, on_stop, say};

use crate::Note;
use crate::publisher::Publisher;
use crate::screen::Screen;
use crate::sensors::Sensors;
use crate::viewer::{Clock, Record, Viewer};
use crate::want::Want;
use crate::watch::{demo_status, status, watch};

/// How many notes may wait to be shown; a viewer that sends commands faster is slowed down by its own stream.
const WAITING_NOTES: usize = 256;

/// How long a publisher may be silent before that is worth a word: far longer than one is by itself.
const SILENCE: Duration = Duration::from_secs(3);

/// How long each step of the beginning and the end may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A publisher and its viewers in this process; everything published must arrive.
pub(crate) fn demo(rate: f64, viewers: usize, seconds: Duration) -> Result<(), Failure> {
    let (tell, notes) = mpsc::sync_channel(WAITING_NOTES);
    tell_interrupts(tell.clone())?;
    let sensors = Arc::new(Sensors::start());
    let publisher = Publisher::start(Ipv4Addr::LOCALHOST.into(), 0, tell)?;
    let address = format!("127.0.0.1:{}", publisher.server.port());
    let connect = |number| {
        let first = (number == 1).then_some("time_lap");
        let last = (number == viewers).then_some("hazard");
        Viewer::connect(&address, Clock::Shared(publisher.epoch), first.into_iter().chain(last).collect(), None)
    };
    let viewers = (1..=viewers).map(connect).collect::<Result<Vec<_>, _>>()?;
    // Everybody is there before the first message, so everybody has to receive all of them.
    for _ in &viewers {
        match notes.recv_timeout(PATIENCE) {
            Ok(Note::Connected(_)) => {}
            Ok(Note::Interrupted) => return Err(fail("interrupted before it began")),
            _ => return Err(fail("not every viewer could be served")),
        }
    }

    let begun = Instant::now();
    let publishing = publisher.publish(rate, Arc::clone(&sensors));
    let mut screen = Screen::new();
    watch(&mut screen, &notes, Some(seconds), |elapsed| demo_status(elapsed, &publishing, &sensors.newest(), &viewers));
    let published = publishing.stop();
    let elapsed = begun.elapsed().as_secs_f64();
    // Nobody shows them any more, and the callbacks must not wait for somebody who does.
    drop(notes);
    // Behind everything published comes the goodbye: a viewer that has ended has received all there was.
    publisher.server.close();
    screen.clear();
    let per_second = published as f64 / elapsed;
    say(format_args!("published {published} messages in {elapsed:.1} s, {per_second:.1} per second"));
    say("latency of half of the messages (p50) and of 99 % (p99):");
    let mut lost = 0;
    for (number, viewer) in (1..).zip(&viewers) {
        viewer.client.wait_timeout(PATIENCE);
        let record = viewer.record();
        let missed = published.saturating_sub(record.received).max(record.wrong);
        let (p50, p99) = record.percentiles();
        let received = record.received;
        say(format_args!("viewer {number} received {received}, lost {missed}, p50 {p50} µs, p99 {p99} µs"));
        lost += missed;
    }
    report_loss(lost, published * viewers.len() as u64)
}

/// A publisher for viewers elsewhere.
pub(crate) fn serve(
    bind: BindAddress,
    port: u16,
    monitor: bool,
    rate: f64,
    seconds: Option<Duration>,
) -> Result<(), Failure> {
    let (tell, notes) = mpsc::sync_channel(WAITING_NOTES);
    tell_interrupts(tell.clone())?;
    let publisher = Publisher::start(bind, port, tell)?;
    let mut screen = Screen::new();
    let address = publisher.server.local_addr().map(|address| address.to_string()).unwrap_or_default();
    say(format_args!("listening on {address}"));
    if monitor {
        publish_numbers(&publisher.server, port);
    }
    let sensors = Arc::new(Sensors::start());
    let publishing = publisher.publish(rate, Arc::clone(&sensors));
    watch(&mut screen, &notes, seconds, |elapsed| {
        let (published, viewers) = (publishing.published(), publisher.server.num_connections());
        let seconds = elapsed.as_secs_f64();
        let head = vec![format!("published {published} in {seconds:.0} s"), format!("viewers now: {viewers}")];
        status(head, &sensors.newest(), Vec::new())
    });
    let published = publishing.stop();
    drop(notes);
    publisher.server.close();
    screen.clear();
    say(format_args!("published {published} messages"));
    Ok(())
}

/// Has others see who is connected, how fast, and who is slow. Where that cannot be, it goes on without.
fn publish_numbers(server: &Server, port: u16) {
    let builder = Monitor::builder(server).name("telemetry");
    // One who does not care about the port does not care about that of the numbers.
    let monitor = if port == 0 { builder.port(0) } else { builder }.start();
    match monitor.map(|monitor| monitor.local_addr()) {
        Ok(address) => say(format_args!("numbers on {}", address.map_or_else(String::new, |at| at.to_string()))),
        Err(error) => complain(format_args!("telemetry: without numbers: {error:#}")),
    }
}

/// A viewer of a publisher elsewhere.
pub(crate) fn connect(address: &str, want: Option<Want>, seconds: Option<Duration>) -> Result<(), Failure> {
    let (tell, notes) = mpsc::sync_channel(WAITING_NOTES);
    let viewer = Viewer::connect(address, Clock::Foreign, Vec::new(), Some(tell.clone()))?;
    if let Some(want) = want {
        // If that fails, the connection is ending, as will be told.
        let _ = viewer.client.send(want.request().as_bytes());
    }
    // Up to here, Ctrl-C has ended the program by itself.
    tell_interrupts(tell.clone())?;
    let mut screen = Screen::new();
    say(format_args!("connected to {address}"));
    if io::stdin().is_terminal() {
        say("type time_lap or hazard; Ctrl-C ends");
    }
    if let Some(connection) = viewer.client.connection() {
        thread::spawn(move || send_commands(&connection, &tell));
    }
    let end = watch(&mut screen, &notes, seconds, |elapsed| {
        let record = viewer.record();
        let (received, events, (p50, p99)) = (record.received, record.events, record.percentiles());
        let seconds = elapsed.as_secs_f64();
        let head = match want {
            // There may be none for as long as one likes.
            Some(Want::Events) => vec![format!("{events} events in {seconds:.0} s")],
            _ if received == 0 && elapsed > SILENCE => {
                vec![format!("nothing has come in {seconds:.0} s"), format!("is {address} a publisher of telemetry?")]
            }
            _ => vec![
                format!("received {received} in {seconds:.0} s, {}", fate(&record, want)),
                format!("jitter p50 {p50} µs, p99 {p99} µs"),
            ],
        };
        status(head, &record.newest.metrics, Vec::new())
    });
    drop(notes);
    viewer.client.close();
    screen.clear();
    let record = viewer.record();
    let (received, events, (p50, p99)) = (record.received, record.events, record.percentiles());
    let (lost, is_silent) = (lost(&record, want), received + events == 0);
    if is_silent && lost > 0 {
        return Err(fail(format!("{address} is no publisher of telemetry: it sends something else")));
    }
    say(format_args!("received {received}, jitter p50 {p50} µs, p99 {p99} µs"));
    if want.is_some() {
        say(format_args!("passed over {}, {events} events", record.missing));
    }
    report_loss(lost, received + lost)?;
    match end {
        Some(DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. })
            if is_silent && want != Some(Want::Events) =>
        {
            Err(fail("the server said goodbye before it published anything"))
        }
        None | Some(DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }) => Ok(()),
        Some(reason) => Err(fail(format!("disconnected: {reason:#}"))),
    }
}

/// How many states a viewer has lost: one that wants the newest passes over some.
fn lost(record: &Record, want: Option<Want>) -> u64 {
    match want {
        Some(Want::Newest | Want::Events) => record.wrong,
        Some(Want::Everything) | None => record.lost(),
    }
}

/// What has become of the states that a viewer has not received.
fn fate(record: &Record, want: Option<Want>) -> String {
    match want {
        Some(Want::Newest) => format!("passed over {}", record.missing),
        _ => format!("lost {}", lost(record, want)),
    }
}

fn report_loss(lost: u64, sent: u64) -> Result<(), Failure> {
    say(format_args!("lost {lost} of {sent} messages"));
    match lost {
        0 => Ok(()),
        _ => Err(fail(format!("{lost} of {sent} messages were lost"))),
    }
}

fn tell_interrupts(tell: SyncSender<Note>) -> Result<(), Failure> {
    on_stop(move || {
        let _ = tell.send(Note::Interrupted);
    })
}

/// Sends the lines of stdin, until its end or the program's.
fn send_commands(connection: &Connection, tell: &SyncSender<Note>) {
    let typed = io::stdin().is_terminal();
    for line in io::stdin().lines().map_while(Result::ok) {
        let command = line.escape_debug();
        let outcome = match connection.send(line.as_bytes()) {
            Ok(()) => format!("sent {command}"),
            Err(error) => format!("{command} was not sent: {error:#}"),
        };
        let _ = tell.send(if typed { Note::Typed(outcome) } else { Note::Line(outcome) });
    }
}
