//! A message as a JSON object, with all that is known of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::Message;

/// `{"time":1795897762.603026,"peer":"10.0.0.4:51234","id":3,"size":812,"message":{…}}`, in one line. What is JSON is
/// there as it came, byte for byte; other text is `"text"`, and other bytes are `"base64"`.
pub(super) fn envelope(message: &Message<'_>) -> String {
    let micros = message.received.as_microsecond();
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (peer, id, size) = (quoted(message.peer), message.id, message.payload.len());
    let mut envelope = format!("{{\"time\":{seconds}.{micros:06},\"peer\":{peer},\"id\":{id},\"size\":{size},");
    match (serde_json::from_slice::<&RawValue>(message.payload), std::str::from_utf8(message.payload)) {
        (Ok(json), _) => {
            envelope.push_str("\"message\":");
            envelope.push_str(&in_one_line(json.get()));
        }
        (Err(_), Ok(text)) => {
            envelope.push_str("\"text\":");
            envelope.push_str(&quoted(text));
        }
        (Err(_), Err(_)) => {
            envelope.push_str("\"base64\":\"");
            STANDARD.encode_string(message.payload, &mut envelope);
            envelope.push('"');
        }
    }
    envelope.push('}');
    envelope
}

/// JSON has line ends only between its parts, where a space means the same.
pub(super) fn in_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn of(payload: &[u8]) -> String {
        let received = Timestamp::new(1_795_897_762, 603_026_999).unwrap();
        envelope(&Message { received, peer: "10.0.0.4:51234", id: 3, payload })
    }

    #[test]
    fn json_is_there_as_it_came() {
        let head = r#"{"time":1795897762.603026,"peer":"10.0.0.4:51234","id":3,"size":"#;
        for (payload, body) in [
            (&br#"{"b":1.50,"a":1e400,"b":2}"#[..], r#"26,"message":{"b":1.50,"a":1e400,"b":2}}"#),
            (b" {\n\"a\":\r\n\"x\\n\"}\n", r#"16,"message":{ "a":  "x\n"}}"#),
            (b"42", r#"2,"message":42}"#),
            (b"time_lap", r#"8,"text":"time_lap"}"#),
            (b"", r#"0,"text":""}"#),
            (b"{\"a\":NaN}", r#"9,"text":"{\"a\":NaN}"}"#),
            (b"a\nb", r#"3,"text":"a\nb"}"#),
            (b"\xff\0", r#"2,"base64":"/wA="}"#),
        ] {
            assert_eq!(of(payload), format!("{head}{body}"), "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn no_depth_is_too_much() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(of(&deep).len(), of(b"1").len() - 1 + deep.len() + 5);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_one_line_of_json(payload: Vec<u8>, text: String) {
            for payload in [&payload[..], text.as_bytes()] {
                let line = of(payload);
                prop_assert!(!line.contains(['\n', '\r']));
                let value: Value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(&value["size"], payload.len());
                if let Some(base64) = value["base64"].as_str() {
                    prop_assert_eq!(STANDARD.decode(base64).unwrap(), payload);
                } else if let Some(text) = value["text"].as_str() {
                    prop_assert_eq!(text.as_bytes(), payload);
                }
            }
        }
    }
}
