//! A message is accepted if and only if the decoder gives it back as this one message, in front of any other.
//!
//! Input: a separator, counted; another message, counted; then the message.
#![no_main]

use leads_comm::codec::{Decoder, EncodeError, Framing, check, encode, encode_into};
use leads_comm_fuzz::{Input, first_match};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let Some(separator) = input.separator() else { return };
    let framing = Framing::from(separator.clone());
    let next = input.counted();
    let message = input.rest();

    let frame = [message, separator.as_bytes()].concat();
    let at = first_match(&frame, separator.as_bytes()).expect("it ends with one");
    let expected = if message == b"disconnect" {
        Err(EncodeError::IsGoodbye)
    } else if at < message.len() {
        Err(EncodeError::ContainsSeparator { at })
    } else {
        Ok(frame.clone())
    };
    assert_eq!(encode(message, &framing), expected);
    assert_eq!(check(message, &framing), expected.clone().map(drop));

    let mut stream = b"kept".to_vec();
    assert_eq!(encode_into(message, &framing, &mut stream), expected.clone().map(drop));
    assert_eq!(stream, [b"kept", &*expected.clone().unwrap_or_default()].concat());

    let mut decoder = Decoder::new(framing.clone(), message.len().max(next.len()));
    let mut given_back = Vec::new();
    let mut messages = decoder.decode(&frame);
    while let Ok(Some(message)) = messages.next_message() {
        given_back.push(message.to_vec());
    }
    drop(messages);
    let is_given_back = given_back == [message] && decoder.remainder().is_empty() && message != b"disconnect";
    assert_eq!(is_given_back, expected.is_ok());

    if let (Ok(mut frames), Ok(next_frame)) = (expected, encode(next, &framing)) {
        frames.extend(next_frame);
        let mut messages = decoder.decode(&frames);
        assert_eq!(messages.next_message(), Ok(Some(message)));
        assert_eq!(messages.next_message(), Ok(Some(next)));
        assert_eq!(messages.next_message(), Ok(None));
    }
});
