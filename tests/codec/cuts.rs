//! A stream means the same however it is cut, and by whichever way its chunks come in.

use std::cell::Cell;

use leads_comm::codec::{GOODBYE, Separator};

use crate::oracle::{Decoded, End, NO_LIMIT, SEPARATORS, WAYS, Way, decode, encode, split, words};

/// Payloads that make a decoder stumble, if anything does.
fn payloads(separator: &[u8]) -> Vec<Vec<u8>> {
    let len = separator.len();
    let almost = &separator[..len - 1];
    let mut payloads = vec![
        b"".to_vec(),
        b"x".to_vec(),
        GOODBYE.to_vec(),
        b"disconnected".to_vec(),
        b"\0\0\0".to_vec(),
        b"\xff\xff".to_vec(),
        b"\xc3\x28\xf0\x9f".to_vec(),
        separator[1..].to_vec(),
        [almost, almost].concat(),
        [almost, b"-"].concat(),
        [b"-", almost, b"-", almost].concat(),
        [almost, b"-"].concat().repeat(300_usize.div_ceil(len)),
    ];
    payloads.extend([1, 2, 3, len / 2, len - 1].map(|prefix| separator[..prefix.min(len - 1)].to_vec()));
    payloads.sort();
    payloads.dedup();
    payloads
}

/// What can be sent with this separator: the goodbye by closing, everything else by `encode`.
fn frames(separator: &Separator) -> Vec<(Vec<u8>, Vec<u8>)> {
    let frame = |payload: Vec<u8>| match payload == GOODBYE {
        true => Some((payload, separator.goodbye().to_vec())),
        false => encode(&payload, separator).ok().map(|frame| (payload, frame)),
    };
    payloads(separator.as_bytes()).into_iter().filter_map(frame).collect()
}

/// Every stream of the table: each payload alone, all of them behind one another, what no sender would frame, and
/// all that with an unfinished message behind it.
fn streams(separator: &Separator) -> Vec<Vec<u8>> {
    let bytes = separator.as_bytes();
    let frames = frames(separator);
    let mut streams: Vec<Vec<u8>> = frames.iter().map(|(_, frame)| frame.clone()).collect();
    streams
        .push(frames.iter().filter(|(payload, _)| payload.len() < 100).flat_map(|(_, frame)| frame.clone()).collect());
    streams.push(bytes.repeat(3));
    streams.extend(payloads(bytes).into_iter().map(|payload| [&payload, bytes, &payload, bytes].concat()));
    let unfinished: Vec<Vec<u8>> =
        streams.iter().map(|stream| [stream.as_slice(), b"y", &bytes[..bytes.len() - 1]].concat()).collect();
    streams.extend(unfinished);
    streams
}

thread_local! {
    /// How many sequences of chunks this test has checked.
    static CHECKED: Cell<usize> = const { Cell::new(0) };
}

/// Prints the figure of a test that has found nothing wrong.
fn report() {
    println!("D1: wrong sequences 0 of {}", CHECKED.get());
}

fn check<'a>(separator: &Separator, expected: &Decoded, chunks: impl IntoIterator<Item = (&'a [u8], Way)> + Clone) {
    CHECKED.set(CHECKED.get() + 1);
    let decoded = decode(separator, NO_LIMIT, chunks.clone());
    if decoded != *expected {
        let chunks: Vec<_> = chunks.into_iter().map(|(chunk, way)| (chunk.escape_ascii().to_string(), way)).collect();
        panic!("{separator:?}, {chunks:?}\n decoded: {decoded:?}\nexpected: {expected:?}");
    }
}

#[test]
fn what_is_framed_is_what_is_decoded() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        let (payloads, frames): (Vec<_>, Vec<_>) = frames(&separator).into_iter().unzip();
        assert!(payloads.len() >= 8, "{separator:?} leaves too few payloads to say anything");
        let expected = Decoded { messages: payloads, end: End::Remainder(Vec::new()) };
        assert_eq!(split(&frames.concat(), bytes, NO_LIMIT), expected);
        for way in WAYS {
            check(&separator, &expected, frames.iter().map(|frame| (frame.as_slice(), way)));
        }
    }
    report();
}

#[test]
fn every_cut_of_every_stream() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        for stream in streams(&separator) {
            let expected = split(&stream, bytes, NO_LIMIT);
            for cut in 0..=stream.len() {
                let (left, right) = stream.split_at(cut);
                for first in WAYS {
                    check(&separator, &expected, [(left, first), (right, first)]);
                    // Every change from one way in to another, where the stream is short enough to afford it.
                    for second in WAYS.into_iter().filter(|_| stream.len() <= 100) {
                        check(&separator, &expected, [(left, first), (right, second)]);
                    }
                }
            }
        }
    }
    report();
}

#[test]
fn every_pair_of_cuts_of_every_short_stream() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        let short = bytes.len() + 40;
        for stream in streams(&separator).into_iter().filter(|stream| stream.len() <= short) {
            let expected = split(&stream, bytes, NO_LIMIT);
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                    for turn in 0..WAYS.len() {
                        let ways = [WAYS[turn], WAYS[(turn + 1) % WAYS.len()], WAYS[(2 * turn) % WAYS.len()]];
                        check(&separator, &expected, chunks.into_iter().zip(ways));
                    }
                }
            }
        }
    }
    report();
}

#[test]
fn byte_by_byte() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        for stream in streams(&separator) {
            let expected = split(&stream, bytes, NO_LIMIT);
            for way in WAYS {
                check(&separator, &expected, stream.chunks(1).map(|chunk| (chunk, way)));
            }
            check(&separator, &expected, stream.chunks(1).zip(WAYS.into_iter().cycle()));
        }
    }
    report();
}

/// Nothing is left to the choice of a table here: all separators of up to 4 letters, all streams of up to 8.
#[test]
fn every_stream_of_two_letters() {
    for bytes in words(b"ab", 1..=4) {
        let separator = Separator::new(&bytes).unwrap();
        for stream in words(b"ab", 0..=8) {
            let expected = split(&stream, &bytes, NO_LIMIT);
            for way in WAYS {
                check(&separator, &expected, stream.chunks(1).map(|chunk| (chunk, way)));
                for cut in 0..=stream.len() {
                    let (left, right) = stream.split_at(cut);
                    check(&separator, &expected, [(left, way), (right, way)]);
                }
            }
        }
    }
    report();
}
