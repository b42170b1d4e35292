//! What one run asks of a peer: told to both processes in the same words.

use serde::{Deserialize, Serialize};

use crate::measure;

/// One run of one peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) peer: String,
    pub(crate) job: Job,
    /// How many messages, on each connection.
    pub(crate) count: u64,
    pub(crate) sizes: Sizes,
    pub(crate) content: Content,
    /// Connections that take part; `stalled` more connect and never read.
    pub(crate) connections: usize,
    pub(crate) stalled: usize,
    /// Whether who receives a broadcast is a [crowd](crate::crowd), instead of the peer's own clients.
    pub(crate) crowd: bool,
    /// How many threads send on the one connection.
    pub(crate) threads: u64,
    /// Messages per second; as fast as it goes without.
    pub(crate) pace: Option<u32>,
    /// So many messages are sent before the sender waits until every receiver that reads has them.
    pub(crate) round: Option<u64>,
    pub(crate) queue: Queue,
    pub(crate) cores: Cores,
}

/// Where the two processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cores {
    /// Wherever the system puts them.
    Any,
    /// Each on a core of its own.
    Apart,
    /// Both on one.
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// The client sends, the server counts.
    Send,
    /// The client sends a message and waits until it comes back.
    Trip,
    /// The server sends every message to every client.
    Broadcast,
    /// Both send, at the same time.
    Duplex,
    /// Clients connect, and that is all.
    Idle,
    /// Connect, send one message, close; and again.
    Churn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sizes {
    Fixed(usize),
    /// From 16 bytes to 256 KiB, as many between 16 and 32 as between 128 Ki and 256 Ki; the same ones every time.
    Mixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Content {
    Filler,
    /// JSON that tells when it was sent.
    Stamped,
}

/// What becomes of messages that a receiver does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Queue {
    /// The sender waits, so that nothing is lost.
    Wait,
    /// They are queued: there is room for all of the run.
    Roomy,
    /// The peer's own limit, and its own way with who exceeds it.
    Limited,
}

/// The limit that peers without one of their own are given where the queue is limited: that of leads-comm.
pub(crate) const QUEUE_LIMIT: usize = 4 * 1024 * 1024;

impl Task {
    pub(crate) fn messages(&self, count: u64) -> Messages {
        Messages { left: count, sizes: self.sizes.iter(), text: self.text() }
    }

    /// How many messages are handled in the whole run.
    pub(crate) fn handled(&self) -> u64 {
        match self.job {
            Job::Send | Job::Churn => self.count,
            Job::Trip | Job::Broadcast => self.count * self.connections as u64,
            Job::Duplex => 2 * self.count,
            Job::Idle => self.connections as u64,
        }
    }

    /// How many messages are sent before the sender waits.
    pub(crate) fn round(&self) -> u64 {
        self.round.unwrap_or(self.count).clamp(1, self.count)
    }

    /// How many bytes the payloads of so many messages have.
    pub(crate) fn payload(&self, count: u64) -> u64 {
        match self.sizes {
            Sizes::Fixed(size) => count * size as u64,
            Sizes::Mixed => self.sizes.iter().take(count as usize).map(|size| size as u64).sum(),
        }
    }

    /// How many bytes so many messages have on the wire, where a separator ends each.
    pub(crate) fn wire(&self, count: u64) -> u64 {
        self.payload(count) + count
    }

    fn text(&self) -> Vec<u8> {
        let mut text = vec![b'x'; self.sizes.largest()];
        if self.content == Content::Stamped {
            let head = format!("{STAMP_PREFIX}{:016x}{STAMP_SUFFIX}", 0);
            text[..head.len()].copy_from_slice(head.as_bytes());
            let end = text.len() - 2;
            text[end..].copy_from_slice(b"\"}");
        }
        text
    }
}

impl Sizes {
    pub(crate) fn largest(self) -> usize {
        match self {
            Sizes::Fixed(size) => size,
            Sizes::Mixed => 256 * 1024,
        }
    }

    fn iter(self) -> SizesIter {
        SizesIter { sizes: self, seed: 0x2545_f491_4f6c_dd1d }
    }
}

struct SizesIter {
    sizes: Sizes,
    seed: u64,
}

impl Iterator for SizesIter {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        Some(match self.sizes {
            Sizes::Fixed(size) => size,
            Sizes::Mixed => {
                // Xorshift: all it has to be is the same on both sides and in every run.
                self.seed ^= self.seed << 13;
                self.seed ^= self.seed >> 7;
                self.seed ^= self.seed << 17;
                let power = 16_u64 << ((self.seed >> 32) % 14);
                (power + self.seed % power) as usize
            }
        })
    }
}

const STAMP_PREFIX: &str = r#"{"t":""#;
const STAMP_SUFFIX: &str = r#"","name":"speed","value":12.5,"unit":"km/h","note":""#;
const STAMP_AT: std::ops::Range<usize> = STAMP_PREFIX.len()..STAMP_PREFIX.len() + 16;

/// The messages of a run, one after the other, out of one buffer.
pub(crate) struct Messages {
    left: u64,
    sizes: SizesIter,
    text: Vec<u8>,
}

impl Messages {
    pub(crate) fn advance(&mut self) -> Option<&[u8]> {
        self.left = self.left.checked_sub(1)?;
        let size = self.sizes.next()?;
        if self.text[0] == b'{' {
            stamp(&mut self.text);
        }
        Some(&self.text[..size])
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// How many bytes the rest has on the wire. Takes the rest.
    pub(crate) fn take_wire(&mut self) -> u64 {
        let count = std::mem::take(&mut self.left);
        let payload: u64 = match self.sizes.sizes {
            Sizes::Fixed(size) => count * size as u64,
            Sizes::Mixed => self.sizes.by_ref().take(count as usize).map(|size| size as u64).sum(),
        };
        payload + count
    }

    /// Lets the next `count` messages through, and no more.
    pub(crate) fn renew(&mut self, count: u64) {
        self.left = count;
    }
}

/// Writes the time into a stamped message.
fn stamp(text: &mut [u8]) {
    let digits = format!("{:016x}", measure::now());
    text[STAMP_AT].copy_from_slice(digits.as_bytes());
}

/// When a stamped message was sent.
pub(crate) fn sent_at(message: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(message.get(STAMP_AT)?).ok()?, 16).ok()
}
