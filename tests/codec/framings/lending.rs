//! Messages are lent, not copied, wherever they lie in one piece.

use leads_comm::codec::{Decoder, Framing};

use super::{by_length, kinds};
use crate::oracle::lies_in;

#[test]
fn a_message_that_lies_in_the_chunk_is_lent_from_the_chunk() {
    let kind = by_length();
    let mut decoder = Decoder::new(Framing::Length, 1024);
    let chunk = [kind.frame(b"one"), kind.frame(b""), kind.frame(b"three")].concat();
    let mut messages = decoder.decode(&chunk);
    for expected in [&b"one"[..], b"", b"three"] {
        let message = messages.next_message().unwrap().unwrap();
        assert_eq!(message, expected);
        assert!(lies_in(message, &chunk));
    }
    assert_eq!(messages.next_message(), Ok(None));
    drop(messages);
    assert_eq!(decoder.capacity(), 0, "nothing was left to be kept");
}

#[test]
fn only_the_message_that_two_chunks_share_is_copied() {
    let kind = by_length();
    let beginning = kind.frame(b"beginning");
    for cut in 0..=beginning.len() {
        let mut decoder = Decoder::new(Framing::Length, 1024);
        let (left, right) = beginning.split_at(cut);
        let right = [right, &kind.frame(b"two"), &kind.frame(b"three")].concat();
        let is_whole = cut == 0 || cut == beginning.len();
        let mut received = Vec::new();
        for chunk in [left, &right] {
            let mut messages = decoder.decode(chunk);
            while let Some(message) = messages.next_message().unwrap() {
                assert_eq!(lies_in(message, chunk), message != b"beginning" || is_whole, "cut at {cut}");
                received.push(message.to_vec());
            }
        }
        assert_eq!(received, [&b"beginning"[..], b"two", b"three"]);
        assert_eq!(decoder.remainder(), b"", "no more than that message was copied");
        assert!(decoder.capacity() <= 2 * beginning.len(), "{}", decoder.capacity());
    }
}

#[test]
fn a_message_is_lent_from_where_it_was_read_to() {
    for kind in kinds() {
        let stream = [kind.frame(b"one"), kind.frame(b"two"), kind.frame(b"three")[..3].to_vec()].concat();
        let mut decoder = Decoder::new(kind.framing.clone(), 1024);
        let space = decoder.space(100);
        space[..stream.len()].copy_from_slice(&stream);
        let place = space.as_ptr_range();
        decoder.filled(stream.len());
        for expected in [b"one", b"two"] {
            let message = decoder.next_message().unwrap().unwrap();
            assert_eq!(message, expected);
            let lent = message.as_ptr_range();
            assert!(place.start <= lent.start && lent.end <= place.end, "{kind:?}");
        }
        assert_eq!(decoder.next_message(), Ok(None));
        assert_eq!(decoder.remainder(), &stream[stream.len() - 3..]);
    }
}
