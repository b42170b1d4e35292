//! Time-outs. Each is over soon, and cuts off what would never come.

use std::time::Duration;

use leads_comm::{Error, OutboundLimit, SlowConsumer};

use crate::case::Group;
use crate::end::Why::{self, LocalClose, PeerClosed, PeerGoodbye, ServiceClosed};
use crate::ours::Setting::{self, CloseTimeout, DrainTimeout, FlushTimeout, StallTimeout};

const SHORT: Duration = Duration::from_millis(50);

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
            .with(Setting::MaxMessageLen(10))
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
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Block(Duration::from_secs(60))] {
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
            .meanwhile_program("flushes", |_, connection| {
                connection.flush(Duration::from_secs(60)).map_err(|error| error.to_string())
            })
            .reads([&message[..], b";"].concat())
    });
}
