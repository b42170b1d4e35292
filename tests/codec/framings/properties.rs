//! The decoder against the naive reading on streams, cuts and limits that nobody thought of.

use leads_comm::codec::encode;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Kind, kinds};
use crate::oracle::{Decoded, End, NO_LIMIT, decode};
use crate::properties::{chunks, cuts};

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(kinds().to_vec())
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        2 => vec(prop::sample::select(b"\0\x01\x02x".as_slice()), 0..20),
        1 => vec(1..=255_u8, 250..260),
    ]
}

/// Frames, parts of frames, and bytes that are no frame.
fn stream() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    kind().prop_flat_map(|kind| {
        let framing = kind.clone();
        let fragment = prop_oneof![
            6 => payload().prop_map({ let kind = kind.clone(); move |payload| kind.frame(&payload) }),
            1 => (payload(), 0..20_usize).prop_map(move |(payload, len)| {
                let mut frame = kind.frame(&payload);
                frame.truncate(len);
                frame
            }),
            1 => vec(any::<u8>(), 0..8),
        ];
        (Just(framing), vec(fragment, 0..20).prop_map(|fragments| fragments.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_stream_cut_anywhere((kind, stream) in stream(), cuts in cuts()) {
        let decoded = decode(&kind.framing, NO_LIMIT, chunks(&stream, &cuts));
        prop_assert_eq!(decoded, (kind.split)(&stream, NO_LIMIT));
    }

    #[test]
    fn any_limit((kind, stream) in stream(), cuts in cuts(), limit in 0..60_usize) {
        let decoded = decode(&kind.framing, limit, chunks(&stream, &cuts));
        let expected = (kind.split)(&stream, limit);
        prop_assert_eq!(&decoded.messages, &expected.messages);
        // What is too long and malformed may be told as either: the end of it, where that shows, may not be read.
        let is_either = |end: &End| matches!(end, End::TooLong | End::Malformed);
        prop_assert!(decoded.end == expected.end || is_either(&decoded.end) && is_either(&expected.end));
    }

    #[test]
    fn whatever_is_accepted_arrives_in_order(kind in kind(), payloads in vec(payload(), 0..20), cuts in cuts()) {
        let frames: Vec<_> = payloads.iter().map(|payload| encode(payload, &kind.framing).unwrap()).collect();
        let decoded = decode(&kind.framing, NO_LIMIT, chunks(&frames.concat(), &cuts));
        prop_assert_eq!(decoded, Decoded { messages: payloads, end: End::Remainder(Vec::new()) });
    }
}
