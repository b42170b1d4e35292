//! The numbers in a message that is a JSON object.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// How many numbers of one message have topics of their own at most: the first ones by their names.
pub(crate) const MOST: usize = 256;

/// How long the name of such a field may be, in bytes: that of its topic has an end.
const MAX_NAME_LEN: usize = 1024;

/// The numbers that are fields of the object itself, and not deeper in it, by their names and as they are written. None
/// where the message is no JSON object.
pub(crate) fn numbers(message: &[u8]) -> Vec<(String, &str)> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(message).unwrap_or_default();
    let all = fields.into_iter().map(|(name, value)| (name, value.get()));
    // Nothing else in JSON begins so.
    let is_number = |value: &str| value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    all.filter(|(name, value)| is_number(value) && name.len() <= MAX_NAME_LEN).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(message: &str) -> Vec<String> {
        numbers(message.as_bytes()).into_iter().map(|(name, number)| format!("{name}={number}")).collect()
    }

    #[test]
    fn numbers_of_the_object_itself_are_found_as_they_are_written() {
        let message =
            r#" { "speed" : 38.50, "gear":-1,"on":true,"name":"7","gps":{"lat":1},"cells":[1,{"a":"]"}],"t":1e3 } "#;
        assert_eq!(found(message), ["gear=-1", "speed=38.50", "t=1e3"]);
        assert_eq!(found(r#"{"a\"b": 1, "é": 2}"#), ["a\"b=1", "é=2"]);
        assert_eq!(found(&format!(r#"{{"{}": 1}}"#, "x".repeat(MAX_NAME_LEN + 1))), [""; 0]);
    }

    #[test]
    fn what_is_no_object_has_none() {
        for message in
            ["", "38.5", "[1]", "speed:38.5", "{}", "{", r#"{"a":1"#, r#"{"a":1;"b":2}"#, r#"{"a":1}{"b":2}"#]
        {
            assert_eq!(found(message), [""; 0], "{message}");
        }
    }

    #[test]
    fn no_more_than_so_many_are_taken() {
        let fields: Vec<String> = (0..MOST + 10).map(|number| format!("\"f{number}\":{number}")).collect();
        assert_eq!(found(&format!("{{{}}}", fields.join(","))).len(), MOST);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            numbers(&bytes);
            bytes.insert(0, b'{');
            numbers(&bytes);
        }
    }
}
