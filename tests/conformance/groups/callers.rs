//! Callers whom a server does not let in: each is told goodbye, and the callback hears of them by number only.

use leads_comm::Caller;

use crate::case::{Case, Door};
use crate::end::Why::{LocalAbort, LocalClose, PeerClosed, PeerGoodbye, Reset, ServiceClosed};
use crate::group::Group;

/// Every way of keeping all but one out.
fn doors() -> [(&'static str, Door); 3] {
    [
        ("over the limit on connections", Door { max_connections: Some(1), ..Door::default() }),
        ("over the limit for its address", Door { max_per_address: Some(1), ..Door::default() }),
        ("not admitted", Door { admit: Some(|caller| caller.num_connections() == 0), ..Door::default() }),
    ]
}

/// A caller knows that it is not let in; so do those who came before it.
fn another_is_told(case: Case) -> Case {
    case.another_is_refused().reads_goodbye()
}

/// A caller that has been told and does not leave yet. Behind the end of the stream a reset shows in writing only.
fn is_not_reset(case: Case) -> Case {
    case.reads_goodbye().reads_end().sends("late;").sends("later;")
}

/// Peer 0 has the only place, and is served whatever became of the others.
fn peer_0_is_served(case: Case) -> Case {
    case.peer(0).sends("hello;").receives(["hello"]).program_sends("hello yourself").reads("hello yourself;")
}

/// The place that peer 0 has left is free.
fn another_is_served(case: Case) -> Case {
    case.another_connects().sends("hello;").receives(["hello"]).program_sends("hello yourself").reads("hello yourself;")
}

pub(crate) fn fill(group: &mut Group) {
    for (name, door) in doors() {
        group.section(format!("a caller {name}"));
        group.case("is told goodbye", |c| peer_0_is_served(is_not_reset(c.door(door).another_is_refused())));
        group.case("is told although it has sent something already", |c| {
            peer_0_is_served(is_not_reset(c.door(door).another_is_refused_behind("one;two;thr")))
        });
        group.case("is told although it has sent much already", |c| {
            is_not_reset(c.door(door).another_is_refused_behind([b'x'; 60_000]))
        });
        group.case("is told although it says goodbye itself", |c| {
            peer_0_is_served(is_not_reset(c.door(door).another_is_refused_behind("disconnect;")))
        });
        group.case("is told although it ends its half", |c| {
            peer_0_is_served(c.door(door).another_is_refused().half_closes().reads_goodbye().reads_end())
        });
        group.case("is not reset when it sends on behind the goodbye", |c| {
            c.door(door).another_is_refused().reads_goodbye().sends("late;").sends([b'x'; 60_000]).reads_end()
        });
        group.case("may say goodbye behind it, too", |c| {
            c.door(door).another_is_refused().reads_goodbye().says_goodbye().reads_end()
        });
        group.case("may close without reading", |c| {
            peer_0_is_served(another_is_told(c.door(door).another_is_refused().closes()))
        });
        group.case("may reset the connection", |c| peer_0_is_served(another_is_told(c.door(door)).resets()));
        group.case("is one of 20", |c| {
            let c = (0..20).fold(c.door(door), |c, _| c.another_is_refused().reads_goodbye().reads_end());
            peer_0_is_served(c)
        });
        group.case("gets no broadcast", |c| {
            another_is_told(c.door(door)).program_broadcasts("for all", 1).peer(0).reads("for all;")
        });
        group.case("does not hold up the close", |c| {
            c.door(door).another_is_refused().reads_goodbye().service_closes().peer(0).ends(ServiceClosed)
        });

        group.section(format!("a place, for a caller {name}"));
        group.case("is free when its peer has said goodbye", |c| {
            let c = another_is_told(c.door(door)).peer(0).says_goodbye().reads_goodbye().reads_end().closes();
            another_is_served(c.has_ended(PeerGoodbye))
        });
        group.case("is free when its peer has closed", |c| {
            another_is_served(another_is_told(c.door(door)).peer(0).closes().has_ended(PeerClosed))
        });
        group.case("is free when its peer has reset the connection", |c| {
            another_is_served(another_is_told(c.door(door)).peer(0).resets().has_ended(Reset))
        });
        group.case("is free when the program has aborted the connection", |c| {
            another_is_served(another_is_told(c.door(door)).peer(0).program_aborts().has_ended(LocalAbort))
                .peer(0)
                .reads_reset()
        });
        group.case("is free again and again", |c| {
            (0..10).fold(c.door(door), |c, number| {
                // The callers that are refused have numbers, too.
                let c = another_is_told(c).peer(2 * number).closes().has_ended(PeerClosed);
                c.another_connects()
            })
        });
        group.case("is taken while the connection closes", |c| {
            another_is_told(c.door(door).program_closes().reads_goodbye()).peer(0).ends(LocalClose)
        });
    }

    group.section("the program's own say");
    group.case("a hook that panics lets nobody in", |c| {
        let admit = Some((|caller| caller.num_connections() == 0 || panic!("as asked")) as fn(&Caller<'_>) -> bool);
        peer_0_is_served(c.door(Door { admit, ..Door::default() }).another_is_refused().fails("admit").reads_goodbye())
    });
    group.case("it is not asked for a caller over the limit", |c| {
        let admit = Some((|caller| caller.num_connections() == 0 || panic!("not asked")) as fn(&Caller<'_>) -> bool);
        peer_0_is_served(another_is_told(c.door(Door { max_connections: Some(1), admit, ..Door::default() })))
    });
    group.case("it sees how many connections come from an address", |c| {
        let admit: fn(&Caller<'_>) -> bool =
            |caller| caller.num_connections_from_address() < 2 && caller.peer_addr().is_some();
        let c = c.door(Door { max_per_address: Some(10), admit: Some(admit), ..Door::default() });
        peer_0_is_served(another_is_told(c.another_connects()))
    });
}
