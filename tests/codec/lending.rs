//! Messages are lent, not copied, wherever they lie in one piece.

use leads_comm::codec::{Decoder, Separator};

use crate::oracle::{SEPARATORS, lies_in};

#[test]
fn a_message_that_lies_in_the_chunk_is_lent_from_the_chunk() {
    for bytes in SEPARATORS {
        let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), 1024);
        let chunk = [b"one", bytes, bytes, b"three", bytes].concat();
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
}

#[test]
fn only_the_message_that_two_chunks_share_is_copied() {
    for bytes in SEPARATORS {
        let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), 1024);
        for cut in 0..=bytes.len() {
            let (left, right) =
                ([b"beg", &bytes[..cut]].concat(), [&bytes[cut..], b"two", bytes, b"three", bytes].concat());
            let whole_on_the_left = cut == bytes.len();
            let mut received = Vec::new();
            for chunk in [&left, &right] {
                let mut messages = decoder.decode(chunk);
                while let Some(message) = messages.next_message().unwrap() {
                    assert_eq!(lies_in(message, chunk), message != b"beg" || whole_on_the_left);
                    received.push(message.to_vec());
                }
            }
            assert_eq!(received, [&b"beg"[..], b"two", b"three"]);
            assert_eq!(decoder.remainder(), b"", "no more than that message was copied");
        }
        assert!(decoder.capacity() <= 2 * (3 + bytes.len()));
    }
}

#[test]
fn a_message_is_lent_from_where_it_was_read_to() {
    let mut decoder = Decoder::new(Separator::default(), 1024);
    let space = decoder.space(100);
    space[..10].copy_from_slice(b"one;two;th");
    let place = space.as_ptr_range();
    decoder.filled(10);
    for (expected, offset) in [(b"one", 0), (b"two", 4)] {
        let message = decoder.next_message().unwrap().unwrap();
        assert_eq!(message, expected);
        assert_eq!(message.as_ptr_range().start, place.start.wrapping_add(offset));
    }
    assert_eq!(decoder.remainder().as_ptr_range().start, place.start.wrapping_add(8));
}
