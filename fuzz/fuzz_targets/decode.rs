//! A decoder gives out what a naive one does, however the stream is cut and whichever way each piece is given to it,
//! and looks at each byte a limited number of times.
//!
//! Input: a separator, counted; the limit, 255 for none; the number of cuts; for each its distance from the one before,
//! and the way of the piece before it; then the stream.
#![no_main]

#[allow(dead_code, reason = "the suites of the framing use the rest")]
#[path = "../../tests/codec/oracle.rs"]
mod oracle;

use leads_comm::codec::Decoder;
use leads_comm_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use oracle::{NO_LIMIT, WAYS, Way};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let Some(separator) = input.separator() else { return };
    let limit = match input.byte() {
        255 => NO_LIMIT,
        limit => limit.into(),
    };
    let cuts = input.byte();
    let cuts: Vec<_> = (0..cuts).map(|_| (input.byte(), input.byte())).collect();
    let stream = input.rest();

    let mut rest = Input::new(stream);
    let mut chunks: Vec<_> = cuts
        .into_iter()
        .map(|(len, way)| (rest.bytes(len.into()), WAYS[usize::from(way) % WAYS.len()]))
        .take_while(|(chunk, _)| !chunk.is_empty())
        .collect();
    chunks.push((rest.rest(), Way::Decode));

    let expected = oracle::split(stream, separator.as_bytes(), limit);
    assert_eq!(oracle::decode(&separator, limit, chunks.iter().copied()), expected);

    let mut decoder = Decoder::new(separator.clone(), limit);
    let mut messages = Vec::new();
    let mut fed = 0;
    for (chunk, _) in &chunks {
        fed += chunk.len() + 4 * separator.len();
        if oracle::feed(&mut decoder, chunk, Way::Decode, &mut messages).is_err() {
            break;
        }
        assert!(decoder.bytes_searched() <= fed as u64, "{} of {fed}", decoder.bytes_searched());
        assert!(decoder.remainder().len() < limit.saturating_add(separator.len()));
    }
    assert_eq!(messages, expected.messages);
});
