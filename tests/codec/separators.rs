//! A separator that exists can end every message that is accepted, and the goodbye.

use std::collections::BTreeSet;

use leads_comm::DEFAULT_SEPARATOR;
use leads_comm::codec::{GOODBYE, MAX_SEPARATOR_LEN, Separator, SeparatorError};

use crate::oracle::{Decoded, End, NO_LIMIT, SEPARATORS, split, words};

/// Whether a receiver makes exactly the goodbye of `disconnect ++ separator`.
fn carries_goodbye(separator: &[u8]) -> bool {
    split(&[GOODBYE, separator].concat(), separator, NO_LIMIT)
        == Decoded { messages: vec![GOODBYE.to_vec()], end: End::Remainder(Vec::new()) }
}

#[test]
fn the_words_of_leads() {
    assert_eq!(GOODBYE, b"disconnect");
    assert_eq!(DEFAULT_SEPARATOR, b";");
    assert_eq!(Separator::default().as_bytes(), b";");
    assert_eq!(Separator::default().goodbye(), b"disconnect;");
    assert_eq!(Separator::new("end;").unwrap().goodbye(), b"disconnectend;");
}

#[test]
fn one_to_64_bytes() {
    assert_eq!(MAX_SEPARATOR_LEN, 64);
    assert_eq!(SEPARATORS.map(<[u8]>::len).into_iter().max(), Some(64), "the other tests go to the limit");
    assert_eq!(Separator::new(""), Err(SeparatorError::Empty));
    for len in 1..=64 {
        let separator = Separator::new(b"#".repeat(len)).unwrap();
        assert_eq!((separator.len(), separator.as_bytes()), (len, &b"#".repeat(len)[..]));
    }
    for len in [65, 66, 128, 129, 1000] {
        assert_eq!(Separator::new(b"#".repeat(len)), Err(SeparatorError::TooLong { len }));
    }
}

#[test]
fn every_byte_is_a_separator_but_those_of_the_goodbye() {
    for byte in 0..=u8::MAX {
        let expected = if GOODBYE.contains(&byte) { Err(SeparatorError::CannotCarryGoodbye) } else { Ok(vec![byte]) };
        assert_eq!(Separator::new([byte]).map(|separator| separator.as_bytes().to_vec()), expected);
    }
}

#[test]
fn no_part_of_the_goodbye_is_a_separator() {
    let parts: BTreeSet<&[u8]> =
        (0..GOODBYE.len()).flat_map(|from| (from + 1..=GOODBYE.len()).map(move |to| &GOODBYE[from..to])).collect();
    assert_eq!(parts.len(), 53);
    for part in parts {
        assert_eq!(Separator::new(part), Err(SeparatorError::CannotCarryGoodbye), "{}", part.escape_ascii());
    }
}

/// A separator that begins with an end of the goodbye, and goes on by repeating itself, is formed too early.
#[test]
fn nothing_that_the_goodbye_begins_to_form_is_a_separator() {
    for from in 0..GOODBYE.len() {
        let end = &GOODBYE[from..];
        for len in end.len() + 1..=MAX_SEPARATOR_LEN {
            let mut separator: Vec<u8> = end.iter().copied().cycle().take(len).collect();
            assert!(!carries_goodbye(&separator));
            assert_eq!(Separator::new(&separator), Err(SeparatorError::CannotCarryGoodbye));

            *separator.last_mut().unwrap() = b';';
            assert!(carries_goodbye(&separator));
            assert!(Separator::new(&separator).is_ok(), "{}", separator.escape_ascii());
        }
    }
}

#[test]
fn every_word_of_the_goodbyes_letters() {
    let (mut refused, mut accepted) = (0, 0);
    for word in words(b"disconet;", 1..=4) {
        match Separator::new(&word) {
            Ok(separator) => {
                accepted += 1;
                assert!(carries_goodbye(&word), "{separator:?} is accepted");
                assert_eq!(separator.goodbye(), [GOODBYE, &word].concat());
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error, SeparatorError::CannotCarryGoodbye);
                assert!(!carries_goodbye(&word), "{} is refused", word.escape_ascii());
            }
        }
    }
    println!("D5: bad separators accepted 0 of {refused}, good ones refused 0 of {accepted}");
    assert_eq!(accepted + refused, 9 + 81 + 729 + 6561);
    assert!(refused > 0 && accepted > refused);
}

#[test]
fn what_only_shares_letters_with_the_goodbye_is_a_separator() {
    for separator in ["td", "tt;", "t;", "disconnect;", "connected", "td;t"] {
        assert_eq!(Separator::new(separator).unwrap().as_bytes(), separator.as_bytes());
    }
}

#[test]
fn separators_are_compared_by_their_bytes() {
    for bytes in SEPARATORS {
        let separator = Separator::new(bytes).unwrap();
        assert_eq!(separator, separator.clone());
        assert_eq!(separator.as_ref(), bytes);
        assert_eq!(separator == Separator::default(), bytes == b";");
    }
}
