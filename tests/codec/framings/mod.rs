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

use crate::oracle::{Decoded, Way, decode, split_by_length, split_stuffed};
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
