//! A client that connects again by itself: one connection after the other, each a new one.

use leads_comm::Error;

use crate::case::Case;
use crate::end::Why::{
    LocalAbort, LocalClose, MessageTooLong, Panicked, PeerClosed, PeerGoodbye, Reset, ServiceClosed,
};
use crate::group::Group;
use crate::ours::Setting::MaxReceivedLen;

/// What the server does when it has no room.
fn is_turned_away(case: Case) -> Case {
    case.says_goodbye().reads_goodbye().reads_end().stays_away().closes().has_ended(PeerGoodbye)
}

/// The connection at hand works, and is the last.
fn is_served(case: Case) -> Case {
    case.sends("hello;")
        .receives(["hello"])
        .program_sends("hello yourself")
        .reads("hello yourself;")
        .stays_away()
        .service_closes()
        .ends(ServiceClosed)
}

pub(crate) fn fill(group: &mut Group) {
    group.section("the client comes again");
    group.case("after a goodbye at once", |c| is_served(is_turned_away(c.reconnecting()).comes_again(1)));
    group.case("after one goodbye at once behind the other", |c| {
        let c = is_turned_away(c.reconnecting());
        is_served((1..=5).fold(c, |c, attempt| is_turned_away(c.comes_again(attempt))).comes_again(6))
    });
    group.case("after the end of the stream", |c| {
        is_served(c.reconnecting().closes().has_ended(PeerClosed).comes_again(1))
    });
    group.case("after a reset", |c| is_served(c.reconnecting().resets().has_ended(Reset).comes_again(1)));
    group.case("after a message that was too long", |c| {
        let c =
            c.reconnecting().with(MaxReceivedLen(10)).sends("12345678901;").reads_goodbye().reads_end().stays_away();
        is_served(c.closes().has_ended(MessageTooLong { limit: 10 }).comes_again(1))
    });
    group.case("after a panic of its callback", |c| {
        let c = c.reconnecting().on_receive(|_, _, message| assert_ne!(message, b"panic", "as asked"));
        let c = c.sends("panic;").receives(["panic"]).reads_goodbye().reads_end().closes();
        is_served(c.has_ended(Panicked("on_receive")).comes_again(1))
    });
    group.case("after the program has closed the connection", |c| {
        let c = c.reconnecting().program_closes().reads_goodbye().reads_end().closes().has_ended(LocalClose);
        is_served(c.comes_again(1))
    });
    group.case("after the program has aborted the connection", |c| {
        is_served(c.reconnecting().program_aborts().reads_reset().has_ended(LocalAbort).comes_again(1))
    });
    group.case("in a first attempt once a message was received", |c| {
        let c = is_turned_away(is_turned_away(c.reconnecting()).comes_again(1)).comes_again(2);
        let c = is_turned_away(c.sends("good;").receives(["good"])).comes_again(1);
        is_served(c)
    });

    group.section("never two connections at once");
    group.case("it stays away until the old one has ended", |c| {
        let c = c.reconnecting().program_closes().reads_goodbye().reads_end().stays_away().sends("noise;").until_read();
        is_served(c.stays_away().closes().has_ended(LocalClose).comes_again(1))
    });
    group.case("it has one in on_connect, and none in on_disconnect", |c| {
        let c = c
            .reconnecting()
            .on_connect(|service, _| assert_eq!(service.num_connections(), 1))
            .on_disconnect(|service, _| assert_eq!(service.num_connections(), 0));
        let c = is_turned_away(c);
        is_served((1..=3).fold(c, |c, attempt| is_turned_away(c.comes_again(attempt))).comes_again(4))
    });

    group.section("each is a new one");
    group.case("half a message is not finished on the next one", |c| {
        let c = c.reconnecting().sends("par").closes().has_ended(PeerClosed.discarding(3)).comes_again(1);
        is_served(c.sends("t;").receives(["t"]))
    });
    group.case("the old handle sends nothing on the next one", |c| {
        let c = is_turned_away(c.reconnecting()).comes_again(1).peer(0).program("is refused", |_, connection| {
            match connection.send(b"late") {
                Err(Error::Disconnected) => Ok(()),
                other => Err(format!("saw {other:?}")),
            }
        });
        is_served(c.peer(1))
    });
    group.case("a broadcast reaches the one there is", |c| {
        // Once its callback has returned, the client may come again at any time.
        let c = c.reconnecting().on_disconnect(|service, _| {
            assert!(matches!(service.broadcast(b"for nobody"), Ok(0)));
        });
        is_served(is_turned_away(c).comes_again(1).program_broadcasts("for you", 1).reads("for you;"))
    });
}
