//! A payload is framed exactly when it is read back as itself, so that nobody can send what someone else has not said.

use leads_comm::codec::{Decoder, EncodeError, GOODBYE, Separator};

use crate::oracle::{Decoded, End, NO_LIMIT, SEPARATORS, Way, decode, encode, split, words};

/// Whether a receiver makes exactly this one payload of `payload ++ separator`.
fn is_read_back(payload: &[u8], separator: &Separator) -> bool {
    let frame = [payload, separator.as_bytes()].concat();
    let decoded = decode(separator, NO_LIMIT, [(frame.as_slice(), Way::Decode)]);
    assert_eq!(decoded, split(&frame, separator.as_bytes(), NO_LIMIT));
    decoded == Decoded { messages: vec![payload.to_vec()], end: End::Remainder(Vec::new()) }
}

fn first_match(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[test]
fn a_payload_is_accepted_exactly_when_it_decodes_to_itself() {
    let (mut pairs, mut misread, mut refused, mut missed_by_looking_inside) = (0, 0, 0, 0);
    for separator in words(b"ab", 1..=4) {
        let separator = Separator::new(separator).unwrap();
        for payload in words(b"ab", 0..=8) {
            let frame = [&payload, separator.as_bytes()].concat();
            let sound = is_read_back(&payload, &separator);
            pairs += 1;
            match encode(&payload, &separator) {
                Ok(encoded) => {
                    assert_eq!(encoded, frame);
                    misread += usize::from(!sound);
                }
                Err(EncodeError::ContainsSeparator { at }) => {
                    assert_eq!(Some(at), first_match(&frame, separator.as_bytes()));
                    refused += usize::from(sound);
                }
                Err(error) => panic!("{error:?} for {payload:?}"),
            }
            let inside = first_match(&payload, separator.as_bytes()).is_some();
            missed_by_looking_inside += usize::from(!inside && !sound);
        }
    }
    println!("D4: accepted but misread {misread}, refused but sound {refused} of {pairs} pairs");
    assert_eq!((pairs, misread, refused), (15_330, 0, 0));
    // Why the rule looks at the payload and the separator together: a separator may be formed across their border.
    assert_eq!(missed_by_looking_inside, 1_426);
}

#[test]
fn a_separator_at_the_border_is_found_however_long_both_are() {
    for (separator, payload, at) in [
        (&b"aa"[..], &b"xxxa"[..], 3),
        (b"aXa", b"b aX", 2),
        (b"abab", b"ab", 0),
        (b"abab", b"xyab", 2),
        (b";;", b"ends with ;", 10),
        (&b"=".repeat(64), &b"=".repeat(63), 0),
        (&b"=".repeat(64), &[&b"x".repeat(1000)[..], b"="].concat(), 1000),
        (&[&b"=".repeat(32)[..], b"-", &b"=".repeat(31)].concat(), &[&b"="[..], &b"=".repeat(32), b"-"].concat(), 1),
    ] {
        let separator = Separator::new(separator).unwrap();
        assert_eq!(encode(payload, &separator), Err(EncodeError::ContainsSeparator { at }), "{separator:?}");
        assert!(!is_read_back(payload, &separator));
    }
}

#[test]
fn what_only_looks_like_a_separator_is_accepted() {
    for (separator, payload) in [
        (&b"end;"[..], &b"the end, not the end:"[..]),
        (b"aab", b"aaaaaaaaa"),
        (b";;x", b";x;y;"),
        (b"\r\n", b"\n\r"),
        (b"ab", b"bbbaaa"),
    ] {
        let separator = Separator::new(separator).unwrap();
        assert_eq!(encode(payload, &separator).unwrap(), [payload, separator.as_bytes()].concat());
        assert!(is_read_back(payload, &separator), "{separator:?}");
    }
}

#[test]
fn the_goodbye_is_refused_and_words_around_it_are_not() {
    for separator in SEPARATORS {
        let separator = Separator::new(separator).unwrap();
        assert_eq!(encode(GOODBYE, &separator), Err(EncodeError::IsGoodbye));
        for payload in [&b"disconnected"[..], b" disconnect", b"disconnect ", b"Disconnect", b"disconnec"] {
            assert!(encode(payload, &separator).is_ok());
            assert!(is_read_back(payload, &separator));
        }
    }
}

/// What the check of a relay is for: text that, if it were sent, would end somebody else's connection.
#[test]
fn hostile_text_cannot_carry_a_goodbye() {
    let separator = Separator::default();
    let payload = b"bye;disconnect";
    assert_eq!(encode(payload, &separator), Err(EncodeError::ContainsSeparator { at: 3 }));

    let frame = [payload, separator.as_bytes()].concat();
    let mut decoder = Decoder::new(separator, 1024);
    let mut messages = decoder.decode(&frame);
    assert_eq!(messages.next_message(), Ok(Some(&b"bye"[..])));
    assert_eq!(messages.next_message(), Ok(Some(GOODBYE)));
}
