//! Messages that begin with their length: the same rules, by other bytes.

use crate::case::{Case, Door};
use crate::end::Why::{LocalClose, MessageTooLong, PeerClosed, TotalUnfinishedBytes};
use crate::group::Group;
use crate::ours::Setting::{MaxReceivedLen, MaxSentLen, MaxTotalUnfinishedBytes};

const KIB: usize = 1024;

fn frame(message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

fn frames<M: AsRef<[u8]>>(messages: &[M]) -> Vec<u8> {
    messages.iter().flat_map(frame).collect()
}

/// With messages of up to 256 KiB, and memory for one that is unfinished.
fn sharing(case: Case) -> Case {
    case.by_length().with(MaxReceivedLen(256 * KIB)).with(MaxTotalUnfinishedBytes(256 * KIB + 4))
}

/// With a limit of 10, and over it.
fn too_long(case: Case) -> Case {
    case.by_length().with(MaxReceivedLen(10)).ends(MessageTooLong { limit: 10 })
}

pub(crate) fn fill(group: &mut Group) {
    group.section("how bytes become messages");
    group.case("nothing but the goodbye", Case::by_length);
    group.case("one message", |c| c.by_length().sends(b"\0\0\0\x05hello").receives(["hello"]));
    group
        .case("two messages in one segment", |c| c.by_length().sends(frames(&["one", "two"])).receives(["one", "two"]));
    group.case("two messages in two segments", |c| {
        c.by_length().sends_in([frame("one"), frame("two")]).receives(["one", "two"])
    });
    group.case("an empty message", |c| c.by_length().sends(b"\0\0\0\0").receives([""]));
    group.case("empty messages between others", |c| {
        c.by_length().sends(frames(&["a", "", "", "b", ""])).receives(["a", "", "", "b", ""])
    });
    group.case("5,000 empty messages in one write", |c| c.by_length().sends([0; 20_000]).receives([""; 5000]));
    group.case("every byte there is in one message", |c| {
        let all: Vec<u8> = (0..=255).collect();
        c.by_length().sends(frame(&all)).receives([all])
    });
    group.case("a message that reads like others", |c| {
        let inside = frames(&["a", "disconnect", ""]);
        c.by_length().sends(frame(&inside)).receives([inside])
    });
    group.case("separators mean nothing", |c| c.by_length().sends(frame("a;b;end;")).receives(["a;b;end;"]));
    group.case("messages of every length from 0 to 300 in one write", |c| {
        let messages: Vec<Vec<u8>> = (0..=300).map(|len| vec![b'0' + (len % 10) as u8; len]).collect();
        c.by_length().sends(frames(&messages)).receives(messages)
    });
    for len in [255, 256, 1020, 1021, 16_380, 16_384, 65_535, 65_536, 131_068, 131_072] {
        group.case(format!("a message of {len} bytes, then a short one"), move |c| {
            let messages = [vec![b'x'; len], b"short".to_vec()];
            c.by_length().sends(frames(&messages)).receives(messages)
        });
    }

    group.section("cuts");
    group.case("byte by byte", |c| {
        let messages = ["one", "", "three"];
        c.by_length().sends_byte_by_byte(frames(&messages)).receives(messages)
    });
    for at in 1..9 {
        group.case(format!("two messages, cut behind byte {at}"), move |c| {
            c.by_length().sends_cut(frames(&["abcd", "ef"]), at).receives(["abcd", "ef"])
        });
    }
    group.case("a length behind a message, and its message by itself", |c| {
        c.by_length().sends_in([&b"\0\0\0\x01a\0\0\0\x02"[..], b"bc"]).receives(["a", "bc"])
    });

    group.section("limits");
    group.case("exactly the limit", |c| {
        c.by_length().with(MaxReceivedLen(10)).sends(frame("1234567890")).receives(["1234567890"])
    });
    group.case("the default limit, 1 MiB, to the byte", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.by_length().sends(frame(&message)).receives([message])
    });
    group.case("one byte over it", |c| too_long(c.sends(frame("12345678901"))));
    group.case("one byte over it, of which only the length comes", |c| too_long(c.sends(b"\0\0\0\x0b")));
    group.case("one byte over it, byte by byte", |c| too_long(c.sends_byte_by_byte(b"\0\0\0\x0b")));
    group.case("the longest length there is", |c| too_long(c.sends(b"\xff\xff\xff\xff")));
    group.case("what came before is delivered, and what comes behind is not", |c| {
        too_long(c.sends(frames(&["one", "two", "12345678901", "three"])).receives(["one", "two"]))
    });
    group.case("a goodbye behind it changes nothing", |c| too_long(c.sends(frames(&["12345678901", "disconnect"]))));
    group.case("the goodbye reaches a peer that is in the middle of a message of 64 KiB", |c| {
        too_long(c.sends(frame([b'x'; 64 * 1024])).reads_goodbye().reads_end())
    });
    group.case("over the limit for sending, nothing is written", |c| {
        c.by_length().with(MaxSentLen(5)).program_is_refused("123456").program_sends("ok").reads(frame("ok"))
    });

    group.section("memory of all peers together");
    group.case("what a length promises is taken from nobody", |c| {
        let (long, message) = ([b'x'; 256 * KIB], vec![b'y'; 256 * KIB]);
        let c = sharing(c).peers(2).sends(&frame(long)[..100]).until_read();
        let c = (0..3).fold(c.peer(1), |c, _| c.sends(frame(&message)).receives([&message]));
        c.peer(0).sends(&frame(long)[100..]).receives([long])
    });
    group.case("a peer that hoards is cut off, and the other one is served", |c| {
        let c = sharing(c).peers(2).sends(&frame([b'x'; 256 * KIB])[..250 * KIB]).until_read();
        let message = vec![b'y'; 200 * KIB];
        let c = c.peer(1).sends(frame(&message)).receives([message]).peer(0);
        let c = c.has_ended(TotalUnfinishedBytes { limit: 256 * KIB + 4 }.discarding_some());
        c.reads_reset().peer(1).program_sends("thank you").reads(frame("thank you"))
    });

    group.section("peers that know no lengths");
    group.case("text, over the default limit with its fourth byte", |c| {
        c.by_length().sends("hell").ends(MessageTooLong { limit: 1024 * 1024 })
    });
    group.case("the goodbye with a separator", |c| {
        c.by_length().sends("disconnect;").ends(MessageTooLong { limit: 1024 * 1024 })
    });
    group.case("a request over HTTP", |c| {
        c.by_length().sends("GET / HTTP/1.1\r\n\r\n").ends(MessageTooLong { limit: 1024 * 1024 })
    });

    group.section("goodbyes and endings");
    group.case("a goodbye behind messages", |c| c.by_length().sends(frames(&["one", "disconnect"])).receives(["one"]));
    group.case("what comes behind a goodbye is ignored", |c| {
        c.by_length().sends(frames(&["disconnect", "one", "disconnect"]))
    });
    group.case("a longer message that begins with it is data", |c| {
        c.by_length().sends(frame("disconnected")).receives(["disconnected"])
    });
    group.case("a goodbye, byte by byte", |c| c.by_length().sends_byte_by_byte(frame("disconnect")));
    group.case("a goodbye under the smallest limit", |c| c.by_length().with(MaxReceivedLen(10)).says_goodbye());
    group.case("the end of the stream behind a message", |c| {
        c.by_length().sends(frame("one")).half_closes().receives(["one"]).ends(PeerClosed)
    });
    for len in [1, 3, 4, 8] {
        group.case(format!("the end of the stream {len} bytes into a message"), move |c| {
            let sent = &frame("unfinished")[..len];
            c.by_length().sends(sent).half_closes().ends(PeerClosed.discarding(len))
        });
    }
    group.case("the library closes", |c| {
        let c = c.by_length().program_sends("last").program_closes();
        c.reads(frame("last")).reads_goodbye().ends(LocalClose)
    });

    group.section("sending");
    group.case("any bytes are sent as they are", |c| {
        let all: Vec<u8> = (0..=255).collect();
        c.by_length().program_sends(&all).reads(frame(&all))
    });
    group.case("an empty message is sent", |c| c.by_length().program_sends("").reads(b"\0\0\0\0"));
    group.case("the goodbye is refused", |c| c.by_length().program_is_refused("disconnect"));
    group.case("each message is answered", |c| {
        let messages = ["one", "", "a;b"];
        c.by_length().echoing().sends(frames(&messages)).receives(messages).reads(frames(&messages))
    });
    group.case("1 MiB there and back", |c| {
        let message = vec![0; 1024 * 1024];
        c.by_length().echoing().sends(frame(&message)).receives([&message]).reads_slowly(frame(&message))
    });
    group.case("a broadcast", |c| {
        let c = c.by_length().peers(2).program_broadcasts("\0;", 2).reads(frame("\0;"));
        c.peer(1).reads(frame("\0;"))
    });

    group.section("callers");
    group.case("one that is not let in is told so", |c| {
        let c = c.by_length().door(Door { max_connections: Some(1), ..Door::default() });
        c.another_is_refused().reads_goodbye().reads_end()
    });
}
