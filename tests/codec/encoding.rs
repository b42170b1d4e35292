//! The three ways to frame a message keep to one rule.

use leads_comm::codec::{EncodeError, GOODBYE, Separator};

use crate::oracle::{SEPARATORS, check, encode, encode_into, words};

#[test]
fn they_accept_and_refuse_the_same_messages() {
    for separator in SEPARATORS.map(<[u8]>::to_vec).into_iter().chain(words(b"ab", 1..=4)) {
        let separator = Separator::new(separator).unwrap();
        let payloads = words(b"ab;", 0..=5).into_iter().chain([GOODBYE.to_vec(), b"x".repeat(1000)]);
        for payload in payloads {
            let mut buffer = b"before".to_vec();
            let appended = encode_into(&payload, &separator, &mut buffer);
            assert_eq!(appended, check(&payload, &separator));
            match encode(&payload, &separator) {
                Ok(frame) => {
                    assert_eq!(appended, Ok(()));
                    assert_eq!(buffer, [b"before", frame.as_slice()].concat());
                }
                Err(error) => {
                    assert_eq!(appended, Err(error));
                    assert_eq!(buffer, b"before", "{payload:?} is refused, and leaves something behind");
                }
            }
        }
    }
}

#[test]
fn a_message_can_be_checked_without_being_copied() {
    let separator = Separator::new("aa").unwrap();
    assert_eq!(check(b"b", &separator), Ok(()));
    assert_eq!(check(b"ba", &separator), Err(EncodeError::ContainsSeparator { at: 1 }));
    assert_eq!(check(GOODBYE, &separator), Err(EncodeError::IsGoodbye));
}
