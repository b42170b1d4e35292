//! How bytes become messages, whatever the bytes are.

use crate::group::Group;

pub(crate) fn fill(group: &mut Group) {
    group.section("whole messages");
    group.case("nothing but the goodbye", |c| c);
    group.case("one message", |c| c.sends("hello;").receives(["hello"]));
    group.case("a message of one byte", |c| c.sends("x;").receives(["x"]));
    group.case("two messages in one segment", |c| c.sends("one;two;").receives(["one", "two"]));
    group.case("two messages in two segments", |c| c.sends_in(["one;", "two;"]).receives(["one", "two"]));
    group.case("a message, answered before the next", |c| {
        c.sends("one;").receives(["one"]).sends("two;").receives(["two"]).sends("three;").receives(["three"])
    });
    group.case("the same message three times", |c| c.sends("go;go;go;").receives(["go", "go", "go"]));
    group.case("1,000 messages in one write", |c| {
        let messages: Vec<String> = (0..1000).map(|number| format!("message {number}")).collect();
        c.sends(messages.iter().map(|message| format!("{message};")).collect::<String>()).receives(messages)
    });
    group.case("messages of every length from 0 to 300 in one write", |c| {
        let messages: Vec<Vec<u8>> = (0..=300).map(|len| vec![b'0' + (len % 10) as u8; len]).collect();
        c.sends(messages.iter().flat_map(|message| [message, &b";"[..]].concat()).collect::<Vec<_>>())
            .receives(messages)
    });
    for len in [511, 512, 513, 1023, 1024, 1025, 16_383, 16_384, 16_385, 131_071, 131_072, 131_073] {
        group.case(format!("a message of {len} bytes, then a short one"), move |c| {
            let long = vec![b'x'; len];
            c.sends([&long[..], b";short;"].concat()).receives([&long[..], b"short"])
        });
    }

    group.section("empty messages");
    group.case("an empty message", |c| c.sends(";").receives([""]));
    group.case("two empty messages", |c| c.sends(";;").receives(["", ""]));
    group.case("an empty message before another one", |c| c.sends(";a;").receives(["", "a"]));
    group.case("an empty message behind another one", |c| c.sends("a;;").receives(["a", ""]));
    group.case("empty messages between others", |c| c.sends("a;;;b;").receives(["a", "", "", "b"]));
    group.case("5,000 empty messages in one write", |c| c.sends([b';'; 5000]).receives([""; 5000]));
    group.case("an empty message in a segment of its own", |c| c.sends_in(["a;", ";", "b;"]).receives(["a", "", "b"]));
    group.case("empty messages with the separator end;", |c| {
        c.separator("end;").sends("end;end;aend;end;").receives(["", "", "a", ""])
    });

    group.section("any bytes");
    group.case("a NUL", |c| c.sends(b"\0;").receives([b"\0"]));
    group.case("only NULs", |c| c.sends([&[0; 100][..], b";"].concat()).receives([[0; 100]]));
    group.case("NULs around text", |c| c.sends(b"\0text\0;").receives([b"\0text\0"]));
    group.case("0xff", |c| c.sends(b"\xff\xff\xff;").receives([b"\xff\xff\xff"]));
    group.case("invalid UTF-8", |c| c.sends(b"\xc3\x28\xe2\x82;").receives([b"\xc3\x28\xe2\x82"]));
    group
        .case("UTF-8 of every length", |c| c.sends("a\u{e9}\u{20ac}\u{1f697};").receives(["a\u{e9}\u{20ac}\u{1f697}"]));
    group.case("white space is kept", |c| c.sends(" \t a \r\n;").receives([" \t a \r\n"]));
    group.case("every byte but the separator in one message", |c| {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != b';').collect();
        c.sends([&all[..], b";"].concat()).receives([all])
    });
    group.case("every byte as a message of its own", |c| {
        let all: Vec<[u8; 1]> = (0..=255).filter(|byte| *byte != b';').map(|byte| [byte]).collect();
        c.sends(all.iter().flat_map(|byte| [byte[0], b';']).collect::<Vec<_>>()).receives(all)
    });
    group.case("every byte with the separator 0xff", |c| {
        let all: Vec<u8> = (0..255).collect();
        c.separator(b"\xff").sends([&all[..], b"\xff"].concat()).receives([all])
    });
    group.case("every byte with the separator NUL", |c| {
        let all: Vec<u8> = (1..=255).collect();
        c.separator(b"\0").sends([&all[..], b"\0"].concat()).receives([all])
    });
    group.case("JSON", |c| {
        c.sends(r#"{"speed": 12, "gps": [1.5, -3]};"#).receives([r#"{"speed": 12, "gps": [1.5, -3]}"#])
    });

    group.section("bytes that look like a separator");
    group.case("the beginnings of end;", |c| c.separator("end;").sends("e en endend;").receives(["e en end"]));
    group.case("the beginning of end; before end;", |c| c.separator("end;").sends("enend;").receives(["en"]));
    group.case("the end of end; alone", |c| c.separator("end;").sends("nd;end;").receives(["nd;"]));
    group.case("the separator of another service", |c| c.separator("end;").sends("a;b;end;").receives(["a;b;"]));
    group.case("END; is not end;", |c| c.separator("end;").sends("END;end;").receives(["END;"]));
    group.case("CR alone and LF alone with CRLF", |c| {
        c.separator("\r\n").sends("a\rb\nc\n\r\r\n").receives(["a\rb\nc\n\r"])
    });
    group.case("aaa with the separator aa", |c| c.separator("aa").sends("baaabaa").receives(["b", "ab"]));
    group.case("aaaaa with the separator aa", |c| c.separator("aa").sends("aaaaabaa").receives(["", "", "ab"]));
    group.case("ababab with the separator abab", |c| c.separator("abab").sends("abababcabab").receives(["", "abc"]));
    group.case("aaab with the separator aab", |c| c.separator("aab").sends("aaabaab").receives(["a", ""]));
    group.case("a false start of 63 bytes of a separator of 64", |c| {
        let separator = [&[b'-'; 63][..], b"+"].concat();
        let false_start = [b'-'; 80];
        c.separator(&separator).sends([&false_start[..], b"+", &separator].concat()).receives([&[b'-'; 17][..], b""])
    });
}
