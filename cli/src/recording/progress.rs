//! How a recording goes, said on stderr: a line that is drawn again and again on a terminal, and one at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::queue::{Queue, Volume};
use super::recorder::Outcome;
use super::words::{bytes, count, span};
use crate::console::Redrawn;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(500);

/// The line of a recording that goes on.
pub(crate) struct Drawn(Option<Redrawn>);

impl Drawn {
    /// Draws it from now on, where stderr is a terminal and status is wanted; `len` is how long the files are.
    pub(crate) fn start(queue: Arc<Queue>, len: Arc<AtomicU64>) -> Self {
        let mut last = Volume::default();
        let mut at = 0;
        Self(Redrawn::start(EVERY, move || {
            let elapsed = queue.clock().now() - queue.clock().started();
            let (received, lost) = queue.volumes();
            let seconds = (elapsed - at) as f64 / 1e9;
            let rate = (received.messages - last.messages) as f64 / seconds.max(1e-3);
            let line = format!(
                "{}  {}  {}  {rate:.0}/s  file {}  {}",
                span(elapsed),
                count(received.messages, "message"),
                bytes(received.bytes),
                bytes(len.load(Ordering::Relaxed)),
                losses(lost),
            );
            (last, at) = (received, elapsed);
            line.trim_end().into()
        }))
    }

    pub(crate) fn end(self) {
        drop(self.0);
    }
}

/// What is said of a recording that has ended well; `unfinished` is how many bytes came that became no message.
pub(crate) fn summary(outcome: &Outcome, lost: Volume, unfinished: u64, clock: &Clock) -> String {
    let Outcome { kept, passed_over, parts, path, is_kept, len, .. } = outcome;
    let mut others = String::new();
    if *passed_over > 0 {
        others += &format!("; {} passed over, no frames of LEADS", count(*passed_over, "message"));
    }
    if unfinished > 0 {
        others += &format!("; {} of an unfinished message discarded", bytes(unfinished));
    }
    if !is_kept {
        let file = if path.exists() { format!("{} is as it was", path.display()) } else { "no file was made".into() };
        return format!("nothing was recorded, {file}{others}");
    }
    let place = match parts {
        1 if path.as_os_str() == "-" => format!("stdout ({})", bytes(*len)),
        1 => format!("{} ({})", path.display(), bytes(*len)),
        _ => format!("{parts} files, the last one {} ({} in all)", path.display(), bytes(*len)),
    };
    let (messages, received) = (count(kept.messages, "message"), bytes(kept.bytes));
    let time = span(clock.now() - clock.started());
    format!("recorded {messages} ({received}) in {time} to {place}; {}{others}", losses_in_all(lost))
}

fn losses(lost: Volume) -> String {
    if lost.messages == 0 { String::new() } else { format!("{} LOST", lost.messages) }
}

fn losses_in_all(lost: Volume) -> String {
    match lost.messages {
        0 => "none lost".into(),
        messages => {
            let messages = count(messages, "message");
            format!("{messages} ({}) lost: they came faster than they could be written", bytes(lost.bytes))
        }
    }
}
