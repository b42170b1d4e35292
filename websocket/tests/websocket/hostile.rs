//! Peers that mean no good, or know no better.

use std::io::IoSlice;
use std::sync::atomic::Ordering;

use leads_comm::transport::{self, Stream, memory};
use leads_comm_websocket::{Error, Settings, WebSocketStream};

use crate::frames::{
    BINARY, CLOSE, PING, PONG, TEXT, blocked, given, head, line, masked, message, read_to_end, scripted, write,
};
use crate::support::in_time;
use crate::support::seed::Seed;

fn reported(error: &std::io::Error) -> Error {
    transport::reported(error).and_then(|error| error.downcast_ref::<Error>()).expect("an error of this crate").clone()
}

#[test]
fn messages_arrive_however_they_are_cut() {
    let (texts, expected) = ([&b"{}"[..], b"", b"disconnect?"], [&b"{}"[..], b"", b"xyz", b"disconnect?"]);
    let bytes = [
        masked(TEXT, texts[0]),
        masked(BINARY, texts[1]),
        masked(0x02, b"x"),
        masked(PING, b"?"),
        masked(0x00, b"y"),
        masked(0x80, b"z"),
        masked(BINARY, texts[2]),
        masked(CLOSE, &1000_u16.to_be_bytes()),
    ]
    .concat();
    let expected: Vec<u8> =
        expected.iter().flat_map(|payload| message(payload)).chain(message(b"disconnect")).collect();
    let mut cuts: Vec<Vec<Vec<u8>>> =
        (1..bytes.len()).map(|len| bytes.chunks(len).map(<[u8]>::to_vec).collect()).collect();
    cuts.extend((1..bytes.len()).map(|at| vec![bytes[..at].to_vec(), bytes[at..].to_vec()]));
    for chunks in cuts {
        let (stream, written) = scripted(chunks.clone());
        let (all, error) = read_to_end(&stream);
        assert!(error.is_none() && all == expected, "{chunks:?}: {}", all.escape_ascii());
        assert_eq!(*written.lock().unwrap(), [PONG, 1, b'?'], "{chunks:?}");
    }
}

/// The peer has to go on with what it has begun, within the time for that.
#[test]
fn a_message_that_is_not_whole_is_known_to_be_one() {
    for (what, bytes, holds) in [
        ("nothing", vec![], false),
        ("half a head", masked(BINARY, b"x")[..1].to_vec(), true),
        ("half a mask", masked(BINARY, b"x")[..4].to_vec(), true),
        ("half a payload", masked(BINARY, b"xyz")[..7].to_vec(), true),
        ("a part of several", masked(0x02, b"x"), true),
        ("one and a ping", [masked(0x02, b"x"), masked(PING, b"")].concat(), true),
        ("a message", masked(BINARY, b"x"), false),
        ("several parts", [masked(0x02, b"x"), masked(0x80, b"y")].concat(), false),
        ("a message and half a ping", [masked(BINARY, b"x"), masked(PING, b"")[..3].to_vec()].concat(), true),
        ("a Close, and more", [masked(CLOSE, b""), vec![BINARY]].concat(), false),
    ] {
        let (stream, _) = scripted(vec![bytes]);
        let _ = stream.read_once(&mut [0; 100]);
        assert_eq!(stream.holds_part(), holds, "{what}");
    }
}

#[test]
fn what_is_no_websocket_ends_it_with_a_reason() {
    let limited = Settings::new().max_received_len(1000);
    let long = |first, len| [head(first, 0x80, len), vec![0; 4]].concat();
    for (what, bytes, code) in [
        ("a frame without a mask", [head(BINARY, 0, 1), b"x".to_vec()].concat(), 1002),
        ("the first reserved bit", masked(0xc2, b"x"), 1002),
        ("the second", masked(0xa2, b"x"), 1002),
        ("the third", masked(0x92, b"x"), 1002),
        ("an unknown kind", masked(0x83, b"x"), 1002),
        ("an unknown control", masked(0x8b, b"x"), 1002),
        ("a ping in two parts", masked(0x09, b"x"), 1002),
        ("a long ping", masked(PING, &[0; 126]), 1002),
        ("the rest of nothing", masked(0x80, b"x"), 1002),
        ("a message within another", [masked(0x02, b"x"), masked(BINARY, b"y")].concat(), 1002),
        ("a Close of one byte", masked(CLOSE, b"x"), 1002),
        ("text that is none", masked(TEXT, b"\xff"), 1007),
        ("text that ends within a character", masked(TEXT, "ü".as_bytes().split_last().unwrap().1), 1007),
        ("text that is none, in parts", [masked(0x01, b"\xc3"), masked(0x80, b"\xc3")].concat(), 1007),
        ("a byte too many", masked(BINARY, &[0; 1001]), 1009),
        ("a byte too many, in parts", [masked(0x02, &[0; 1000]), masked(0x80, b"x")].concat(), 1009),
        ("2^63 bytes", long(BINARY, 1 << 63), 1009),
        ("2^64 - 1 bytes", long(BINARY, u64::MAX), 1009),
        ("4 GiB", long(BINARY, 1 << 32), 1009),
        ("a ping of 2^40 bytes", long(PING, 1 << 40), 1009),
    ] {
        let valid = masked(BINARY, b"before");
        let (all, error, answered) = given(&limited, &[valid, bytes].concat());
        assert_eq!(all, message(b"before"), "{what}");
        let error = error.unwrap_or_else(|| panic!("{what}: a regular end"));
        match (code, reported(&error)) {
            (1009, Error::TooLong { limit: 1000 }) | (1002 | 1007, Error::Malformed { .. }) => {}
            (_, error) => panic!("{what}: {error:?}"),
        }
        let close = [&[CLOSE, 2][..], &u16::to_be_bytes(code)].concat();
        assert!(answered == close, "{what}: {} instead of {code}", answered.escape_ascii());
    }
}

/// And nothing that it goes on to send comes in between: the line ends behind the Close, not with the stream.
#[test]
fn what_was_wrong_is_told_wherever_it_stood() {
    let (valid, wrong) = (masked(BINARY, b"before"), masked(0x83, b"x"));
    let both = [&valid[..], &wrong].concat();
    for (what, rest, sent) in [
        ("by itself", vec![], wrong.clone()),
        ("behind a message", vec![], both.clone()),
        ("with the request", wrong, vec![]),
        ("with the request, behind a message", both, vec![]),
    ] {
        let (below, peer) = memory::pair();
        let stream = WebSocketStream::upgraded(Box::new(below), &rest, &Settings::new());
        in_time(what, move || {
            write(&peer, &sent);
            let (_, error) = read_to_end(&stream);
            assert!(matches!(reported(&error.expect("a regular end")), Error::Malformed { .. }), "{what}");
            let (answer, error) = read_to_end(&peer);
            assert_eq!((&answer[..], error.is_none()), (&[CLOSE, 2, 0x03, 0xea][..], true), "{what}");
        });
    }
}

#[test]
fn a_ping_that_comes_with_the_request_is_answered_at_once() {
    let (below, peer) = memory::pair();
    let _stream = WebSocketStream::upgraded(Box::new(below), &masked(PING, b"p"), &Settings::new());
    in_time("a pong", move || {
        let mut answer = [0; 3];
        let count = peer.read(&mut answer).unwrap();
        assert_eq!(answer[..count], [PONG, 1, b'p']);
    });
}

#[test]
fn a_stream_that_is_cut_off_is_no_regular_end() {
    for bytes in
        [vec![], masked(BINARY, b"whole"), vec![BINARY], masked(0x02, b"a part"), masked(CLOSE, b"")[..3].to_vec()]
    {
        let (_, error, answered) = given(&Settings::new(), &bytes);
        let error = error.expect("a regular end");
        assert_eq!((error.kind(), reported(&error)), (std::io::ErrorKind::UnexpectedEof, Error::CutOff));
        assert!(answered.is_empty());
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let seed = Seed::new();
    for part in 0..2000 {
        let mut random = seed.random(part);
        let mut bytes: Vec<u8> = (0..random.within(0..=199)).map(|_| random.number() as u8).collect();
        if part % 2 == 0 {
            // Right until something about it is changed.
            bytes =
                [masked(TEXT, b"{\"a\":1}"), masked(0x02, &bytes), masked(PING, b"p"), masked(0x80, b"end")].concat();
            let at = random.within(0..=bytes.len() - 1);
            bytes[at] = random.number() as u8;
        }
        let (all, error, _) = given(&Settings::new().max_received_len(4096), &bytes);
        assert!(error.is_some() || all.ends_with(b"disconnect"), "{}", bytes.escape_ascii());
    }
}

#[test]
fn pings_are_answered_at_once_and_cost_nothing() {
    let (stream, peer) = line(&Settings::new());
    in_time("many pings", move || {
        let reader = std::thread::spawn(move || read_to_end(&stream));
        write(&*peer, &masked(PING, b"are you there?"));
        let mut answer = [0; 16];
        let mut got = 0;
        while got < answer.len() {
            got += peer.read(&mut answer[got..]).unwrap();
        }
        assert_eq!(answer, [&[PONG, 14][..], b"are you there?"].concat()[..], "also when nothing else is sent");
        // Nobody reads the answers; all the same, every ping is taken.
        let ping = masked(PING, &[b'x'; 125]);
        for _ in 0..50_000 {
            write(&*peer, &ping);
        }
        write(&*peer, &masked(BINARY, b"still here"));
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let (all, _) = reader.join().unwrap();
        assert_eq!(all, message(b"still here"));
        let (pongs, _) = read_to_end(&*peer);
        assert!(pongs.len() < 50_000 * 127 / 2, "{} bytes of pongs are kept for a peer that reads none", pongs.len());
    });
}

/// A pong, and a Close of the reader's, come between two messages, also where one is cut anywhere.
#[test]
fn what_the_reader_says_never_falls_into_a_message() {
    let sent = message(&[b'm'; 300]);
    let frame = [&[BINARY, 126, 1, 44][..], &[b'm'; 300]].concat();
    for at in 0..sent.len() {
        let (stream, peer) = line(&Settings::new());
        let (first, second) = (sent[..at].to_vec(), sent[at..].to_vec());
        let all = in_time("writing in two parts", move || {
            write_up(&stream, &first);
            write(&*peer, &masked(PING, b"?"));
            let _ = stream.read_once(&mut [0; 100]);
            write_up(&stream, &second);
            drop(stream);
            read_to_end(&*peer).0
        });
        let pong = [&[PONG, 1][..], b"?"].concat();
        let right = [[&frame[..], &pong].concat(), [&pong[..], &frame].concat()];
        assert!(right.contains(&all), "cut at {at}: {}", all.escape_ascii());
    }
}

/// What the library writes, with the flush that it makes behind each write.
fn write_up(stream: &dyn Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = stream.try_write_vectored(&[IoSlice::new(bytes)]).unwrap();
        stream.try_flush().unwrap();
        bytes = &bytes[count..];
    }
}

#[test]
fn what_is_written_arrives_however_it_is_cut() {
    let long = vec![b'y'; 70_000];
    let payloads = [&b"{1}"[..], b"", b"x", b"0123456789", b"disconnecT", b"[]", &long];
    let sent: Vec<u8> = payloads.iter().flat_map(|payload| message(payload)).chain(message(b"disconnect")).collect();
    let mut expected = Vec::new();
    for payload in payloads {
        let is_text = matches!(payload.first(), Some(b'{' | b'['));
        expected.extend(head(if is_text { TEXT } else { BINARY }, 0, payload.len() as u64));
        expected.extend(payload);
    }
    expected.extend([CLOSE, 2, 3, 0xe8]);
    for cut in (1..60).chain([4095, 4096, 33_000, sent.len()]) {
        let (stream, peer) = line(&Settings::new());
        let sent = sent.clone();
        let all = in_time("writing in parts", move || {
            let reader = std::thread::spawn(move || read_to_end(&*peer).0);
            for part in sent.chunks(cut) {
                // In several buffers, of which some are empty.
                let (first, second) = part.split_at(part.len() / 2);
                let mut taken = 0;
                while taken < part.len() {
                    let buffers = [first, &[], second].map(|buffer| buffer);
                    let mut left: Vec<_> = buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
                    let mut left = &mut left[..];
                    IoSlice::advance_slices(&mut left, taken);
                    taken += stream.write_vectored(left).unwrap();
                    stream.flush().unwrap();
                }
            }
            assert!(stream.write_vectored(&[IoSlice::new(b"\0\0\0\x01x")]).is_err(), "nothing comes behind Close");
            drop(stream);
            reader.join().unwrap()
        });
        assert!(all == expected, "{cut} at a time: {} bytes", all.len());
    }
}

/// What is not begun can still be dropped by its sender, or replaced.
#[test]
fn of_a_line_that_is_full_only_the_rest_of_a_frame_is_held() {
    const LEN: usize = 50;
    let (frame, number) = ([&[BINARY, LEN as u8][..], &[b'm'; LEN]].concat(), 100);
    let sent = message(&[b'm'; LEN]).repeat(number);
    for room in 1..4 * frame.len() {
        let (stream, written, takes) = blocked();
        let nothing = stream.try_write_vectored(&[IoSlice::new(&sent)]);
        assert_eq!(nothing.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        takes.store(room, Ordering::Relaxed);
        let taken = stream.try_write_vectored(&[IoSlice::new(&sent)]).unwrap();
        let begun = room.div_ceil(frame.len());
        assert_eq!(taken, begun * (4 + LEN), "with room for {room} bytes");
        assert_eq!(stream.try_flush().is_ok(), room % frame.len() == 0, "with room for {room} bytes");
        takes.store(usize::MAX, Ordering::Relaxed);
        stream.try_flush().unwrap();
        write_up(&stream, &sent[taken..]);
        assert!(*written.lock().unwrap() == frame.repeat(number), "with room for {room} bytes");
    }
}

#[test]
fn nothing_comes_behind_a_close_however_much_is_given() {
    for behind in [&[&b"\0\0\0\x01x"[..], b"\0\0\0\x01y", b"\0"][..], &[b"\0\0\0\x01z"], &[]] {
        let goodbye = message(b"disconnect");
        let buffers: Vec<_> = std::iter::once(&goodbye[..]).chain(behind.iter().copied()).collect();
        let slices: Vec<_> = buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
        let (stream, written, takes) = blocked();
        takes.store(2, Ordering::Relaxed);
        assert_eq!(stream.try_write_vectored(&slices).unwrap(), buffers.concat().len());
        takes.store(usize::MAX, Ordering::Relaxed);
        stream.try_flush().unwrap();
        assert!(stream.try_write_vectored(&[IoSlice::new(&message(b"x"))]).is_err());
        assert_eq!(*written.lock().unwrap(), [CLOSE, 2, 3, 0xe8], "{behind:?}");
    }
}

#[test]
fn a_close_is_answered_as_it_was_said_and_nothing_behind_it_counts() {
    for (said, answered) in [
        (&[][..], 1000_u16),
        (&[3, 0xe8], 1000),
        (&[3, 0xe9], 1001),
        (&[0x0f, 0xa0, b'w', b'h', b'y'], 4000),
        // None that may be said.
        (&[3, 0xed], 1002),
        (&[0, 0], 1002),
    ] {
        let (stream, peer) = line(&Settings::new());
        let bytes =
            [masked(BINARY, b"last"), masked(CLOSE, said), masked(BINARY, b"too late"), vec![0xff; 50]].concat();
        let (all, answer) = in_time("a Close", move || {
            write(&*peer, &bytes);
            let (all, error) = read_to_end(&stream);
            assert!(error.is_none(), "{error:?}");
            write_up(&stream, &message(b"disconnect"));
            drop(stream);
            (all, read_to_end(&*peer).0)
        });
        assert_eq!(all, [message(b"last"), message(b"disconnect")].concat());
        assert_eq!(answer, [&[CLOSE, 2][..], &answered.to_be_bytes()].concat(), "{said:?}");
    }
}
