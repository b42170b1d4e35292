//! What a decoder holds memory for, and when it lets go of it. That it is bounded at all: see `limits`.

use leads_comm::codec::{Decoder, Separator};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn decoder() -> Decoder {
    Decoder::new(Separator::default(), 2 * MIB)
}

/// Gives one chunk to `decode` and tells how many messages it completes.
fn decode(decoder: &mut Decoder, chunk: &[u8]) -> usize {
    let (mut messages, mut count) = (decoder.decode(chunk), 0);
    while messages.next_message().unwrap().is_some() {
        count += 1;
    }
    count
}

/// Takes in a message of `len` bytes by `decode` and the beginning of the next one, in chunks of `size`.
fn decode_long(decoder: &mut Decoder, len: usize, next: &[u8], size: usize) {
    let stream = [&b"x".repeat(len), &b";"[..], next].concat();
    let count: usize = stream.chunks(size).map(|chunk| decode(decoder, chunk)).sum();
    assert_eq!(count, 1);
    assert_eq!(decoder.remainder(), next);
}

#[test]
fn a_remainder_takes_no_more_than_it_needs() {
    let mut decoder = decoder();
    for _ in 0..10 {
        assert_eq!(decode(&mut decoder, &b"speed=12;".repeat(1000)), 1000);
        assert_eq!(decoder.capacity(), 0, "whole messages are lent");
    }
    assert_eq!(decode(&mut decoder, &[b"speed=12;".repeat(1000), b"0123456789".to_vec()].concat()), 1000);
    assert!((10..=16).contains(&decoder.capacity()), "{} bytes for a remainder of 10", decoder.capacity());
    assert_eq!(decode(&mut decoder, b"a;"), 1);
    assert!(decoder.capacity() <= 32, "{} bytes for a message of 11", decoder.capacity());
}

#[test]
fn what_a_long_message_needed_goes_with_it() {
    for size in [KIB, 16 * KIB, 100_000] {
        for next in [&b""[..], b"y", &b"y".repeat(100)] {
            let mut decoder = decoder();
            for _ in 0..3 {
                decode_long(&mut decoder, MIB, next, size);
                assert!(decoder.capacity() <= 4 * KIB, "{} bytes after a message of 1 MiB", decoder.capacity());
                assert_eq!(decode(&mut decoder, b";"), 1);
            }
        }
    }
}

#[test]
fn it_stays_while_it_is_in_use() {
    let mut decoder = decoder();
    decode_long(&mut decoder, MIB, &b"y".repeat(50 * KIB), 64 * KIB);
    let capacity = decoder.capacity();
    assert!(capacity >= MIB, "the next long message would have to grow it again");
    decode_long(&mut decoder, MIB - 100 * KIB, &b"y".repeat(50 * KIB), 64 * KIB);
    assert_eq!(decoder.capacity(), capacity);
    assert_eq!(decode(&mut decoder, b";"), 1);
    assert!(decoder.capacity() <= 4 * KIB, "now it is of no use");
}

#[test]
fn space_stays_until_it_is_dropped_or_decode_takes_over() {
    let fill = |decoder: &mut Decoder, chunk: &[u8]| {
        decoder.space(128 * KIB)[..chunk.len()].copy_from_slice(chunk);
        decoder.filled(chunk.len());
        while decoder.next_message().unwrap().is_some() {}
    };
    let mut decoder = decoder();
    for _ in 0..100 {
        fill(&mut decoder, b"speed=12;sp");
        fill(&mut decoder, b"eed=13;");
        assert!((128 * KIB..129 * KIB).contains(&decoder.capacity()), "{}", decoder.capacity());
    }
    assert_eq!((decoder.drop_remainder(), decoder.capacity()), (0, 0));

    fill(&mut decoder, b"speed=12;sp");
    assert_eq!(decode(&mut decoder, b"eed=13;s"), 1);
    assert!(decoder.capacity() <= 4 * KIB);
    assert_eq!(decoder.remainder(), b"s");
}

/// `space` moves what is left to the front, so that a stream of long messages does not wander through more memory.
#[test]
fn long_messages_read_into_space_need_no_more_than_one_and_a_chunk() {
    let message = [&b"x".repeat(MIB), &b";"[..]].concat();
    let mut decoder = decoder();
    for chunk in message.repeat(10).chunks(100 * KIB) {
        decoder.space(chunk.len()).copy_from_slice(chunk);
        decoder.filled(chunk.len());
        while decoder.next_message().unwrap().is_some() {}
    }
    assert!(decoder.capacity() <= 2 * MIB, "{}", decoder.capacity());
}

#[test]
#[should_panic(expected = "space")]
fn space_cannot_be_filled_behind_a_chunk() {
    let mut decoder = decoder();
    decoder.space(100);
    decode(&mut decoder, b"a;");
    decoder.filled(1);
}
