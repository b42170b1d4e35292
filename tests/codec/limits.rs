//! The limit on a message's length is exact whatever the sizes of the reads, and bounds the decoder's memory.

use leads_comm::codec::{DecodeError, Decoder, Separator};

use crate::oracle::{Decoded, End, SEPARATORS, WAYS, Way, decode, encode, feed, split};

/// The ways that take out every message at once, and so keep no more than an unfinished one.
const PROMPT: [Way; 3] = [Way::Decode, Way::Fill, Way::Read];

/// A payload that all but forms the separator, over and over.
fn near(separator: &[u8], len: usize) -> Vec<u8> {
    let almost = [&separator[..separator.len() - 1], b"-"].concat();
    almost.into_iter().cycle().take(len).collect()
}

#[test]
fn it_is_exact_whatever_the_sizes_of_the_reads() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        for limit in [0_usize, 1, 2, 5, 70] {
            for len in [limit.saturating_sub(1), limit, limit + 1, limit + bytes.len(), 2 * limit + 2 * bytes.len()] {
                // Behind a message that fits, so that the long one need not begin where a read does.
                for payload in [b"x".repeat(len), near(bytes, len)] {
                    if encode(&payload, &separator).is_err() {
                        continue;
                    }
                    let stream = [bytes, &payload, bytes, bytes].concat();
                    let expected = split(&stream, bytes, limit);
                    assert_eq!(expected.end == End::TooLong, len > limit);
                    for size in 1..=stream.len() {
                        for way in WAYS {
                            let decoded = decode(&separator, limit, stream.chunks(size).map(|chunk| (chunk, way)));
                            assert_eq!(
                                decoded, expected,
                                "{separator:?}, {len} bytes by {size}, limit {limit}, {way:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_separator_may_straddle_it() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        for limit in [0, 1, 10, 100] {
            let stream = [&b"x".repeat(limit), bytes].concat();
            let expected = Decoded { messages: vec![b"x".repeat(limit)], end: End::Remainder(Vec::new()) };
            for cut in limit..=stream.len() {
                let (left, right) = stream.split_at(cut);
                for first in WAYS {
                    for second in WAYS {
                        assert_eq!(decode(&separator, limit, [(left, first), (right, second)]), expected);
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_without_end_is_refused_as_soon_as_it_is_certain() {
    for bytes in SEPARATORS {
        for limit in [0, 1, 10, 1000] {
            for way in PROMPT {
                let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), limit);
                let mut messages = Vec::new();
                let mut received = 0;
                let error = loop {
                    received += 1;
                    assert!(received <= limit + bytes.len(), "{received} bytes are taken in with a limit of {limit}");
                    if let Err(error) = feed(&mut decoder, b"x", way, &mut messages) {
                        break error;
                    }
                };
                assert_eq!((error, messages.len()), (DecodeError::MessageTooLong { limit }, 0));
                assert!(received > limit, "refused at {received} bytes, within the limit of {limit}");
            }
        }
    }
}

#[test]
fn a_limit_of_0_leaves_empty_messages() {
    for way in WAYS {
        let empty = Decoded { messages: vec![Vec::new(); 3], end: End::Remainder(Vec::new()) };
        assert_eq!(decode(&Separator::default(), 0, [(&b";;;"[..], way)]), empty);
        let refused = Decoded { messages: vec![Vec::new()], end: End::TooLong };
        assert_eq!(decode(&Separator::default(), 0, [(&b";x;"[..], way)]), refused);
    }
}

#[test]
fn the_error_stays_until_the_remainder_is_dropped() {
    let limit = 4;
    let error = DecodeError::MessageTooLong { limit };
    for bytes in SEPARATORS {
        for long in [[b"123456789", bytes].concat(), b"x".repeat(200)] {
            for way in PROMPT {
                let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), limit);
                let mut messages = Vec::new();
                assert_eq!(feed(&mut decoder, &[b"1", bytes, &long].concat(), way, &mut messages), Err(error.clone()));
                for later in WAYS.into_iter().filter(|way| *way != Way::DecodeUpTo(0)) {
                    assert_eq!(decoder.next_message(), Err(error.clone()));
                    assert_eq!(feed(&mut decoder, bytes, later, &mut messages), Err(error.clone()));
                    assert_eq!(feed(&mut decoder, b"", later, &mut messages), Err(error.clone()));
                }
                assert_eq!(messages, [b"1"], "a message is given out behind the error");

                assert!(decoder.drop_remainder() > limit);
                assert_eq!(decoder.next_message(), Ok(None));
                feed(&mut decoder, &[b"1234", bytes, b"5"].concat(), way, &mut messages).unwrap();
                assert_eq!((messages.last().unwrap().as_slice(), decoder.remainder()), (&b"1234"[..], &b"5"[..]));
            }
        }
    }
}

#[test]
fn chunks_that_come_in_behind_the_error_are_not_kept() {
    for chunk in [&b"x"[..], b"xxxxxxxxxx", b"x;x;x;x;x;"] {
        let mut decoder = Decoder::new(Separator::default(), 4);
        assert!(decoder.decode(b"123456789;").next_message().is_err());
        let kept = decoder.remainder().len();
        for _ in 0..10 {
            assert!(decoder.decode(chunk).next_message().is_err());
            assert_eq!(decoder.remainder().len(), kept);
        }
    }
}

#[test]
fn memory_is_bounded_by_the_limit_one_read_and_the_separator() {
    let mut streams = 0;
    for bytes in SEPARATORS {
        for limit in [0, 1, 100, 5000] {
            for size in [1, 7, 512, 4096] {
                let bound = limit + size + bytes.len() - 1;
                let messages = near(bytes, limit.min(700)).into_iter().chain(bytes.iter().copied());
                let good: Vec<u8> = messages.cycle().take(12_000).collect();
                for stream in [good, b"x".repeat(12_000), bytes.repeat(1000)] {
                    for way in PROMPT {
                        let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), limit);
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
                        assert_eq!(outcome.is_err(), split(&stream, bytes, limit).end == End::TooLong);
                        decoder.drop_remainder();
                        assert_eq!(decoder.capacity(), 0);
                        streams += 1;
                    }
                }
            }
        }
    }
    println!("D3: more memory than limit + read + separator - 1 in 0 of {streams} streams");
}

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
