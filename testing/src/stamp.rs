//! Messages that prove by themselves that they are whole, and whose they are; and the book in which a receiver keeps
//! what has become of them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::Write;

use super::seed::Random;

/// What a message says of itself. Numbers count from 0, for each sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// What kind of message it is; not covered by the checksum, so that a reply may change it.
    pub kind: u8,
    /// Who has sent it.
    pub sender: u64,
    /// Its number among those of this sender.
    pub number: u64,
}

impl Stamp {
    /// Writes a message of `len` bytes, more if the stamp takes more, over `buffer`. It holds no `;`.
    pub fn write(self, len: usize, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.push(self.kind);
        write!(buffer, "{}.{}.", self.sender, self.number).expect("memory takes it");
        let sum_at = buffer.len();
        buffer.extend_from_slice(&[b'0'; SUM_LEN]);
        let mut filler = Random::new(self.sender << 40 ^ self.number);
        while buffer.len() < len {
            // No byte is a semicolon, whose second bit from the left is 0.
            let word = (filler.number() | 0x4040_4040_4040_4040).to_le_bytes();
            buffer.extend_from_slice(&word[..word.len().min(len - buffer.len())]);
        }
        let sum = format!("{:016x}", self.sum(&buffer[sum_at + SUM_LEN..]));
        buffer[sum_at..sum_at + SUM_LEN].copy_from_slice(sum.as_bytes());
    }

    /// The stamp of a message that is whole.
    pub fn read(message: &[u8]) -> Option<Self> {
        let (&kind, rest) = message.split_first()?;
        let mut parts = rest.splitn(3, |byte| *byte == b'.');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
        let stamp = Self { kind, sender: number()?, number: number()? };
        let (sum, body) = parts.next()?.split_at_checked(SUM_LEN)?;
        (u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()? == stamp.sum(body)).then_some(stamp)
    }

    fn sum(self, body: &[u8]) -> u64 {
        let start = checksum(&self.sender.to_le_bytes(), body.len() as u64);
        checksum(body, checksum(&self.number.to_le_bytes(), start))
    }
}

/// How long the checksum is: hexadecimal.
const SUM_LEN: usize = 16;

/// A checksum of `bytes`, continued from that of what came before.
pub fn checksum(bytes: &[u8], before: u64) -> u64 {
    let mut sum = before ^ 0xCBF2_9CE4_8422_2325;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        sum = (sum ^ u64::from_le_bytes(padded) ^ (word.len() as u64) << 59).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum ^= sum >> 29;
    }
    sum
}

/// What a receiver has got, sender by sender.
#[derive(Debug, Default)]
pub struct Book {
    senders: HashMap<u64, Sequence>,
    /// Messages that were received whole.
    pub received: u64,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Sequence {
    next: u64,
    /// Numbers that were passed over.
    missing: BTreeSet<u64>,
}

/// What must not happen to messages, and how often it did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Have not come.
    pub lost: u64,
    /// Have come more than once.
    pub duplicated: u64,
    /// Have come later than others that were sent behind them.
    pub reordered: u64,
    /// Are not what was sent.
    pub torn: u64,
}

impl Book {
    /// Enters a message; its stamp, if it is whole.
    pub fn enter(&mut self, message: &[u8]) -> Option<Stamp> {
        let stamp = Stamp::read(message);
        match stamp {
            Some(Stamp { sender, number, .. }) => {
                self.received += 1;
                let sequence = self.senders.entry(sender).or_default();
                if number >= sequence.next {
                    self.faults.lost += number - sequence.next;
                    sequence.missing.extend(sequence.next..number);
                    sequence.next = number + 1;
                } else if sequence.missing.remove(&number) {
                    self.faults.lost -= 1;
                    self.faults.reordered += 1;
                } else {
                    self.faults.duplicated += 1;
                }
            }
            None => self.faults.torn += 1,
        }
        stamp
    }

    /// Says that what a sender sent before this number concerns somebody else. Does nothing once something came from
    /// it.
    pub fn begin(&mut self, sender: u64, number: u64) {
        self.senders.entry(sender).or_insert(Sequence { next: number, missing: BTreeSet::new() });
    }

    /// The number that a sender's next message has to have; `None` if nothing is known of it.
    pub fn next_of(&self, sender: u64) -> Option<u64> {
        self.senders.get(&sender).map(|sequence| sequence.next)
    }

    /// Says that everything before `end` of a sender's has to have come by now.
    pub fn expect(&mut self, sender: u64, end: u64) {
        let sequence = self.senders.entry(sender).or_default();
        if end > sequence.next {
            self.faults.lost += end - sequence.next;
            sequence.next = end;
        }
    }

    /// What has gone wrong so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, reordered, torn } = self;
        write!(f, "lost {lost}, duplicated {duplicated}, reordered {reordered}, torn {torn}")
    }
}
