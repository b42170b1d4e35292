//! Time-outs. Each is over soon, and cuts off what would never come.

use std::thread;
use std::time::Duration;

use leads_comm::{Error, OutboundLimit, SlowConsumer};

use crate::case::Case;
use crate::end::End;
use crate::end::Why::{self, LocalClose, PeerClosed, PeerGoodbye, ServiceClosed};
use crate::group::Group;
use crate::ours::Setting::{self, CloseTimeout, DrainTimeout, FlushTimeout, StallTimeout};

/// Where a time-out has to come.
const SHORT: Duration = Duration::from_millis(50);

/// Where it comes to one peer, and must not come to another that is never silent for as long, also on a busy machine.
const MEDIUM: Duration = Duration::from_millis(500);

/// Where it never comes.
const LONG: Duration = Duration::from_secs(60);

/// The time-out of a message that is not finished.
fn partial(case: Case, time: Duration) -> Case {
    case.with(Setting::PartialMessageTimeout(time))
}

/// It is over, with so many bytes of the message.
fn unfinished(bytes: usize) -> End {
    Why::PartialMessageTimeout(SHORT).discarding(bytes)
}

/// More than the system takes in a narrow case, and less than the queue holds.
const MUCH: usize = 1024 * 1024;

pub(crate) fn fill(group: &mut Group) {
    group.section("a peer that does not answer the goodbye");
    group.case("is given up after the drain time-out", |c| {
        c.with(DrainTimeout(SHORT)).program_closes().has_ended(LocalClose).reads_goodbye().reads_end()
    });
    group.case("is given up by a closing service", |c| {
        c.with(DrainTimeout(SHORT)).service_closes().has_ended(ServiceClosed).reads_goodbye().reads_end()
    });
    group.case("is given up although it goes on sending", |c| {
        c.ignoring_messages()
            .with(FlushTimeout(SHORT))
            .with(CloseTimeout(2 * SHORT))
            .floods("noise;")
            .program_closes()
            .has_ended(LocalClose)
            .reads_away()
    });
    group.case("is given up with half a message", |c| {
        c.with(DrainTimeout(SHORT)).sends("hal").until_read().program_closes().has_ended(LocalClose).reads_goodbye()
    });
    group.case("is given up when it said goodbye and does not close", |c| {
        c.with(DrainTimeout(SHORT)).says_goodbye().has_ended(PeerGoodbye).reads_goodbye().reads_end()
    });
    group.case("is given up when its message was too long", |c| {
        c.with(DrainTimeout(SHORT))
            .with(Setting::MaxReceivedLen(10))
            .sends("12345678901;")
            .has_ended(Why::MessageTooLong { limit: 10 })
            .reads_goodbye()
    });

    group.section("a peer that reads nothing");
    group.case("is cut off after the stall time-out", |c| {
        c.narrow()
            .with(StallTimeout(SHORT))
            .program_sends([b'x'; MUCH])
            .has_ended(Why::SlowConsumer(OutboundLimit::Stalled(SHORT)).with_unsent())
            .reads_away()
    });
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Block(LONG)] {
        group.case(format!("is cut off after the stall time-out under {policy:?}"), move |c| {
            c.narrow()
                .with(Setting::SlowConsumer(policy))
                .with(StallTimeout(SHORT))
                .program_sends([b'x'; MUCH])
                .has_ended(Why::SlowConsumer(OutboundLimit::Stalled(SHORT)).with_unsent())
                .reads_away()
        });
    }
    group.case("is cut off after the flush time-out when the connection closes", |c| {
        c.narrow()
            .with(FlushTimeout(SHORT))
            .program_sends([b'x'; MUCH])
            .program_closes()
            .has_ended(LocalClose.with_unsent())
            .reads_away()
    });
    group.case("is cut off after the flush time-out when the service closes", |c| {
        c.narrow()
            .with(FlushTimeout(SHORT))
            .program_sends([b'x'; MUCH])
            .service_closes()
            .has_ended(ServiceClosed.with_unsent())
            .reads_away()
    });
    group.case("is cut off after the flush time-out when it has said goodbye", |c| {
        c.narrow()
            .with(FlushTimeout(SHORT))
            .program_sends([b'x'; MUCH])
            .says_goodbye()
            .has_ended(PeerGoodbye.with_unsent())
            .reads_away()
    });
    group.case("is cut off after the flush time-out when it has ended its stream", |c| {
        c.narrow()
            .with(FlushTimeout(SHORT))
            .program_sends([b'x'; MUCH])
            .half_closes()
            .has_ended(PeerClosed.with_unsent())
            .reads_away()
    });

    group.section("waiting for a peer");
    group.case("a flush says what is left, and loses nothing", |c| {
        let message = vec![b'x'; MUCH];
        c.narrow()
            .program_sends(&message)
            .program("flushes in vain", |_, connection| match connection.flush(SHORT) {
                Err(Error::NotFlushed { bytes: 1.. }) => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .reads([&message[..], b";"].concat())
    });
    group.case("a flush returns once the peer has read", |c| {
        let message = vec![b'x'; MUCH];
        c.narrow()
            .program_sends(&message)
            .meanwhile_program("flushes", |_, connection| connection.flush(LONG).map_err(|error| error.to_string()))
            .reads([&message[..], b";"].concat())
    });

    group.section("a message that is not finished");
    group.case("ends the connection", |c| partial(c, SHORT).sends("hal").ends(unfinished(3)));
    group.case("is not delivered, but what came before is", |c| {
        partial(c, SHORT).sends("one;two;thr").receives(["one", "two"]).ends(unfinished(3))
    });
    group.case("only its separator is missing", |c| partial(c, SHORT).sends("whole").ends(unfinished(5)));
    group.case("its separator is cut", |c| partial(c, SHORT).separator("end;").sends("wholeen").ends(unfinished(7)));
    group.case("only a part of a separator has come", |c| {
        partial(c, SHORT).separator("end;").sends("oneend;e").receives(["one"]).ends(unfinished(1))
    });
    group.case("half a goodbye", |c| partial(c, SHORT).sends("disconn").ends(unfinished(7)));
    group.case("a goodbye without its separator", |c| partial(c, SHORT).sends("disconnect").ends(unfinished(10)));
    group.case("a peer that drips is not spared", |c| {
        partial(c, SHORT).drips("x").ends(Why::PartialMessageTimeout(SHORT).discarding_some())
    });
    group.case("a peer that drips a long separator is not spared", |c| {
        let c = partial(c, SHORT).separator("a".repeat(63) + "b");
        c.drips("a").ends(Why::PartialMessageTimeout(SHORT).discarding_some())
    });
    group.case("what was sent to the peer arrives before the goodbye", |c| {
        partial(c.echoing(), SHORT).sends("one;tw").receives(["one"]).reads("one;").ends(unfinished(2))
    });
    group.case("no goodbye comes back, and it is given up", |c| {
        partial(c, SHORT).with(DrainTimeout(SHORT)).sends("hal").has_ended(unfinished(3)).reads_goodbye().reads_end()
    });
    group.case("whole messages are not concerned, however many", |c| {
        partial(c, Duration::from_millis(1)).sends_in(["one;"; 500]).receives(["one"; 500])
    });
    group.case("a peer that is silent behind whole messages is not concerned", |c| {
        let c = partial(c, SHORT).peers(2).sends("one;two;").receives(["one", "two"]);
        let c = c.peer(1).sends("hal").reads_goodbye().reads_end().closes().has_ended(unfinished(3));
        c.peer(0).sends("three;").receives(["three"])
    });
    group.case("ends with its own connection, whatever others finish", |c| {
        let c = partial(c, SHORT).peers(2).sends("hal").until_read().peer(1).drips("noise;").ignoring_messages();
        c.peer(0).ends(unfinished(3)).peer(1).program_closes().ends(LocalClose)
    });
    group.case("the time of a callback does not count", |c| {
        let c = partial(c, MEDIUM).peers(2).on_receive(|service, _, message| {
            // Until the time of the other one is over.
            while message == b"one" && service.num_connections() > 1 {
                thread::yield_now();
            }
        });
        let c =
            c.sends_in(["on", "e;tw"]).receives(["one"]).sends("o;").peer(1).sends("hal").reads_goodbye().reads_end();
        let c = c.closes().has_ended(Why::PartialMessageTimeout(MEDIUM).discarding(3));
        c.peer(0).receives(["two"])
    });
    group.case("the end of the stream does not wait for it", |c| {
        partial(c, LONG).sends("hal").half_closes().ends(PeerClosed.discarding(3))
    });
    group.case("the end of the stream behind a part of the separator does not wait for it", |c| {
        partial(c, LONG).separator("end;").sends_in(["hal", "en"]).half_closes().ends(PeerClosed.discarding(5))
    });
    group.case("a long time is enough for a peer that drips", |c| {
        partial(c, LONG).sends_byte_by_byte("x".repeat(500) + ";").receives(["x".repeat(500)])
    });

    group.section("a silent peer");
    group.case("is told goodbye", |c| c.with(Setting::IdleTimeout(SHORT)).ends(Why::IdleTimeout(SHORT)));
    group.case("is told goodbye behind what it was sent", |c| {
        let c = c.on_connect(|_, connection| drop(connection.send(b"one")));
        c.with(Setting::IdleTimeout(SHORT)).reads("one;").ends(Why::IdleTimeout(SHORT))
    });
    group.case("is given up when it does not answer", |c| {
        let c = c.with(Setting::IdleTimeout(SHORT)).with(DrainTimeout(SHORT));
        c.has_ended(Why::IdleTimeout(SHORT)).reads_goodbye().reads_end()
    });
    group.case("one that speaks is spared", |c| {
        let c = c.ignoring_messages().with(Setting::IdleTimeout(MEDIUM)).peers(2).drips("x;").peer(1);
        let c = c.reads_goodbye().reads_end().closes().has_ended(Why::IdleTimeout(MEDIUM));
        c.peer(0).program_sends("still here").reads("still here;").program_closes().ends(LocalClose)
    });
    group.case("without the time-out it may be silent", |c| {
        let c = partial(c, SHORT).peers(2).peer(1).sends("hal").reads_goodbye().reads_end().closes();
        c.has_ended(unfinished(3)).peer(0).sends("one;").receives(["one"])
    });
}
