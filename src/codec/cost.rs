//! Decoding costs time in proportion to the bytes received, however they are cut and whatever they nearly are.
//!
//! Counted, not clocked: by the bytes that were searched and by how often the buffer moved.

use super::{Decoder, Separator};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[derive(Debug, Clone, Copy)]
enum WayIn {
    Decode,
    Fill,
}

struct Cost {
    bytes_searched: u64,
    /// How often the decoder's memory changed its size.
    growths: usize,
    messages: usize,
}

/// Decodes `len` bytes of `pattern` in chunks of `size`.
fn decode(separator: &[u8], pattern: &[u8], len: usize, size: usize, way: WayIn) -> Cost {
    let stream: Vec<u8> = pattern.iter().copied().cycle().take(len).collect();
    let mut decoder = Decoder::new(Separator::new(separator).unwrap(), 16 * MIB);
    let mut cost = Cost { bytes_searched: 0, growths: 0, messages: 0 };
    let mut capacity = 0;
    for chunk in stream.chunks(size) {
        match way {
            WayIn::Decode => {
                let mut messages = decoder.decode(chunk);
                while messages.next_message().unwrap().is_some() {
                    cost.messages += 1;
                }
            }
            WayIn::Fill => {
                decoder.space(chunk.len()).copy_from_slice(chunk);
                decoder.filled(chunk.len());
                while decoder.next_message().unwrap().is_some() {
                    cost.messages += 1;
                }
            }
        }
        cost.growths += usize::from(decoder.capacity() != capacity);
        capacity = decoder.capacity();
    }
    cost.bytes_searched = decoder.bytes_searched();
    cost
}

/// Decodes `short` bytes, then 8 times as many, which has to cost 8 times as much. Each byte is looked at once, and a
/// few of them again wherever two chunks meet.
fn check(separator: &[u8], pattern: &[u8], short: usize, size: usize) {
    for way in [WayIn::Decode, WayIn::Fill] {
        let costs = [short, 8 * short].map(|len| {
            let cost = decode(separator, pattern, len, size, way);
            let seams = 4 * separator.len() * len.div_ceil(size);
            let bound = (len + seams) as u64;
            let what = format!("{} bytes in chunks of {size}, {way:?}: {}", len, cost.bytes_searched);
            assert!(cost.bytes_searched >= len as u64 - separator.len() as u64, "{what} searched is not all of it");
            assert!(cost.bytes_searched <= bound, "{what} searched, over {bound}");
            assert!(cost.growths <= 32, "{what}: the buffer grew {} times", cost.growths);
            cost
        });
        let ratio = costs[1].bytes_searched as f64 / costs[0].bytes_searched as f64;
        assert!((7.5..8.5).contains(&ratio), "8 times the bytes in chunks of {size}, {way:?}: {ratio} times the cost");
        assert_eq!(costs[0].messages == 0, costs[1].messages == 0);
    }
}

#[test]
fn eight_mebibytes_without_a_separator_cost_eight_times_one() {
    for size in [512, 64 * KIB] {
        check(b";", b"x", MIB, size);
        check(b"aab", b"a", MIB, size);
    }
    check(b";", b"x", MIB, 7);
}

#[test]
fn near_separators_cost_no_more() {
    let long = [&b"ab".repeat(31)[..], b"ac"].concat();
    for (separator, pattern) in [
        (&b"aab"[..], &b"a"[..]),
        (b"end;", b"end:"),
        (b";;x", b";"),
        (b"aXa", b"aaX"),
        (&long, b"ab"),
        (&[&b"a".repeat(63)[..], b"b"].concat(), b"a"),
        (&[b"b", &b"a".repeat(63)[..]].concat(), b"a"),
    ] {
        check_every_size(separator, pattern);
    }
}

#[test]
fn messages_of_any_length_cost_no_more() {
    for (separator, pattern) in [
        (&b";"[..], b";".to_vec()),
        (b";", b"speed=12;".to_vec()),
        (b"end;", [&b"x".repeat(1000)[..], b"end;"].concat()),
        (b"aab", b"aaaaaaab".to_vec()),
        (b"aa", b"a".to_vec()),
    ] {
        check_every_size(separator, &pattern);
    }
}

fn check_every_size(separator: &[u8], pattern: &[u8]) {
    for (size, short) in [(1, 8 * KIB), (7, 32 * KIB), (512, 64 * KIB), (8 * KIB, 128 * KIB)] {
        check(separator, pattern, short, size);
    }
}

/// An iterator that is always left after its first message leaves the rest to be moved, but not to be searched, again.
#[test]
fn messages_left_behind_are_searched_once_more_at_most() {
    let stream = b"x;".repeat(64 * KIB);
    let mut decoder = Decoder::new(Separator::default(), MIB);
    let mut messages = 0;
    for chunk in stream.chunks(64) {
        messages += usize::from(decoder.decode(chunk).next_message().unwrap().is_some());
    }
    while decoder.next_message().unwrap().is_some() {
        messages += 1;
    }
    assert_eq!(messages, 64 * KIB);
    assert!(decoder.bytes_searched() <= 2 * stream.len() as u64);
}
