//! The goodbye: what is one and what is not, and that it is answered once and nothing follows it.

use crate::end::Why::{LocalClose, PeerClosed, PeerGoodbye, Reset};
use crate::group::Group;

pub(crate) fn fill(group: &mut Group) {
    group.section("what is a goodbye");
    group.case("alone", |c| c.sends("disconnect;").ends(PeerGoodbye));
    for at in 1..11 {
        let (before, after) = "disconnect;".split_at(at);
        group.case(format!("{before} / {after}"), move |c| c.sends_cut("disconnect;", at).ends(PeerGoodbye));
    }
    group.case("byte by byte", |c| c.sends_byte_by_byte("disconnect;").ends(PeerGoodbye));
    group.case("with the separator CRLF", |c| c.separator("\r\n").sends("disconnect\r\n").ends(PeerGoodbye));
    group.case("with the separator end;, byte by byte", |c| {
        c.separator("end;").sends_byte_by_byte("disconnectend;").ends(PeerGoodbye)
    });
    group.case("with the separator td", |c| c.separator("td").sends("disconnecttd").ends(PeerGoodbye));
    group.case("with a separator of 64 bytes", |c| {
        c.separator([b'#'; 64]).sends([&b"disconnect"[..], &[b'#'; 64]].concat()).ends(PeerGoodbye)
    });
    group.case("behind messages, in the same segment", |c| {
        c.sends("one;two;disconnect;").receives(["one", "two"]).ends(PeerGoodbye)
    });
    group.case("behind messages, cut within it", |c| {
        c.sends_in(["one;discon", "nect;"]).receives(["one"]).ends(PeerGoodbye)
    });
    group.case("behind an empty message", |c| c.sends(";disconnect;").receives([""]).ends(PeerGoodbye));

    group.section("what is data");
    for message in ["disconnected", " disconnect", "disconnect ", "disconnec", "isconnect", "DISCONNECT", "Disconnect"]
    {
        group.case(format!("\"{message}\""), move |c| c.sends(format!("{message};")).receives([message]));
    }
    for (name, message) in [
        ("disconnect with a NUL behind it", "disconnect\0"),
        ("disconnect with a line end behind it", "disconnect\n"),
        ("disconnect twice in one message", "disconnectdisconnect"),
        ("disconnect within a sentence", "please disconnect now"),
    ] {
        group.case(name, move |c| c.sends(format!("{message};")).receives([message]));
    }
    group.case("disconnect / ed;", |c| c.sends_in(["disconnect", "ed;"]).receives(["disconnected"]));
    group.case("x / disconnect;", |c| c.sends_in(["x", "disconnect;"]).receives(["xdisconnect"]));
    group.case("x;disconnect / ed at 12:00;", |c| {
        c.sends_in(["x;disconnect", "ed at 12:00;"]).receives(["x", "disconnected at 12:00"])
    });
    group.case("disconnect; with the separator end;", |c| {
        c.separator("end;").sends("disconnect;end;").receives(["disconnect;"])
    });
    group.case("disconnect without its separator, at the end", |c| {
        c.sends("disconnect").half_closes().ends(PeerClosed.discarding(10))
    });

    group.section("what comes behind it");
    group.case("a message in the same segment is not delivered", |c| {
        c.sends("one;disconnect;never;").receives(["one"]).ends(PeerGoodbye)
    });
    group.case("a message in a segment of its own is not delivered", |c| {
        c.sends_in(["disconnect;", "never;"]).ends(PeerGoodbye)
    });
    group.case("half a message is not counted as lost", |c| c.sends("disconnect;nev").ends(PeerGoodbye));
    group.case("a second goodbye in the same segment is not answered", |c| {
        c.sends("disconnect;disconnect;").ends(PeerGoodbye)
    });
    group.case("a second goodbye in a segment of its own is not answered", |c| {
        c.sends_in(["disconnect;", "disconnect;"]).ends(PeerGoodbye)
    });
    group.case("the end of the stream", |c| c.says_goodbye().half_closes().ends(PeerGoodbye));
    group.case("the end of the stream, behind messages", |c| {
        c.sends("one;disconnect;").half_closes().receives(["one"]).ends(PeerGoodbye)
    });
    group.case("the end of the peer", |c| c.says_goodbye().closes().ends(PeerGoodbye));
    group.case("a reset, when the answer has been read", |c| {
        c.says_goodbye().reads_goodbye().reads_end().resets().ends(PeerGoodbye)
    });
    group.case("a flood, which is not delivered", |c| {
        c.says_goodbye().floods("never;").reads_goodbye().reads_away().ends(PeerGoodbye)
    });
    group.case("a stream of 1 MiB without separator", |c| {
        c.sends_in([b"disconnect;".to_vec(), vec![b'x'; 1024 * 1024]]).ends(PeerGoodbye)
    });

    group.section("answers");
    group.case("what was answered arrives before the goodbye", |c| {
        c.echoing().sends("one;two;disconnect;").receives(["one", "two"]).reads("one;two;").ends(PeerGoodbye)
    });
    group.case("what the library was sending arrives before the goodbye", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_sends(&message).says_goodbye().reads([&message[..], b";"].concat()).ends(PeerGoodbye)
    });
    group.case("a message is refused once the peer has said goodbye", |c| {
        c.says_goodbye()
            .reads_goodbye()
            .program("sends in vain", |_, connection| match connection.send(b"late") {
                Err(leads_comm::Error::Disconnected) => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .ends(PeerGoodbye)
    });
    group.case("a goodbye that answers one is not answered", |c| {
        c.program_closes().reads_goodbye().says_goodbye().ends(LocalClose)
    });
    group.case("crossing goodbyes stand for each other's answer", |c| {
        c.program_closes().says_goodbye().ends(LocalClose)
    });
    group.case("a reset instead of the goodbye", |c| c.sends("one;").receives(["one"]).resets().ends(Reset));
}
