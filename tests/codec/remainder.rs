//! What no separator has followed yet is kept, can be asked for and dropped, and is never a message.

use leads_comm::codec::{Decoder, Separator};

use crate::oracle::{SEPARATORS, WAYS, feed};

#[test]
fn it_is_every_byte_since_the_last_separator_and_never_delivered() {
    for bytes in SEPARATORS {
        let stream = [b"one", bytes, b"two", &bytes[..bytes.len() - 1]].concat();
        for way in WAYS {
            let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), 1024);
            let mut messages = Vec::new();
            for chunk in stream.chunks(1) {
                feed(&mut decoder, chunk, way, &mut messages).unwrap();
            }
            while let Some(message) = decoder.next_message().unwrap() {
                messages.push(message.to_vec());
            }
            assert_eq!(messages, [b"one"]);
            let remainder = &stream[3 + bytes.len()..];
            assert_eq!(decoder.remainder(), remainder);
            assert_eq!(decoder.drop_remainder(), remainder.len());
        }
    }
}

#[test]
fn dropping_it_forgets_it_altogether() {
    for bytes in SEPARATORS {
        let (beginning, last) = bytes.split_at(bytes.len() - 1);
        for way in WAYS {
            let mut decoder = Decoder::new(Separator::new(bytes).unwrap(), 1024);
            let mut messages = Vec::new();
            // All but the last byte of a separator, behind a message longer than what comes next.
            feed(&mut decoder, &[b"long enough to be searched", beginning].concat(), way, &mut messages).unwrap();
            assert_eq!(decoder.drop_remainder(), 26 + beginning.len());
            assert_eq!(decoder.remainder(), b"");
            assert_eq!((decoder.drop_remainder(), decoder.capacity()), (0, 0));

            // That last byte completes nothing now, unless it is a whole separator.
            let stream = [last, b"x", bytes, b"y", bytes].concat();
            feed(&mut decoder, &stream, way, &mut messages).unwrap();
            while let Some(message) = decoder.next_message().unwrap() {
                messages.push(message.to_vec());
            }
            let first =
                if beginning.is_empty() { vec![b"".to_vec(), b"x".to_vec()] } else { vec![[last, b"x"].concat()] };
            assert_eq!(messages, [first, vec![b"y".to_vec()]].concat());
        }
    }
}

#[test]
fn messages_left_in_an_iterator_are_part_of_it() {
    let mut decoder = Decoder::new(Separator::default(), 1024);
    {
        let mut messages = decoder.decode(b"a;b;c;d");
        assert_eq!(messages.next_message(), Ok(Some(&b"a"[..])));
    }
    assert_eq!(decoder.remainder(), b"b;c;d");
    assert_eq!(decoder.next_message(), Ok(Some(&b"b"[..])));
    {
        let mut messages = decoder.decode(b"e;");
        assert_eq!(messages.next_message(), Ok(Some(&b"c"[..])));
        assert_eq!(messages.next_message(), Ok(Some(&b"de"[..])));
        assert_eq!(messages.next_message(), Ok(None));
        assert_eq!(messages.next_message(), Ok(None));
    }
    assert_eq!(decoder.remainder(), b"");
}

#[test]
fn nothing_filled_is_nothing_received() {
    let mut decoder = Decoder::new(Separator::default(), 1024);
    assert!(decoder.space(0).is_empty());
    decoder.filled(0);
    assert_eq!(decoder.space(100).len(), 100);
    decoder.filled(0);
    assert_eq!(decoder.remainder(), b"");
    assert_eq!(decoder.next_message(), Ok(None));
    // Asked for again without having been filled: the room is the same, not more of it.
    for _ in 0..100 {
        decoder.space(100);
    }
    assert!(decoder.capacity() <= 200);
}

#[test]
#[should_panic(expected = "space")]
fn more_cannot_be_filled_than_there_was_space_for() {
    let mut decoder = Decoder::new(Separator::default(), 1024);
    decoder.space(4);
    decoder.filled(5);
}
