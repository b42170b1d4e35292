//! The limit on a message's length is exact whatever the sizes of the reads.

use leads_comm::codec::{DecodeError, Decoder, Framing};

use super::{by_length, kinds, stuffed};
use crate::oracle::{Decoded, End, WAYS, Way, feed};

/// The ways that take out every message at once.
const PROMPT: [Way; 3] = [Way::Decode, Way::Fill, Way::Read];

#[test]
fn it_is_exact_whatever_the_sizes_of_the_reads() {
    for kind in kinds() {
        for limit in [0_usize, 1, 2, 5, 70, 254, 300] {
            for len in [limit.saturating_sub(1), limit, limit + 1, limit + 4, 2 * limit + 8, 2 * limit + 100] {
                for payload in [b"x".repeat(len), vec![0; len]] {
                    // Behind a message that fits, so that the long one need not begin where a read does.
                    let stream = [kind.frame(b""), kind.frame(&payload), kind.frame(b"")].concat();
                    let expected = (kind.split)(&stream, limit);
                    assert_eq!(expected.end == End::TooLong, len > limit);
                    for size in (1..10).chain([64, 100, stream.len()]) {
                        for way in WAYS {
                            kind.check(&expected, limit, stream.chunks(size).map(|chunk| (chunk, way)));
                        }
                    }
                }
            }
        }
    }
}

/// Before there is memory for it, and however it comes in.
#[test]
fn a_length_over_it_is_refused_when_its_fourth_byte_is_there() {
    for (limit, head) in [
        (0, &b"\0\0\0\x01"[..]),
        (10, b"\0\0\0\x0b"),
        (0xff_ffff, b"\x01\0\0\0"),
        (0xff_ffff, b"\xff\xff\xff\xff"),
        // A peer that speaks text.
        (1 << 20, b"disc"),
        (1 << 20, b"GET "),
        (1 << 20, b"a;b;"),
    ] {
        for way in PROMPT {
            let mut decoder = Decoder::new(Framing::Length, limit);
            let mut messages = Vec::new();
            for byte in &head[..3] {
                feed(&mut decoder, &[*byte], way, &mut messages).unwrap();
            }
            let refused = feed(&mut decoder, &head[3..], way, &mut messages);
            assert_eq!((refused, messages.len()), (Err(DecodeError::MessageTooLong { limit }), 0));
            assert!(decoder.capacity() <= 16, "{} bytes for a message that is refused", decoder.capacity());
        }
    }
}

#[test]
fn a_stuffed_message_without_end_is_refused_as_soon_as_it_is_certain() {
    for limit in [0, 1, 10, 1000] {
        for way in PROMPT {
            let mut decoder = Decoder::new(stuffed().framing, limit);
            let mut received = 0;
            let error = loop {
                received += 1;
                assert!(received <= 2 * limit + 64, "{received} bytes are taken in with a limit of {limit}");
                if let Err(error) = feed(&mut decoder, b"x", way, &mut Vec::new()) {
                    break error;
                }
            };
            assert_eq!(error, DecodeError::MessageTooLong { limit });
            assert_eq!(received, 2 * limit + 64);
        }
    }
}

#[test]
fn a_limit_of_0_leaves_empty_messages() {
    for kind in kinds() {
        for way in WAYS {
            let empty = Decoded { messages: vec![Vec::new(); 3], end: End::Remainder(Vec::new()) };
            kind.check(&empty, 0, [(&kind.frame(b"").repeat(3)[..], way)]);
            let refused = Decoded { messages: vec![Vec::new()], end: End::TooLong };
            kind.check(&refused, 0, [(&[kind.frame(b""), kind.frame(b"x")].concat()[..], way)]);
        }
    }
}

#[test]
fn the_error_stays_until_the_remainder_is_dropped() {
    let limit = 4;
    for kind in kinds() {
        for way in PROMPT {
            let mut decoder = Decoder::new(kind.framing.clone(), limit);
            let mut messages = Vec::new();
            let stream = [kind.frame(b"1"), kind.frame(b"123456789")].concat();
            let error = DecodeError::MessageTooLong { limit };
            assert_eq!(feed(&mut decoder, &stream, way, &mut messages), Err(error.clone()));
            let kept = decoder.remainder().len();
            for later in WAYS.into_iter().filter(|way| *way != Way::DecodeUpTo(0)) {
                assert_eq!(decoder.next_message(), Err(error.clone()));
                assert_eq!(feed(&mut decoder, &kind.frame(b"2"), later, &mut messages), Err(error.clone()));
                assert_eq!(feed(&mut decoder, b"", later, &mut messages), Err(error.clone()));
            }
            for _ in 0..10 {
                let before = decoder.remainder().len();
                assert!(decoder.decode(&kind.frame(b"3")).next_message().is_err());
                assert_eq!(decoder.remainder().len(), before, "what comes in behind the error is kept");
            }
            assert_eq!(messages, [b"1"], "a message is given out behind the error");

            assert!(decoder.drop_remainder() >= kept && kept > 0);
            assert_eq!(decoder.next_message(), Ok(None));
            let stream = [kind.frame(b"1234"), kind.frame(b"56")[..3].to_vec()].concat();
            feed(&mut decoder, &stream, way, &mut messages).unwrap();
            assert_eq!((messages.last().unwrap().as_slice(), decoder.remainder().len()), (&b"1234"[..], 3));
        }
    }
}

#[test]
fn dropping_the_remainder_forgets_it_altogether() {
    for kind in kinds() {
        for way in WAYS {
            let frame = kind.frame(b"unfinished");
            for len in 1..frame.len() {
                let mut decoder = Decoder::new(kind.framing.clone(), 1024);
                let mut messages = Vec::new();
                feed(&mut decoder, &frame[..len], way, &mut messages).unwrap();
                assert_eq!((decoder.drop_remainder(), decoder.capacity()), (len, 0));
                feed(&mut decoder, &kind.frame(b"whole"), way, &mut messages).unwrap();
                while let Some(message) = decoder.next_message().unwrap() {
                    messages.push(message.to_vec());
                }
                assert_eq!(messages, [b"whole"]);
            }
        }
    }
    assert_eq!(by_length().frame(b"unfinished").len(), 14);
}
