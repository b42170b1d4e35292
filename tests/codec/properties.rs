//! The decoder against the oracle on streams, cuts and limits that nobody thought of.

use leads_comm::codec::{EncodeError, GOODBYE, Separator};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle::{Decoded, End, NO_LIMIT, SEPARATORS, Way, decode, encode, split};

fn separators() -> impl Strategy<Value = Separator> {
    let letters = prop::sample::select(b"ab".as_slice());
    prop_oneof![
        prop::sample::select(SEPARATORS.as_slice()).prop_map(<[u8]>::to_vec),
        vec(letters, 1..=64),
        vec(any::<u8>(), 1..=64),
    ]
    .prop_filter_map("cannot carry the goodbye", |bytes| Separator::new(bytes).ok())
}

/// Bytes that meet the separator often: parts of it, all of it, its letters, and anything else.
fn fragments(separator: &Separator) -> impl Strategy<Value = Vec<u8>> + use<> {
    let bytes = separator.as_bytes().to_vec();
    let letters = bytes.clone();
    prop_oneof![
        4 => Just(bytes.clone()),
        3 => (0..bytes.len()).prop_map({ let bytes = bytes.clone(); move |len| bytes[..len].to_vec() }),
        1 => (0..bytes.len()).prop_map(move |from| bytes[from..].to_vec()),
        2 => vec(prop::sample::select(letters), 0..20),
        2 => vec(any::<u8>(), 0..20),
        1 => Just(GOODBYE.to_vec()),
    ]
}

fn streams() -> impl Strategy<Value = (Separator, Vec<u8>)> {
    separators().prop_flat_map(|separator| {
        let stream = vec(fragments(&separator), 0..30).prop_map(|fragments| fragments.concat());
        (Just(separator), stream)
    })
}

/// The lengths of the chunks, used in turn, and the ways in which they come in.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<(usize, Way)>> {
    let way = prop_oneof![
        Just(Way::Decode),
        (0..4_usize).prop_map(Way::DecodeUpTo),
        Just(Way::Fill),
        (0..4_usize).prop_map(Way::FillUpTo),
        Just(Way::Read),
    ];
    vec((prop_oneof![3 => 1..8_usize, 1 => 1..200_usize], way), 1..8)
}

pub(crate) fn chunks<'a>(stream: &'a [u8], cuts: &[(usize, Way)]) -> Vec<(&'a [u8], Way)> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    for &(len, way) in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(len.min(rest.len()));
        chunks.push((chunk, way));
        rest = behind;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_stream_cut_anywhere((separator, stream) in streams(), cuts in cuts()) {
        let decoded = decode(&separator, NO_LIMIT, chunks(&stream, &cuts));
        prop_assert_eq!(decoded, split(&stream, separator.as_bytes(), NO_LIMIT));
    }

    #[test]
    fn any_limit((separator, stream) in streams(), cuts in cuts(), limit in 0..60_usize) {
        let decoded = decode(&separator, limit, chunks(&stream, &cuts));
        prop_assert_eq!(decoded, split(&stream, separator.as_bytes(), limit));
    }

    #[test]
    fn a_payload_is_accepted_exactly_when_it_decodes_to_itself((separator, payload) in streams()) {
        let frame = [&payload, separator.as_bytes()].concat();
        let alone = Decoded { messages: vec![payload.clone()], end: End::Remainder(Vec::new()) };
        let sound = split(&frame, separator.as_bytes(), NO_LIMIT) == alone;
        let first_match = frame.windows(separator.len()).position(|window| window == separator.as_bytes());
        match encode(&payload, &separator) {
            Ok(encoded) => {
                prop_assert!(sound);
                prop_assert_eq!(encoded, frame);
            }
            Err(EncodeError::IsGoodbye) => prop_assert_eq!(payload, GOODBYE),
            Err(EncodeError::ContainsSeparator { at }) => {
                prop_assert!(!sound);
                prop_assert_eq!(Some(at), first_match);
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn whatever_is_accepted_arrives_in_order((separator, payloads) in separators().prop_flat_map(|separator| {
        let payloads = vec(fragments(&separator), 0..20);
        (Just(separator), payloads)
    }), cuts in cuts()) {
        let (messages, frames): (Vec<_>, Vec<_>) = payloads
            .into_iter()
            .filter_map(|payload| encode(&payload, &separator).ok().map(|frame| (payload, frame)))
            .unzip();
        let decoded = decode(&separator, NO_LIMIT, chunks(&frames.concat(), &cuts));
        prop_assert_eq!(decoded, Decoded { messages, end: End::Remainder(Vec::new()) });
    }
}
