//! The codec's errors: facts, one clause of text, and no contents.

use std::error::Error;
use std::fmt::Debug;

use leads_comm::codec::{DecodeError, Decoder, EncodeError, FramingError, Separator, SeparatorError};

use crate::oracle::encode;

/// Checks what all of them have in common, and that the text states `facts`.
fn check<E: Error + Debug + Clone + PartialEq + Send + Sync + 'static>(error: E, facts: &[&str]) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'));
    assert!(text.chars().next().unwrap().is_lowercase(), "{text:?} does not fit into a sentence");
    assert!(!text.ends_with('.'), "{text:?} does not fit into a sentence");
    for fact in facts {
        assert!(text.contains(fact), "{text:?} does not state {fact:?}");
    }
    assert!(!format!("{error:?}").is_empty());
    assert!(error.source().is_none(), "there is nothing beneath the codec");
    assert_eq!(error.clone(), error);
}

#[test]
fn separator_errors() {
    check(Separator::new("").unwrap_err(), &["at least one byte"]);
    check(Separator::new([b'#'; 65]).unwrap_err(), &["65 bytes", "64"]);
    check(Separator::new("nec").unwrap_err(), &["`disconnect`"]);
    assert_eq!(format!("{:?}", SeparatorError::TooLong { len: 65 }), "TooLong { len: 65 }");
}

#[test]
fn encode_errors() {
    let separator = Separator::default();
    check(encode(b"bye;disconnect", &separator).unwrap_err(), &["separator", "byte 3"]);
    check(encode(b"disconnect", &separator).unwrap_err(), &["`disconnect`"]);
    assert_eq!(format!("{:?}", EncodeError::ContainsSeparator { at: 3 }), "ContainsSeparator { at: 3 }");
}

#[test]
fn message_too_long() {
    let mut decoder = Decoder::new(Separator::default(), 1000);
    let error = decoder.decode(&[b'x'; 2000]).next_message().unwrap_err();
    assert_eq!(error, DecodeError::MessageTooLong { limit: 1000 });
    check(error, &["1000 bytes"]);
}

#[test]
fn what_a_framing_of_the_programs_own_says_is_beneath() {
    let said = FramingError::new("it is odd\nin more words");
    check(said.clone(), &["it is odd"]);
    assert_eq!(said.to_string(), "it is odd");
    for error in [&DecodeError::Malformed(said.clone()) as &dyn Error, &EncodeError::ByProgram(said.clone())] {
        let source = error.source().unwrap();
        assert_eq!(source.downcast_ref::<FramingError>(), Some(&said));
        assert!(!error.to_string().contains("odd"), "it would be said twice");
    }
    check(EncodeError::TooLong { len: usize::MAX }, &[&usize::MAX.to_string(), "4 bytes"]);
}

#[test]
fn a_separator_is_shown_readably() {
    assert_eq!(format!("{:?}", Separator::new("end;").unwrap()), r#"Separator("end;")"#);
    let shown = format!("{:?}", Separator::new(b"\r\n\xff").unwrap());
    assert!(shown.is_ascii() && shown.contains("xff"), "{shown}");
}
