//! Which messages replace one another: the key functions of the library.

mod oracle;

use leads_comm::key::{self, Key};
use proptest::collection::vec;
use proptest::prelude::*;

fn topic(message: impl AsRef<[u8]>) -> Option<String> {
    let key = key::json_field("topic")(message.as_ref())?;
    Some(String::from_utf8_lossy(key.as_bytes()).into_owned())
}

#[test]
fn the_key_is_the_text_of_the_field() {
    let found = [
        (r#"{"topic":"speed"}"#, "speed"),
        (r#"{"topic":""}"#, ""),
        (r#"{ "t" : 1 , "topic" : "speed" , "v" : [ 1 , { "topic" : 2 } ] }"#, "speed"),
        ("\r\n\t {\n\"topic\"\t:\r\"speed\"\n}", "speed"),
        // As it stands.
        (r#"{"topic":"a\"b\\","v":1}"#, r#"a\"b\\"#),
        (r#"{"topic":"Zo\u00eb"}"#, r"Zo\u00eb"),
        (r#"{"topic":"Zoë; {[,:]}"}"#, "Zoë; {[,:]}"),
        (r#"{"topic":-1.5e+3}"#, "-1.5e+3"),
        (r#"{"topic":0,"v":1}"#, "0"),
        (r#"{"topic":true}"#, "true"),
        (r#"{"topic":null}"#, "null"),
        // As Python writes what is no number.
        (r#"{"topic":NaN}"#, "NaN"),
        (r#"{"topic":-Infinity}"#, "-Infinity"),
        // The first one, of the object itself.
        (r#"{"topic":"first","topic":"second"}"#, "first"),
        (r#"{"v":{"topic":"inner"},"topic":"outer"}"#, "outer"),
        (r#"{"v":["topic","}",{"topic":"in"}],"topic":"out"}"#, "out"),
        (r#"{"v":"\"topic\":1,\\","topic":"x"}"#, "x"),
        (r#"{"":1,"\"topic":2,"topic\\":3,"Topic":4,"topic ":5,"topic":6}"#, "6"),
        // What is behind it is not looked at.
        (r#"{"topic":"speed",and no JSON"#, "speed"),
    ];
    for (message, expected) in found {
        assert_eq!(topic(message).as_deref(), Some(expected), "{message}");
    }
}

#[test]
fn everything_else_is_an_event() {
    let events = [
        "",
        " ",
        "topic",
        "[]",
        "1",
        r#""topic""#,
        r#"["topic","speed"]"#,
        r#"[{"topic":"speed"}]"#,
        "{}",
        "{",
        r#"{"v":1}"#,
        r#"{"v":{"topic":1}}"#,
        // Not a text, not a number.
        r#"{"topic":{"a":1}}"#,
        r#"{"topic":[1]}"#,
        r#"{"topic":[],"topic":"second"}"#,
        // Cut off, and no JSON.
        r#"{"topic":"spe"#,
        r#"{"topic":"speed""#,
        r#"{"topic":12"#,
        r#"{"topic":"#,
        r#"{"topic""#,
        r#"{"topic":"spe\"}"#,
        r#"{"topic":}"#,
        r#"{"topic":,"v":1}"#,
        r#"{"topic" "speed"}"#,
        r#"{"topic":"speed" 1}"#,
        r#"{"topic":"speed"]"#,
        r#"{"topic":1 2}"#,
        r#"{"topic":'speed'}"#,
        r#"{topic:1}"#,
        r#"{,"topic":1}"#,
        r#"{"v":1 "topic":1}"#,
        r#"{"v":[1]],"topic":1}"#,
        r#"{"v":[1,"topic":1}"#,
        r#"{{"topic":1}}"#,
        "\u{feff}{\"topic\":1}",
    ];
    for message in events {
        assert_eq!(topic(message), None, "{message}");
    }
}

#[test]
fn a_field_may_be_called_anything_and_is_found_as_it_is_written() {
    assert_eq!(key::json_field("")(br#"{"a":1,"":2}"#), Some(Key::new("2")));
    assert_eq!(key::json_field("ë")("{\"ë\":2}".as_bytes()), Some(Key::new("2")));
    assert_eq!(key::json_field("ë")(br#"{"\u00eb":2}"#), None);
    assert_eq!(key::json_field(r"\u00eb")(br#"{"\u00eb":2}"#), Some(Key::new("2")));
    assert_eq!(key::json_field("a\"b")(br#"{"a"b":2}"#), None);
    // The function outlives the name.
    let function = key::json_field(&String::from("topic"));
    assert_eq!(function(br#"{"topic":1}"#), Some(Key::new("1")));
}

#[test]
fn a_million_levels_take_no_stack() {
    let levels = 1_000_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let value = open.repeat(levels) + "1" + &close.repeat(levels);
        assert_eq!(topic(format!(r#"{{"v":{value},"topic":"deep"}}"#)).as_deref(), Some("deep"));
        assert_eq!(topic(format!(r#"{{"v":{}"#, open.repeat(levels))), None);
    }
}

/// JSON as a message may have it, with what a scanner could stumble over in its strings.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        strings(),
        any::<i64>().prop_map(|number| number.to_string()),
        prop::sample::select(["true", "null", "-1.5e-7", "0", "NaN", "\"topic\"", "[]", "{}"].as_slice())
            .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            vec((names(), spaces(), inner, spaces()), 0..5).prop_map(|fields| object(&fields)),
        ]
    })
}

fn strings() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &["a", "\\\"", "\\\\", "{", "}", "[", "]", ",", ":", "\\u00eb", "ë", "topic", " "];
    vec(prop::sample::select(PARTS), 0..6).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![Just("\"topic\"".to_owned()), strings()]
}

fn spaces() -> impl Strategy<Value = &'static str> {
    prop::sample::select(["", "", " ", "\n\t", "\r "].as_slice())
}

fn object(fields: &[(String, &str, String, &str)]) -> String {
    let fields =
        fields.iter().map(|(name, before, value, behind)| format!("{before}{name}{behind}:{before}{value}{behind}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn objects() -> impl Strategy<Value = String> {
    vec((names(), spaces(), json(), spaces()), 0..6).prop_map(|fields| object(&fields))
}

fn agree(message: &[u8]) -> Result<(), TestCaseError> {
    let found = key::json_field("topic")(message).map(|key| key.as_bytes().to_vec());
    prop_assert_eq!(found, oracle::field(message, b"topic"), "{}", message.escape_ascii());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_is_found_in_whatever_object(message in objects()) {
        agree(message.as_bytes())?;
    }

    /// Cut off, with bytes taken out and others put in.
    #[test]
    fn it_is_found_or_not_in_whatever_has_become_of_an_object(
        message in objects(), at in any::<prop::sample::Index>(), put in vec(any::<u8>(), 0..3), cut in any::<bool>(),
    ) {
        let at = at.index(message.len());
        let behind = if cut { &[] } else { &message.as_bytes()[at + 1..] };
        agree(&[&message.as_bytes()[..at], &put, behind].concat())?;
    }

    #[test]
    fn nothing_upsets_it(message in vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"{}[]\"\\:, \n".as_slice()),
    ], 0..60)) {
        agree(&message)?;
        agree(&[br#"{"topic":"#, &message[..]].concat())?;
        agree(&[br#"{"v":"#, &message[..], br#","topic":1}"#].concat())?;
    }
}
