//! That it means nothing how the stream is cut into segments. Each piece is a read of its own.

use crate::group::Group;

/// A separator, the bytes to cut, and the messages in them.
type Stream = (&'static str, &'static str, &'static [&'static str]);

const STREAMS: [Stream; 5] = [
    (";", "ab;;cd;", &["ab", "", "cd"]),
    ("end;", "enend;f1end;", &["en", "f1"]),
    ("\r\n", "a\r\r\n\nb\r\n", &["a\r", "\nb"]),
    ("aa", "baaabaa", &["b", "ab"]),
    ("abab", "xabababcabab", &["x", "abc"]),
];

pub(crate) fn fill(group: &mut Group) {
    for (separator, bytes, messages) in STREAMS {
        let shown = separator.escape_default();
        group.section(format!("one cut, at each byte in turn, with the separator {shown}"));
        for at in 1..bytes.len() {
            let (before, after) = (bytes[..at].escape_default(), bytes[at..].escape_default());
            group.case(format!("{before} / {after}"), move |c| {
                c.separator(separator).sends_cut(bytes, at).receives(messages)
            });
        }
    }

    group.section("a byte at a time");
    for (separator, bytes, messages) in STREAMS {
        let shown = separator.escape_default();
        group.case(format!("separator {shown}, byte by byte"), move |c| {
            c.separator(separator).sends_byte_by_byte(bytes).receives(messages)
        });
    }
    group.case("every byte, byte by byte", |c| {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != b';').collect();
        c.sends_byte_by_byte([&all[..], b";"].concat()).receives([all])
    });
    group.case("empty messages with the separator end;, byte by byte", |c| {
        c.separator("end;").sends_byte_by_byte("end;end;end;").receives(["", "", ""])
    });

    group.section("a separator of 64 bytes");
    let separator: Vec<u8> = (0..64).map(|number| b'0' + number).collect();
    group.case("cut at each of its bytes in turn", {
        let separator = separator.clone();
        move |c| {
            let pieces = (1..64).flat_map(|at| [[b"m", &separator[..at]].concat(), separator[at..].to_vec()]);
            c.separator(&separator).sends_in(pieces.collect::<Vec<_>>()).receives(["m"; 63])
        }
    });
    group.case("byte by byte", {
        let separator = separator.clone();
        move |c| {
            let bytes = [b"one", &separator[..], &separator, b"three", &separator].concat();
            c.separator(&separator).sends_byte_by_byte(bytes).receives(["one", "", "three"])
        }
    });
    group.case("false starts, cut behind each of them", move |c| {
        let starts: Vec<Vec<u8>> = (1..64).map(|len| separator[..len].to_vec()).collect();
        let message = starts.concat();
        c.separator(&separator).sends_in(starts.into_iter().chain([separator.clone()])).receives([message])
    });

    group.section("a remainder over many reads");
    group.case("a message in 100 pieces", |c| {
        let pieces: Vec<Vec<u8>> = (0..100).map(|number| vec![b'0' + number % 10; 30]).collect();
        c.sends_in(pieces.iter().cloned().chain([b";".to_vec()])).receives([pieces.concat()])
    });
    group.case("a long message in pieces of 4,000 bytes", |c| {
        let message: Vec<u8> = (0..200_000).map(|number| b'a' + (number % 25) as u8).collect();
        let bytes = [&message[..], b";"].concat();
        c.sends_in(bytes.chunks(4000)).receives([message])
    });
    group.case("pieces that each end one message and begin the next", |c| {
        c.sends_in(["a", "b;c", "d;e", "f;g", "h;"]).receives(["ab", "cd", "ef", "gh"])
    });
    group.case("pieces that each hold whole messages and begin the next", |c| {
        c.sends_in(["1;2;3", "3;4;5;6", "6;"]).receives(["1", "2", "33", "4", "5", "66"])
    });
    group.case("a remainder that is longer than what follows", |c| {
        c.sends_in([&[b'x'; 5000][..], b";y;"]).receives([&[b'x'; 5000][..], b"y"])
    });
    group.case("a remainder of one byte before a long message", |c| {
        let rest = [&[b'x'; 50_000][..], b";"].concat();
        c.sends_in([&b"a;b"[..], &rest]).receives([&b"a"[..], &[b"b", &rest[..50_000]].concat()])
    });
    for len in [1023, 1024, 1025] {
        group.case(format!("a piece of {len} bytes that ends within a separator"), move |c| {
            let message = vec![b'm'; len - 2];
            c.separator("end;")
                .sends_in([&[&message[..], b"en"].concat()[..], b"d;nextend;"])
                .receives([&message[..], b"next"])
        });
    }
}
