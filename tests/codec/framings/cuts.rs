//! A stream means the same however it is cut, and by whichever way its chunks come in.

use super::{Kind, by_length, kinds, payloads, stuffed};
use crate::oracle::{Decoded, End, NO_LIMIT, WAYS, words};

/// Each payload alone, the short ones behind one another, all that with an unfinished message behind it, and what no
/// sender would frame.
fn streams(kind: &Kind) -> Vec<Vec<u8>> {
    let frames: Vec<_> = payloads().iter().map(|payload| kind.frame(payload)).collect();
    let short: Vec<u8> = frames.iter().filter(|frame| frame.len() < 40).flatten().copied().collect();
    let mut streams = frames;
    streams.push(short);
    let unfinished: Vec<_> = streams
        .iter()
        .flat_map(|stream| [1, 3, 5, 11].map(|len| [stream.as_slice(), &kind.frame(b"unfinished")[..len]].concat()))
        .collect();
    streams.extend(unfinished);
    streams
        .extend([&b"\xff\xff\xff\xff"[..], b"\0\0\0\0\0\0\0\0", b"\x01\0\x05a\0", b"text;without;end;"].map(Vec::from));
    streams
}

#[test]
fn what_is_framed_is_what_is_decoded() {
    for kind in kinds() {
        let frames: Vec<_> = payloads().iter().map(|payload| kind.frame(payload)).collect();
        let expected = Decoded { messages: payloads(), end: End::Remainder(Vec::new()) };
        assert_eq!((kind.split)(&frames.concat(), NO_LIMIT), expected);
        for way in WAYS {
            kind.check(&expected, NO_LIMIT, frames.iter().map(|frame| (frame.as_slice(), way)));
        }
    }
}

#[test]
fn every_cut_of_every_stream() {
    for kind in kinds() {
        for stream in streams(&kind) {
            let expected = (kind.split)(&stream, NO_LIMIT);
            for cut in 0..=stream.len() {
                let (left, right) = stream.split_at(cut);
                for first in WAYS {
                    kind.check(&expected, NO_LIMIT, [(left, first), (right, first)]);
                    for second in WAYS.into_iter().filter(|_| stream.len() <= 100) {
                        kind.check(&expected, NO_LIMIT, [(left, first), (right, second)]);
                    }
                }
            }
        }
    }
}

#[test]
fn every_pair_of_cuts_of_every_short_stream() {
    for kind in kinds() {
        for stream in streams(&kind).into_iter().filter(|stream| stream.len() <= 60) {
            let expected = (kind.split)(&stream, NO_LIMIT);
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                    for turn in 0..WAYS.len() {
                        let ways = [WAYS[turn], WAYS[(turn + 1) % WAYS.len()], WAYS[(2 * turn) % WAYS.len()]];
                        kind.check(&expected, NO_LIMIT, chunks.into_iter().zip(ways));
                    }
                }
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    for kind in kinds() {
        for stream in streams(&kind) {
            let expected = (kind.split)(&stream, NO_LIMIT);
            for way in WAYS {
                kind.check(&expected, NO_LIMIT, stream.chunks(1).map(|chunk| (chunk, way)));
            }
            kind.check(&expected, NO_LIMIT, stream.chunks(1).zip(WAYS.into_iter().cycle()));
        }
    }
}

/// Nothing is left to the choice of a table here.
#[test]
fn every_stream_of_a_few_letters() {
    for (kind, letters, len) in [(by_length(), &b"\0\x01\x02"[..], 8), (stuffed(), b"\0\x01\x02\x03", 6)] {
        for limit in [NO_LIMIT, 1] {
            for stream in words(letters, 0..=len) {
                let expected = (kind.split)(&stream, limit);
                for way in WAYS {
                    kind.check(&expected, limit, stream.chunks(1).map(|chunk| (chunk, way)));
                    for cut in 0..=stream.len() {
                        let (left, right) = stream.split_at(cut);
                        kind.check(&expected, limit, [(left, way), (right, way)]);
                    }
                }
            }
        }
    }
}
