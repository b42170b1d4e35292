//! The framings that no separator makes: by length, and one of a program's own.
//!
//! Each is compared with a naive reading of its streams, and goes through what the separators go through.

#[path = "../../../examples/custom_framing/cobs.rs"]
mod cobs;
mod contract;
mod cuts;
mod encoding;
mod lending;
mod limits;
mod memory;
mod properties;

use leads_comm::codec::{Framing, GOODBYE, encode};

use crate::oracle::{Decoded, End, Way, decode};
use cobs::Cobs;

/// A framing, and what a receiver has to make of a stream.
#[derive(Debug, Clone)]
struct Kind {
    framing: Framing,
    split: fn(&[u8], usize) -> Decoded,
}

fn by_length() -> Kind {
    Kind { framing: Framing::Length, split: split_by_length }
}

fn stuffed() -> Kind {
    Kind { framing: Framing::custom(Cobs).unwrap(), split: split_stuffed }
}

fn kinds() -> [Kind; 2] {
    [by_length(), stuffed()]
}

impl Kind {
    /// What goes over the wire for a payload, the goodbye included.
    fn frame(&self, payload: &[u8]) -> Vec<u8> {
        if payload == GOODBYE { self.framing.goodbye().to_vec() } else { encode(payload, &self.framing).unwrap() }
    }

    #[track_caller]
    fn check<'a>(&self, expected: &Decoded, limit: usize, chunks: impl IntoIterator<Item = (&'a [u8], Way)> + Clone) {
        let decoded = decode(&self.framing, limit, chunks.clone());
        if decoded != *expected {
            let chunks: Vec<_> = chunks.into_iter().collect();
            panic!("{self:?}, limit {limit}, {chunks:?}\n decoded: {decoded:?}\nexpected: {expected:?}");
        }
    }
}

/// Reads length after length.
fn split_by_length(stream: &[u8], limit: usize) -> Decoded {
    let mut messages = Vec::new();
    let mut rest = stream;
    let end = loop {
        let [a, b, c, d, behind @ ..] = rest else { break End::Remainder(rest.to_vec()) };
        let len = [a, b, c, d].iter().fold(0, |len, byte| len * 256 + usize::from(**byte));
        if len > limit {
            break End::TooLong;
        }
        if behind.len() < len {
            break End::Remainder(rest.to_vec());
        }
        messages.push(behind[..len].to_vec());
        rest = &behind[len..];
    };
    Decoded { messages, end }
}

/// Cuts behind each zero, and undoes the stuffing by the book.
fn split_stuffed(stream: &[u8], limit: usize) -> Decoded {
    let longest = limit.saturating_mul(2).saturating_add(64);
    let mut messages = Vec::new();
    let mut rest = stream;
    let end = loop {
        let Some(at) = rest.iter().position(|byte| *byte == 0) else {
            break if rest.len() < longest { End::Remainder(rest.to_vec()) } else { End::TooLong };
        };
        match unstuffed(&rest[..at]) {
            None => break End::Malformed,
            Some(payload) if payload.len() > limit || at + 1 > longest => break End::TooLong,
            Some(payload) => messages.push(payload),
        }
        rest = &rest[at + 1..];
    };
    Decoded { messages, end }
}

/// The payload of what stands in front of a zero.
fn unstuffed(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    let mut rest = stuffed;
    let mut owes_zero = false;
    if rest.is_empty() {
        return None;
    }
    while let [code, behind @ ..] = rest {
        if owes_zero {
            payload.push(0);
        }
        let run = behind.get(..usize::from(*code) - 1)?;
        payload.extend_from_slice(run);
        owes_zero = *code < 255;
        rest = &behind[run.len()..];
    }
    Some(payload)
}

/// Payloads that make a decoder stumble, if anything does.
fn payloads() -> Vec<Vec<u8>> {
    let mut payloads = vec![
        b"".to_vec(),
        b"x".to_vec(),
        b";".to_vec(),
        GOODBYE.to_vec(),
        b"disconnected".to_vec(),
        b"\0".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"\0\0\0\x01x".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        b"\x01\x02\0\x03".to_vec(),
        (0..=255).collect(),
    ];
    payloads.extend([253, 254, 255, 256, 300, 508, 509].map(|len| b"x".repeat(len)));
    payloads.push([&b"y".repeat(254)[..], b"\0", &b"z".repeat(254)].concat());
    payloads
}
