//! What `decode` is for separators, for messages that begin with their length and for those that a program tells apart:
//! a decoder gives out what a naive reading does, however the stream is cut, and whatever is accepted is given back.
//!
//! Input: an even byte for lengths, an odd one for stuffing; the limit, 255 for none; the number of cuts; for each its
//! distance from the one before, and the way of the piece before it; a message, counted; then the stream, into which
//! the message is put as a frame in front.
#![no_main]

#[path = "../../examples/custom_framing/cobs.rs"]
mod cobs;
#[allow(dead_code, reason = "the suites of the framing use the rest")]
#[path = "../../tests/codec/oracle.rs"]
mod oracle;

use leads_comm::codec::{Decoder, Framing, GOODBYE, encode};
use leads_comm_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use oracle::{End, NO_LIMIT, WAYS, Way, split_by_length, split_stuffed};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let is_stuffed = input.byte() % 2 == 1;
    let framing = if is_stuffed { Framing::custom(cobs::Cobs).expect("it is sound") } else { Framing::Length };
    let split = if is_stuffed { split_stuffed } else { split_by_length };
    let limit = match input.byte() {
        255 => NO_LIMIT,
        limit => limit.into(),
    };
    let cuts = input.byte();
    let cuts: Vec<_> = (0..cuts).map(|_| (input.byte(), input.byte())).collect();
    let message = input.counted();
    let frame = match encode(message, &framing) {
        Ok(frame) => frame,
        Err(error) => {
            assert_eq!(message, GOODBYE, "{error}");
            framing.goodbye().to_vec()
        }
    };
    let stream = [&frame, input.rest()].concat();
    assert_eq!(split(&frame, NO_LIMIT).messages, [message]);

    let mut rest = Input::new(&stream);
    let mut chunks: Vec<_> = cuts
        .into_iter()
        .map(|(len, way)| (rest.bytes(len.into()), WAYS[usize::from(way) % WAYS.len()]))
        .take_while(|(chunk, _)| !chunk.is_empty())
        .collect();
    chunks.push((rest.rest(), Way::Decode));

    let expected = split(&stream, limit);
    let decoded = oracle::decode(&framing, limit, chunks.iter().copied());
    assert_eq!(decoded.messages, expected.messages);
    // What is too long and malformed may be told as either.
    let is_either = |end: &End| matches!(end, End::TooLong | End::Malformed);
    assert!(decoded.end == expected.end || is_either(&decoded.end) && is_either(&expected.end), "{decoded:?}");

    // What is held is what has arrived, whatever a length promises.
    let mut decoder = Decoder::new(framing, limit);
    let mut longest = 0;
    for (chunk, _) in &chunks {
        longest = longest.max(chunk.len());
        if oracle::feed(&mut decoder, chunk, Way::Decode, &mut Vec::new()).is_err() {
            break;
        }
        assert!(decoder.capacity() <= 2 * (stream.len() + longest) + 64, "{}", decoder.capacity());
    }
});
