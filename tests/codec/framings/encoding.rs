//! The three ways to frame a message keep to one rule, and what they make is as the protocol says.

use leads_comm::codec::{EncodeError, Framing, GOODBYE, check, encode, encode_into};

use super::{kinds, payloads, stuffed};

#[test]
fn they_accept_and_refuse_the_same_messages() {
    for kind in kinds() {
        for payload in payloads() {
            let mut buffer = b"before".to_vec();
            let appended = encode_into(&payload, &kind.framing, &mut buffer);
            assert_eq!(appended, check(&payload, &kind.framing));
            match encode(&payload, &kind.framing) {
                Ok(frame) => {
                    assert_eq!(appended, Ok(()));
                    assert_eq!(buffer, [b"before", frame.as_slice()].concat());
                }
                Err(error) => {
                    assert_eq!((&error, &payload[..]), (&EncodeError::IsGoodbye, GOODBYE));
                    assert_eq!((appended, &buffer[..]), (Err(error), &b"before"[..]));
                }
            }
        }
    }
}

/// The test vectors of the protocol.
#[test]
fn a_length_is_four_bytes_with_the_highest_first() {
    let frame = |message: &[u8]| encode(message, &Framing::Length).unwrap();
    assert_eq!(frame(b""), b"\0\0\0\0");
    assert_eq!(frame(b"m1"), b"\0\0\0\x02m1");
    assert_eq!(frame(b"a;b"), b"\0\0\0\x03a;b");
    assert_eq!(frame(b"disconnect "), b"\0\0\0\x0bdisconnect ");
    assert_eq!(frame(&[b'x'; 0x1_0203])[..5], *b"\0\x01\x02\x03x");
    assert_eq!(Framing::Length.goodbye(), b"\0\0\0\x0adisconnect");
}

#[test]
fn bytes_are_stuffed_as_by_the_book() {
    let kind = stuffed();
    for (payload, frame) in [
        (&b""[..], &b"\x01\0"[..]),
        (b"\0", b"\x01\x01\0"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33\0"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01\0"),
    ] {
        assert_eq!(kind.frame(payload), frame);
    }
    assert_eq!(kind.framing.goodbye(), b"\x0bdisconnect\0");
    for payload in payloads() {
        let frame = kind.frame(&payload);
        assert_eq!(frame.iter().position(|byte| *byte == 0), Some(frame.len() - 1));
    }
}
