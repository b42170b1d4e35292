//! How a recording goes, said on stderr: a line that is drawn again and again on a terminal, and one at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::queue::{Queue, Volume};
use super::recorder::Outcome;
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
                "{}  {} messages  {}  {rate:.0}/s  file {}  {}",
                duration(elapsed),
                received.messages,
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

/// What is said of a recording that has ended well.
pub(crate) fn summary(outcome: &Outcome, lost: Volume, clock: &Clock) -> String {
    let Outcome { kept, parts, path, len, .. } = outcome;
    let place = match parts {
        1 => format!("{} ({})", path.display(), bytes(*len)),
        _ => format!("{parts} files, the last one {} ({} in all)", path.display(), bytes(*len)),
    };
    let (messages, received) = (kept.messages, bytes(kept.bytes));
    let time = duration(clock.now() - clock.started());
    format!("recorded {messages} messages ({received}) in {time} to {place}; {}", losses_in_all(lost))
}

fn losses(lost: Volume) -> String {
    if lost.messages == 0 { String::new() } else { format!("{} LOST", lost.messages) }
}

fn losses_in_all(lost: Volume) -> String {
    match lost.messages {
        0 => "none lost".into(),
        messages => {
            format!("{messages} messages ({}) lost: they came faster than the disk took them", bytes(lost.bytes))
        }
    }
}

/// `812 B`, `1.5 MB`: in powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    // What would be rounded to 1000.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// `0:05`, `12:34`, `1:02:03`.
pub(crate) fn duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1000, 999_949, 999_950, 1_500_000, 16_777_216, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 MB", "16.8 MB", "18446744.1 TB"]);
        let times = [0, 5, 754, 3723, 360_000].map(|seconds| duration(seconds * 1_000_000_000));
        assert_eq!(times, ["0:00", "0:05", "12:34", "1:02:03", "100:00:00"]);
    }
}
