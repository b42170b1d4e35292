//! What is asked of a framing of the program's own, and what one has from the decoder.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use leads_comm::codec::{
    CustomFraming, DecodeError, Decoder, EncodeError, Frame, Framing, FramingError, GOODBYE, check, encode,
};

use super::cobs::Cobs;
use super::stuffed;

/// Lines, but for what a test has it do otherwise.
#[derive(Clone)]
struct Lines {
    encode: fn(&[u8], &mut Vec<u8>) -> Result<(), FramingError>,
    decode: Decode,
}

type Decode = fn(&mut [u8], usize) -> Result<Option<Frame>, FramingError>;

const LINES: Lines = Lines {
    encode: |message, frame| {
        if message.contains(&b'\n') {
            return Err(FramingError::new("it has more than one line"));
        }
        frame.extend([message, b"\n"].concat());
        Ok(())
    },
    decode: |bytes, _| {
        let at = bytes.iter().position(|byte| *byte == b'\n');
        Ok(at.map(|at| Frame { payload: 0..at, len: at + 1 }))
    },
};

impl CustomFraming for Lines {
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
        (self.encode)(message, frame)
    }

    fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
        (self.decode)(bytes, seen)
    }
}

#[test]
fn one_that_cannot_carry_the_goodbye_or_an_empty_message_is_refused() {
    let refused = |framing: Lines| Framing::custom(framing).unwrap_err().to_string();
    assert!(Framing::custom(LINES).is_ok());
    let says = |_: &[u8], _: &mut Vec<u8>| Err(FramingError::new("not that"));
    assert_eq!(refused(Lines { encode: says, ..LINES }), "not that");
    let no_empty = |message: &[u8], frame: &mut Vec<u8>| match message {
        b"" => Err(FramingError::new("an empty one cannot be told")),
        _ => (LINES.encode)(message, frame),
    };
    assert_eq!(refused(Lines { encode: no_empty, ..LINES }), "an empty one cannot be told");
    let nothing = |_: &[u8], _: &mut Vec<u8>| Ok(());
    assert!(refused(Lines { encode: nothing, ..LINES }).contains("empty frame"));
    let upper = |message: &[u8], frame: &mut Vec<u8>| (LINES.encode)(&message.to_ascii_uppercase(), frame);
    assert!(refused(Lines { encode: upper, ..LINES }).contains("does not give back"));
    let never = |_: &mut [u8], _| Ok(None);
    assert!(refused(Lines { decode: never, ..LINES }).contains("does not find"));
    let early = |bytes: &mut [u8], _| Ok(Some(Frame { payload: 0..bytes.len() - 1, len: bytes.len() }));
    assert!(refused(Lines { decode: early, ..LINES }).contains("a part of one"));
    let bad = |_: &mut [u8], _| Err(FramingError::new("whatever it is"));
    assert_eq!(refused(Lines { decode: bad, ..LINES }), "whatever it is");
}

#[test]
fn a_message_that_it_does_not_take_is_refused_with_what_it_says() {
    let framing = Framing::custom(LINES).unwrap();
    let said = EncodeError::ByProgram(FramingError::new("it has more than one line"));
    assert_eq!(encode(b"a\nb", &framing), Err(said.clone()));
    assert_eq!(check(b"a\nb", &framing), Err(said));
    assert_eq!(check(GOODBYE, &framing), Err(EncodeError::IsGoodbye), "it is not asked");
    assert_eq!(encode(b"a b", &framing).unwrap(), b"a b\n");
}

#[test]
fn a_frame_is_at_most_twice_its_message_and_64_bytes() {
    let padded = |message: &[u8], frame: &mut Vec<u8>| {
        let spaces = message.strip_prefix(b"pad ").and_then(|len| std::str::from_utf8(len).ok()?.parse().ok());
        frame.extend(b" ".repeat(spaces.unwrap_or(0)));
        (LINES.encode)(message, frame)
    };
    let trim = |bytes: &mut [u8], seen| {
        let frame = (LINES.decode)(bytes, seen)?;
        let spaces = bytes.iter().take_while(|byte| **byte == b' ').count();
        Ok(frame.map(|frame| Frame { payload: spaces..frame.payload.end, ..frame }))
    };
    let framing = Framing::custom(Lines { encode: padded, decode: trim }).unwrap();
    // 6 bytes, and the end of the line: there may be 76.
    let most = encode(b"pad 69", &framing).unwrap();
    assert_eq!(most.len(), 76);
    assert!(
        matches!(encode(b"pad 70", &framing), Err(EncodeError::ByProgram(error)) if error.to_string().contains("77"))
    );
    let mut decoder = Decoder::new(framing.clone(), 6);
    assert_eq!(decoder.decode(&most).next_message(), Ok(Some(&b"pad 69"[..])));
    // Of a peer that does otherwise.
    let longer = [b" ", &most[..]].concat();
    assert_eq!(decoder.decode(&longer).next_message(), Err(DecodeError::MessageTooLong { limit: 6 }));
}

thread_local! {
    /// What a framing does that is sound at first.
    static DECODE: Cell<Option<Decode>> = const { Cell::new(None) };
}

#[test]
fn a_frame_that_is_not_there_is_an_error_and_no_panic() {
    let defects: [Decode; 5] = [
        |bytes: &mut [u8], _| Ok(Some(Frame { payload: 0..0, len: bytes.len() + 1 })),
        |_: &mut [u8], _| Ok(Some(Frame { payload: 0..0, len: 0 })),
        |_: &mut [u8], _| Ok(Some(Frame { payload: 0..2, len: 1 })),
        #[expect(clippy::reversed_empty_ranges, reason = "it is the defect")]
        |bytes: &mut [u8], _| Ok(Some(Frame { payload: 2..1, len: bytes.len() })),
        |bytes: &mut [u8], _| Ok(Some(Frame { payload: usize::MAX..usize::MAX, len: bytes.len() })),
    ];
    for decode in defects {
        // It begins to do so when it has been looked at.
        DECODE.set(None);
        let framing =
            Framing::custom(Lines { decode: |bytes, seen| DECODE.get().unwrap_or(LINES.decode)(bytes, seen), ..LINES });
        DECODE.set(Some(decode));
        let mut decoder = Decoder::new(framing.unwrap(), 1024);
        let error = decoder.decode(b"one\ntwo\n").next_message().unwrap_err();
        assert!(matches!(&error, DecodeError::Malformed(error) if error.to_string().contains("not there")), "{error}");
        assert_eq!(decoder.next_message(), Err(error));
    }
}

#[test]
fn what_it_says_against_bytes_is_told() {
    let mut decoder = Decoder::new(stuffed().framing, 1024);
    let mut messages = decoder.decode(b"\x02a\0\x09b\0\x02c\0");
    assert_eq!(messages.next_message(), Ok(Some(&b"a"[..])));
    let error = messages.next_message().unwrap_err();
    assert_eq!(error, DecodeError::Malformed(FramingError::new("a run of bytes goes on behind its frame")));
    assert_eq!(messages.next_message(), Err(error), "nothing is read behind it");
}

/// It is asked when something has come, and told what it has seen before.
#[test]
fn it_is_asked_for_no_more_than_it_has_to_look_at() {
    type Asked = Arc<Mutex<Vec<(usize, usize)>>>;
    struct Noted(Asked);
    impl CustomFraming for Noted {
        fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
            Cobs.encode(message, frame)
        }

        fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
            self.0.lock().unwrap().push((bytes.len(), seen));
            Cobs.decode(bytes, seen)
        }
    }
    let asked = Asked::default();
    let mut decoder = Decoder::new(Framing::custom(Noted(Arc::clone(&asked))).unwrap(), 1 << 20);
    asked.lock().unwrap().clear();
    let mut feed = |chunk: &[u8]| {
        let (mut messages, mut count) = (decoder.decode(chunk), 0);
        while messages.next_message().unwrap().is_some() {
            count += 1;
        }
        drop(messages);
        assert_eq!(decoder.next_message(), Ok(None));
        (count, std::mem::take(&mut *asked.lock().unwrap()))
    };
    assert_eq!(feed(b""), (0, vec![]));
    assert_eq!(feed(b"\x04a"), (0, vec![(2, 0)]));
    assert_eq!(feed(b"b"), (0, vec![(3, 2)]));
    assert_eq!(feed(b""), (0, vec![]));
    assert_eq!(feed(b"c\0\x02d"), (1, vec![(7, 3), (2, 0)]));
    assert_eq!(feed(b"\0"), (1, vec![(3, 2)]));

    // So all of it is linear: each byte is new once.
    let stuffed = stuffed();
    let stream = [stuffed.frame(&b"x".repeat(1 << 16)), stuffed.frame(b"short").repeat(1000)].concat();
    let mut looked_at = 0;
    for chunk in stream.chunks(7) {
        looked_at += feed(chunk).1.into_iter().map(|(len, seen)| len - seen).sum::<usize>();
    }
    assert!(looked_at <= 3 * stream.len(), "{looked_at} of {}", stream.len());
}
