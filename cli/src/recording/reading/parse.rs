//! A record of its bytes, also if they are damaged.
//!
//! `mcap` reserves as many bytes for a text as its length says, before it looks whether there are so many: gigabytes,
//! where that is damaged, which a system of 32 bits does not have at all. So lengths are looked at first. What is in a
//! record is told by <https://mcap.dev/spec>.

use std::fmt;

use mcap::records::{Record, op};
use mcap::{McapError, parse_record};

/// Why a record cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    Mcap(McapError),
    Lengths,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mcap(error) => error.fmt(f),
            Self::Lengths => f.write_str("a length in the record is more than it has"),
        }
    }
}

impl From<McapError> for Unreadable {
    fn from(error: McapError) -> Self {
        Self::Mcap(error)
    }
}

/// A record of one of the kinds that are used; each other one is as good as unknown.
pub(super) fn parse(opcode: u8, body: &[u8]) -> Result<Record<'static>, Unreadable> {
    match opcode {
        op::HEADER | op::SCHEMA | op::CHANNEL | op::MESSAGE | op::METADATA => {}
        _ => return Ok(Record::Unknown { opcode, data: Vec::new().into() }),
    }
    match has_its_lengths(opcode, body) {
        true => Ok(parse_record(opcode, body)?.into_owned()),
        false => Err(Unreadable::Lengths),
    }
}

/// What the begin of a record consists of.
enum Part {
    /// So many bytes.
    Fixed(usize),
    /// A length, and so many bytes.
    Counted,
    /// The same, and those are counted parts.
    Nested,
}

/// Whether all lengths in it are right, as far as it has any that `mcap` would believe.
pub(super) fn has_its_lengths(opcode: u8, mut body: &[u8]) -> bool {
    use Part::{Counted, Fixed, Nested};
    let parts: &[Part] = match opcode {
        op::HEADER => &[Counted, Counted],
        op::SCHEMA => &[Fixed(2), Counted, Counted, Counted],
        op::CHANNEL => &[Fixed(4), Counted, Counted, Nested],
        op::METADATA => &[Counted, Nested],
        op::CHUNK_INDEX => &[Fixed(32), Counted, Fixed(8), Counted],
        op::ATTACHMENT_INDEX => &[Fixed(40), Counted, Counted],
        op::METADATA_INDEX => &[Fixed(16), Counted],
        _ => &[],
    };
    parts.iter().all(|part| match part {
        Fixed(len) => split(&mut body, *len).is_some(),
        Counted => counted(&mut body).is_some(),
        Nested => counted(&mut body).is_some_and(|mut inner| {
            while !inner.is_empty() {
                if counted(&mut inner).is_none() {
                    return false;
                }
            }
            true
        }),
    })
}

fn counted<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(split(body, 4)?.try_into().ok()?);
    split(body, usize::try_from(len).ok()?)
}

fn split<'a>(body: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (part, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn lengths_are_looked_at_before_memory_is_reserved_for_them() {
        let pair = [text("key"), text("value")].concat();
        let map = [&(pair.len() as u32).to_le_bytes()[..], &pair].concat();
        for (opcode, fixed, counted) in [
            (op::HEADER, 0, vec![text("profile"), text("library")]),
            (op::SCHEMA, 2, vec![text("name"), text("jsonschema"), text("{}")]),
            (op::CHANNEL, 4, vec![text("/topic"), text("json"), map.clone()]),
            (op::METADATA, 0, vec![text("name"), map]),
        ] {
            // A schema's number is not 0.
            let body = [vec![1; fixed], counted.concat()].concat();
            let record = parse(opcode, &body).unwrap();
            assert_eq!(record.opcode(), opcode);
            // Each byte of each length is damaged once, and each end of the record is cut off once.
            let mut at = fixed;
            for part in &counted {
                for byte in at..at + 4 {
                    let mut damaged = body.clone();
                    damaged[byte] ^= 0x80;
                    assert!(matches!(parse(opcode, &damaged), Err(Unreadable::Lengths)), "{opcode}: {byte}");
                }
                at += part.len();
            }
            for len in 0..body.len() {
                assert!(matches!(parse(opcode, &body[..len]), Err(Unreadable::Lengths)), "{opcode}: {len}");
            }
        }
    }

    #[test]
    fn lengths_in_a_map_are_looked_at_as_well() {
        let pair = [text("key"), text("value")].concat();
        for at in [0, 7] {
            let mut pair = pair.clone();
            pair[at + 3] = 0x80;
            let body = [text("name"), (pair.len() as u32).to_le_bytes().to_vec(), pair].concat();
            assert!(matches!(parse(op::METADATA, &body), Err(Unreadable::Lengths)), "{at}");
        }
    }

    #[test]
    fn kinds_that_are_not_used_are_unknown() {
        // `mcap` 0.26 panics at an attachment that ends with its head.
        for opcode in [op::ATTACHMENT, op::STATISTICS, op::CHUNK, 0xFF] {
            assert!(matches!(parse(opcode, &[0; 32]), Ok(Record::Unknown { opcode: its, .. }) if its == opcode));
        }
    }
}
