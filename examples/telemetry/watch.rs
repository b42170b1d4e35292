//! What the main thread does while the others work: it shows how things are.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use leads_comm::DisconnectReason;

use crate::Note;
use crate::message::Metrics;
use crate::publisher::Publishing;
use crate::screen::{Screen, Status};
use crate::viewer::Viewer;

/// How many viewers the table has room for.
const MAX_ROWS: usize = 10;

/// Shows notes as they come, and the status now and then, until the time is over or something ends it: a connection,
/// for the reason returned, or Ctrl-C.
pub(crate) fn watch(
    screen: &mut Screen,
    notes: &Receiver<Note>,
    seconds: Option<Duration>,
    status: impl Fn(Duration) -> Status,
) -> Option<DisconnectReason> {
    let begun = Instant::now();
    let end = seconds.and_then(|seconds| begun.checked_add(seconds));
    let mut next = begun + screen.interval();
    loop {
        let now = Instant::now();
        if next <= now {
            screen.show(status(now - begun));
            next = now + screen.interval();
        }
        if end.is_some_and(|end| end <= now) {
            return None;
        }
        let wake = end.map_or(next, |end| end.min(next));
        match notes.recv_timeout(wake.saturating_duration_since(now)) {
            Ok(Note::Connected(peer)) => screen.say(&format!("{peer} connected")),
            Ok(Note::Line(line)) => screen.say(&line),
            Ok(Note::Typed(line)) => screen.answer(&line),
            Ok(Note::Disconnected(reason)) => return Some(reason),
            Ok(Note::Interrupted) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A publisher and its viewers.
pub(crate) fn demo_status(elapsed: Duration, publishing: &Publishing, metrics: &Metrics, viewers: &[Viewer]) -> Status {
    let row = |(number, viewer): (usize, &Viewer)| {
        let record = viewer.record();
        let (received, lost, (p50, p99)) = (record.received, record.lost(), record.percentiles());
        format!("{number:>8} {received:>10} {lost:>8} {p50:>10} {p99:>10}")
    };
    let mut rows = vec![format!("{:>8} {:>10} {:>8} {:>10} {:>10}", "viewer", "received", "lost", "p50 µs", "p99 µs")];
    rows.extend((1..).zip(viewers).take(MAX_ROWS).map(row));
    if viewers.len() > MAX_ROWS {
        rows.push(format!("{:>8} more", viewers.len() - MAX_ROWS));
    }
    let least = viewers.iter().map(|viewer| viewer.record().received).min().unwrap_or(0);
    let (published, seconds) = (publishing.published(), elapsed.as_secs_f64());
    let head =
        vec![format!("published {published} in {seconds:.0} s"), format!("received by each viewer at least {least}")];
    status(head, metrics, rows)
}

/// Whatever there is to say, with the metrics below. None of it is longer than a narrow terminal.
pub(crate) fn status(head: Vec<String>, metrics: &Metrics, rows: Vec<String>) -> Status {
    let Metrics { cpu_percent, memory_used, memory_total, received_per_s, sent_per_s, load } = metrics;
    let gib = |bytes: &u64| *bytes as f64 / f64::from(1 << 30);
    let kib = |bytes: &u64| *bytes as f64 / 1024.0;
    let machine = format!(
        "CPU {cpu_percent:.1} %, load {load:.2}, memory {:.1} of {:.1} GiB",
        gib(memory_used),
        gib(memory_total)
    );
    let network = format!("network in {:.1} out {:.1} KiB/s", kib(received_per_s), kib(sent_per_s));
    let table = [head, vec![machine, network]].concat();
    Status { line: table.join(", "), table: [table, rows].concat() }
}
