//! Messages up to the limit are received; a longer one ends the connection, and what came before it is delivered.

use crate::case::Case;
use crate::end::Why::{MessageTooLong, PeerClosed, PeerGoodbye, TotalUnfinishedBytes};
use crate::group::Group;
use crate::ours::Setting::{MaxReceivedLen, MaxSentLen, MaxTotalUnfinishedBytes};

const KIB: usize = 1024;

/// With a limit of 10, and over it.
fn too_long(case: Case) -> Case {
    case.with(MaxReceivedLen(10)).ends(MessageTooLong { limit: 10 })
}

/// With a limit of 10 for the separator `end;`, and not over it.
fn within(case: Case) -> Case {
    case.with(MaxReceivedLen(10)).half_closes().ends(PeerClosed)
}

/// With messages of up to 256 KiB, and memory of so many bytes for all that are unfinished.
fn sharing(case: Case, bytes: usize) -> Case {
    case.with(MaxReceivedLen(256 * KIB)).with(MaxTotalUnfinishedBytes(bytes))
}

/// The peer at hand sends a message of so many KiB.
fn sends_kib(case: Case, kib: usize) -> Case {
    let message = vec![b'm'; kib * KIB];
    case.sends([&message[..], b";"].concat()).receives([message])
}

pub(crate) fn fill(group: &mut Group) {
    group.section("up to the limit");
    group.case("one byte below the limit", |c| c.with(MaxReceivedLen(10)).sends("123456789;").receives(["123456789"]));
    group.case("exactly the limit", |c| c.with(MaxReceivedLen(10)).sends("1234567890;").receives(["1234567890"]));
    group.case("exactly the limit, byte by byte", |c| {
        c.with(MaxReceivedLen(10)).sends_byte_by_byte("1234567890;").receives(["1234567890"])
    });
    group.case("exactly the limit, again and again", |c| {
        c.with(MaxReceivedLen(10)).sends("1234567890;".repeat(500)).receives(["1234567890"; 500])
    });
    group.case("the default limit, 1 MiB, to the byte", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.sends([&message[..], b";"].concat()).receives([message])
    });
    group.case("the smallest limit, and messages below it", |c| {
        c.with(MaxReceivedLen(10)).sends("a;;b;").half_closes().receives(["a", "", "b"]).ends(PeerClosed)
    });
    group.case("exactly the limit with the separator end;", |c| {
        within(c.separator("end;").sends("1234567890end;").receives(["1234567890"]))
    });
    for at in 10..14 {
        group.case(format!("exactly the limit, the separator end; cut behind {} bytes", at - 10), move |c| {
            within(c.separator("end;").sends_cut("1234567890end;", at).receives(["1234567890"]))
        });
    }
    group.case("a false start of the separator across the limit", |c| {
        within(c.separator("end;").sends_in(["12345678en", "end;"]).receives(["12345678en"]))
    });
    group.case("a goodbye under the smallest limit", |c| c.with(MaxReceivedLen(10)).says_goodbye().ends(PeerGoodbye));
    group.case("a goodbye under the smallest limit, byte by byte", |c| {
        c.with(MaxReceivedLen(10)).sends_byte_by_byte("disconnect;").ends(PeerGoodbye)
    });
    group.case("a goodbye under the smallest limit, with end; cut in two", |c| {
        c.with(MaxReceivedLen(10)).separator("end;").sends_in(["disconnecte", "nd;"]).ends(PeerGoodbye)
    });

    group.section("over the limit");
    group.case("one byte over the limit", |c| too_long(c.sends("12345678901;")));
    group.case("one byte over the limit, without its separator", |c| too_long(c.sends("12345678901")));
    group.case("one byte over the limit, byte by byte", |c| too_long(c.sends_byte_by_byte("12345678901")));
    group.case("a goodbye that goes on is too long", |c| too_long(c.sends("disconnected;")));
    group.case("one byte over the default limit", |c| {
        c.sends(vec![b'x'; 1024 * 1024 + 1]).ends(MessageTooLong { limit: 1024 * 1024 })
    });
    group.case("with end;, over the limit before its separator is whole", |c| {
        too_long(c.separator("end;").sends("12345678901end"))
    });
    group.case("with end;, undecided as long as a separator may come", |c| {
        within(c.separator("end;").sends_in(["1234567890en", "d", ";"]).receives(["1234567890"]))
    });
    group.case("what came before is delivered", |c| too_long(c.sends("one;two;12345678901;").receives(["one", "two"])));
    group.case("what comes behind is not delivered", |c| too_long(c.sends("12345678901;three;")));
    group.case("before, too long, behind, in segments of their own", |c| {
        too_long(c.sends_in(["one;", "12345678901;", "three;"]).receives(["one"]))
    });
    group.case("a goodbye behind it changes nothing", |c| too_long(c.sends("12345678901;disconnect;")));
    group.case("the end of the stream behind it changes nothing", |c| too_long(c.sends("12345678901").half_closes()));
    group.case("a stream without end or separator", |c| {
        c.with(MaxReceivedLen(1000)).floods([b'x'; 4096]).reads_away().ends(MessageTooLong { limit: 1000 })
    });
    group.case("a stream of a false start without end", |c| {
        c.with(MaxReceivedLen(1000))
            .separator("aab")
            .floods([b'a'; 4096])
            .reads_away()
            .ends(MessageTooLong { limit: 1000 })
    });
    group.case("the goodbye reaches a peer that is in the middle of a message of 64 KiB", |c| {
        c.with(MaxReceivedLen(1000))
            .sends([b'x'; 64 * 1024])
            .reads_goodbye()
            .reads_end()
            .ends(MessageTooLong { limit: 1000 })
    });
    group.case("what was sent before arrives before the goodbye", |c| {
        too_long(c.echoing().sends("one;12345678901;").receives(["one"]).reads("one;"))
    });

    group.section("messages to send");
    group.case("up to the limit for sending", |c| c.with(MaxSentLen(5)).program_sends("12345").reads("12345;"));
    group.case("over the limit for sending, nothing is written", |c| {
        c.with(MaxSentLen(5)).program_is_refused("123456").program_sends("ok").reads("ok;")
    });
    group.case("1 MiB is sent, and not a byte more", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_is_refused([&message[..], b"x"].concat()).program_sends(&message).reads([&message[..], b";"].concat())
    });

    group.section("unfinished messages of all peers together");
    group.case("one of the longest fits into the least", |c| sends_kib(sharing(c, 256 * KIB + 1), 256));
    group.case("one behind the other fits, too", |c| {
        (0..5).fold(sharing(c, 256 * KIB + 1), |c, _| sends_kib(c, 256)).sends("small;").receives(["small"])
    });
    group.case("a peer that hoards is cut off, and the other one is served", |c| {
        let limit = 256 * KIB + 1;
        let c = sharing(c, limit).peers(2).sends(vec![b'x'; 250 * KIB]).until_read();
        let c = sends_kib(c.peer(1), 200).peer(0).has_ended(TotalUnfinishedBytes { limit }.discarding_some());
        sends_kib(c.reads_reset().peer(1), 256).program_sends("thank you").reads("thank you;")
    });
    group.case("the longest goes, and a shorter one stays", |c| {
        let limit = 512 * KIB;
        let c = sharing(c, limit).peers(3).sends(vec![b'x'; 240 * KIB]).until_read();
        let c = sends_kib(c.peer(1).sends(vec![b'm'; 60 * KIB]).until_read().peer(2), 250);
        let c = c.peer(0).has_ended(TotalUnfinishedBytes { limit }.discarding_some()).reads_reset();
        c.peer(1).sends(";").receives([vec![b'm'; 60 * KIB]])
    });
    group.case("small messages need none of it, and nobody goes", |c| {
        let c = sharing(c, 256 * KIB + 1).peers(2).sends(vec![b'x'; 250 * KIB]).until_read();
        let c = c.peer(1).sends_in(["sm", "all;"].repeat(20)).receives(["small"; 20]);
        c.peer(0).sends(";").receives([vec![b'x'; 250 * KIB]])
    });
}
