//! What a decoder holds memory for is what has arrived, and is bounded by the limit and one read.

use leads_comm::codec::{DecodeError, Decoder, Framing};

use super::{by_length, kinds, stuffed};
use crate::oracle::{End, Way, feed};

const MIB: usize = 1024 * 1024;

/// Gives one chunk to the decoder, with no more space than it needs, and throws its messages away.
fn prompt(decoder: &mut Decoder, chunk: &[u8], way: Way) -> Result<(), DecodeError> {
    if way == Way::Fill {
        decoder.space(chunk.len()).copy_from_slice(chunk);
        decoder.filled(chunk.len());
        while decoder.next_message()?.is_some() {}
        return Ok(());
    }
    feed(decoder, chunk, way, &mut Vec::new())
}

#[test]
fn it_is_bounded_by_the_limit_and_one_read() {
    for (kind, times, more) in [(by_length(), 1, 4), (stuffed(), 2, 64)] {
        for limit in [0, 1, 100, 5000] {
            for size in [1, 7, 512, 4096] {
                let bound = times * limit + more + size - 1;
                let good: Vec<u8> = kind.frame(&b"y".repeat(limit)).into_iter().cycle().take(12_000).collect();
                for stream in [good, b"x".repeat(12_000), kind.frame(b"").repeat(1000)] {
                    for way in [Way::Decode, Way::Fill, Way::Read] {
                        let mut decoder = Decoder::new(kind.framing.clone(), limit);
                        assert_eq!(decoder.capacity(), 0, "memory is taken before there is anything to keep");
                        let outcome = stream.chunks(size).try_for_each(|chunk| {
                            let outcome = prompt(&mut decoder, chunk, way);
                            let capacity = decoder.capacity();
                            assert!(
                                capacity <= bound,
                                "{capacity} over {bound}: limit {limit}, reads of {size}, {way:?}"
                            );
                            outcome
                        });
                        let end = (kind.split)(&stream, limit).end;
                        assert_eq!(outcome.is_err(), !matches!(end, End::Remainder(_)));
                        decoder.drop_remainder();
                        assert_eq!(decoder.capacity(), 0);
                    }
                }
            }
        }
    }
}

/// A peer may say what it likes.
#[test]
fn a_length_reserves_nothing() {
    for way in [Way::Decode, Way::Fill, Way::Read] {
        let mut decoder = Decoder::new(Framing::Length, usize::MAX);
        let mut arrived = 0;
        for chunk in [&b"\xff\xff"[..], b"\xff\xff", b"x", &[b'x'; 1000], &[b'x'; 10_000]] {
            feed(&mut decoder, chunk, way, &mut Vec::new()).unwrap();
            arrived += chunk.len();
            assert!(decoder.capacity() <= 2 * arrived + 8, "{} for {arrived}, {way:?}", decoder.capacity());
        }
        assert_eq!(decoder.remainder().len(), arrived);
    }
}

#[test]
fn what_a_long_message_needed_goes_with_it() {
    for kind in kinds() {
        for size in [1024, 16 * 1024, 100_000] {
            let mut decoder = Decoder::new(kind.framing.clone(), 2 * MIB);
            let stream = [kind.frame(&b"x".repeat(MIB)), kind.frame(b"next")[..3].to_vec()].concat();
            for chunk in stream.chunks(size) {
                let mut messages = decoder.decode(chunk);
                while messages.next_message().unwrap().is_some() {}
            }
            assert!(decoder.capacity() <= 4096, "{} bytes after a message of 1 MiB, {kind:?}", decoder.capacity());
            assert_eq!(decoder.remainder().len(), 3);
        }
    }
}
