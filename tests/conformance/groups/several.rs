//! Several peers of one server: each by itself, and what one does is no other's affair.

use leads_comm::SlowConsumer;

use crate::case::Case;
use crate::end::Why::{LocalClose, MessageTooLong, Panicked, PeerClosed, PeerGoodbye, Reset, ServiceClosed};
use crate::group::Group;
use crate::ours::Setting::{self, MaxQueuedBytes, MaxReceivedLen, MaxSentLen};

/// Peer 1 is served as if there were no other.
fn peer_1_is_served(case: Case) -> Case {
    case.peer(1).sends("hello;").receives(["hello"]).program_sends("hello yourself").reads("hello yourself;")
}

pub(crate) fn fill(group: &mut Group) {
    group.section("together");
    group.case("each is heard by itself", |c| {
        c.peers(2).sends("a;").peer(1).sends("b;").peer(0).receives(["a"]).peer(1).receives(["b"])
    });
    group.case("their pieces do not mix", |c| {
        let c = c.peers(2).sends("on").until_read().peer(1).sends("tw").until_read();
        c.peer(0).sends("e;").peer(1).sends("o;").receives(["two"]).peer(0).receives(["one"])
    });
    group.case("each gets its own answers", |c| {
        c.peers(2)
            .echoing()
            .sends("a;")
            .receives(["a"])
            .peer(1)
            .sends("b;")
            .receives(["b"])
            .reads("b;")
            .peer(0)
            .reads("a;")
    });
    group.case("a message to one is for that one", |c| c.peers(3).peer(1).program_sends("for you").reads("for you;"));
    group.case("a broadcast is for all", |c| {
        let c = c.peers(5).program_broadcasts("for all", 5);
        (0..5).fold(c, |c, peer| c.peer(peer).reads("for all;"))
    });
    group.case("broadcasts and messages arrive in their order", |c| {
        let c = c.peers(2).program_broadcasts("1", 2).program_sends("2").program_broadcasts("3", 2);
        c.reads("1;2;3;").peer(1).reads("1;3;")
    });
    group.case("a relay to all but the sender", |c| {
        c.peers(3)
            .on_receive(|service, sender, message| {
                let _ = service.broadcast_where(message, &mut |connection| connection != sender);
            })
            .peer(1)
            .sends("to the others;")
            .receives(["to the others"])
            .peer(0)
            .reads("to the others;")
            .peer(2)
            .reads("to the others;")
    });
    group.case("16 peers, each answered", |c| {
        let c = (0..16).fold(c.peers(16).echoing(), |c, peer| c.peer(peer).sends(format!("{peer};")));
        (0..16).fold(c, |c, peer| c.peer(peer).receives([peer.to_string()]).reads(format!("{peer};")))
    });
    group.case("a broadcast does not count who has left", |c| {
        c.peers(3)
            .says_goodbye()
            .reads_goodbye()
            .reads_end()
            .closes()
            .has_ended(PeerGoodbye)
            .program_broadcasts("for the rest", 2)
            .peer(1)
            .reads("for the rest;")
            .peer(2)
            .reads("for the rest;")
    });

    group.section("one misbehaves");
    group.case("it sends too much", |c| {
        let c = c.peers(2).with(MaxReceivedLen(20)).sends([b'x'; 100]).ends(MessageTooLong { limit: 20 });
        peer_1_is_served(c.reads_goodbye().reads_end())
    });
    group.case("it is reset", |c| peer_1_is_served(c.peers(2).sends("a;").receives(["a"]).resets().has_ended(Reset)));
    group.case("it leaves without a goodbye", |c| {
        peer_1_is_served(c.peers(2).sends("par").closes().has_ended(PeerClosed.discarding(3)))
    });
    group.case("its callback panics", |c| {
        let c = c.peers(2).on_receive(|_, _, message| assert_ne!(message, b"panic", "as asked"));
        peer_1_is_served(c.sends("panic;").receives(["panic"]).ends(Panicked("on_receive")).reads_goodbye())
    });
    group.case("it never finishes its message", |c| {
        peer_1_is_served(c.peers(2).sends("par").until_read()).peer(0).sends("t;").receives(["part"])
    });
    group.case("it does not answer the goodbye", |c| {
        peer_1_is_served(c.peers(2).program_closes().reads_goodbye().ends(LocalClose))
    });
    group.case("it floods", |c| {
        c.peers(2)
            .ignoring_messages()
            .on_receive(|_, connection, message| {
                if message == b"hello" {
                    let _ = connection.send(b"hello yourself");
                }
            })
            .floods("noise;")
            .peer(1)
            .sends("hello;")
            .reads("hello yourself;")
            .peer(0)
            .program_closes()
            .ends(LocalClose)
    });
    group.case("it reads nothing, and broadcasts go on to the other", |c| {
        let message = vec![b'x'; 1000];
        let c = c
            .peers(2)
            .narrow()
            .with(MaxSentLen(1000))
            .with(MaxQueuedBytes(64 * 1024))
            .with(Setting::SlowConsumer(SlowConsumer::DropNewest))
            .program("fills the queue", |_, connection| {
                while connection.send(&[b'x'; 1000]).is_ok() {}
                Ok(())
            });
        (0..100)
            .fold(c.peer(1), |c, _| {
                // Now and then there is room in the queue of the other one, too.
                c.program("broadcasts", |service, _| {
                    service.broadcast(&[b'x'; 1000]).map(drop).map_err(|e| e.to_string())
                })
                .reads([&message[..], b";"].concat())
            })
            .peer(0)
            .program_closes()
            .reads_copies_of(&message)
            .ends(LocalClose.with_dropped())
    });

    group.section("the server closes");
    group.case("every peer is told goodbye", |c| {
        (0..5).fold(c.peers(5).service_closes(), |c, peer| c.peer(peer).ends(ServiceClosed))
    });
    group.case("behind a broadcast to every peer", |c| {
        let c = c.peers(5).program_broadcasts("last", 5).service_closes();
        (0..5).fold(c, |c, peer| c.peer(peer).reads("last;").ends(ServiceClosed))
    });
    group.case("with peers in different states", |c| {
        let c = c.peers(5).sends("par").until_read();
        let c = c.peer(1).says_goodbye().reads_goodbye().peer(2).half_closes().reads_goodbye();
        let c = c.peer(3).program_closes().reads_goodbye().service_closes();
        let c = c.peer(0).ends(ServiceClosed).peer(1).ends(PeerGoodbye).peer(2).ends(PeerClosed);
        c.peer(3).ends(LocalClose).peer(4).ends(ServiceClosed)
    });
}
