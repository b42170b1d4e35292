//! Peers that read slowly, or not at all.

use std::time::Duration;

use leads_comm::SlowConsumer::{Block, Disconnect, DropNewest, DropOldest};
use leads_comm::{Connection, Error, OutboundLimit};

use crate::case::Case;
use crate::end::Why::{LocalClose, PeerGoodbye, SlowConsumer};
use crate::group::Group;
use crate::ours::Setting::{self, MaxQueuedBytes, MaxSentLen};

const QUEUE: usize = 64 * 1024;
const FULL: OutboundLimit = OutboundLimit::QueuedBytes(QUEUE);

/// Never over within a case.
const LONG: Duration = Duration::from_secs(60);

/// Over soon, for those who do nothing at all.
const SHORT: Duration = Duration::from_millis(50);

/// A peer that is soon seen to be slow, and a queue that is soon full.
fn small(case: Case, policy: leads_comm::SlowConsumer) -> Case {
    case.narrow().with(MaxSentLen(1000)).with(MaxQueuedBytes(QUEUE)).with(Setting::SlowConsumer(policy))
}

/// Messages of 1,000 bytes as they go over the wire.
fn copies(count: usize) -> Vec<u8> {
    [&[b'x'; 1000][..], b";"].concat().repeat(count)
}

/// Sends messages of 1,000 bytes until one is not accepted; what was said then.
fn send_until_full(connection: &Connection) -> Error {
    loop {
        if let Err(error) = connection.send(&[b'x'; 1000]) {
            return error;
        }
    }
}

/// Sends 500 messages of 1,000 bytes, waiting for room as the policy says.
fn send_500(connection: &Connection) -> Result<(), String> {
    (0..500).try_for_each(|_| connection.send(&[b'x'; 1000])).map_err(|error| error.to_string())
}

pub(crate) fn fill(group: &mut Group) {
    group.section("a pause in reading loses nothing");
    group.case("1 MiB waits for the peer", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.narrow()
            .program_sends(&message)
            .sends("still there;")
            .receives(["still there"])
            .reads([&message[..], b";"].concat())
    });
    group.case("2 messages of 1 MiB wait for the peer, and a short one", |c| {
        let message = vec![b'x'; 1024 * 1024];
        let bytes = [&message[..], b";"].concat();
        c.narrow()
            .program_sends(&message)
            .program_sends(&message)
            .program_sends("short")
            .reads(&bytes)
            .sends("half of it is here;")
            .receives(["half of it is here"])
            .reads(&bytes)
            .reads("short;")
    });
    group.case("a sender that may wait waits for the peer", |c| {
        small(c, Block(LONG))
            .meanwhile_program("sends 500 messages", |_, connection| send_500(connection))
            .reads(copies(500))
    });
    group.case("a sender that may wait waits for a peer that reads slowly", |c| {
        small(c, Block(LONG))
            .meanwhile_program("sends 500 messages", |_, connection| send_500(connection))
            .reads_slowly(copies(500))
    });
    group.case("a broadcaster that may wait waits for the peer", |c| {
        small(c, Block(LONG))
            .meanwhile_program("broadcasts 500 messages", |service, _| {
                (0..500).try_for_each(|_| match service.broadcast(&[b'x'; 1000]) {
                    Ok(1) => Ok(()),
                    other => Err(format!("saw {other:?}")),
                })
            })
            .reads(copies(500))
    });
    group.case("answers that may wait, to a peer that asks before it reads", |c| {
        small(c, Block(LONG))
            .echoing()
            .ignoring_messages()
            .floods(copies(1))
            .reads(copies(300))
            .program_closes()
            .reads_copies_of([b'x'; 1000])
            .ends(LocalClose)
    });

    group.section("a full queue");
    group.case("Disconnect: the sender is told, and the peer is cut off", |c| {
        small(c, Disconnect)
            .program("sends until it is refused", |_, connection| match send_until_full(connection) {
                Error::SlowConsumer { limit: FULL } => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .has_ended(SlowConsumer(FULL).with_unsent())
            .reads_away()
    });
    group.case("Disconnect: a broadcast does not count the peer", |c| {
        small(c, Disconnect)
            .program("broadcasts until nobody takes it", |service, _| {
                while service.broadcast(&[b'x'; 1000]).map_err(|error| error.to_string())? > 0 {}
                Ok(())
            })
            .has_ended(SlowConsumer(FULL).with_unsent())
            .reads_away()
    });
    group.case("Disconnect: a peer that asks without reading the answers", |c| {
        small(c, Disconnect)
            .echoing()
            .ignoring_messages()
            .floods(copies(1))
            .has_ended(SlowConsumer(FULL).with_unsent())
            .reads_away()
    });
    group.case("DropNewest: the sender is told, and what was accepted arrives whole", |c| {
        small(c, DropNewest)
            .program("sends until one is dropped", |_, connection| match send_until_full(connection) {
                Error::Dropped { limit: FULL } => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .program_closes()
            .reads(copies(30))
            .reads_copies_of([b'x'; 1000])
            .ends(LocalClose.with_dropped())
    });
    group.case("DropOldest: every send succeeds, and what is left arrives whole", |c| {
        small(c, DropOldest)
            .program("sends until some have been dropped", |_, connection| {
                while connection.dropped_messages() < 10 {
                    connection.send(&[b'x'; 1000]).map_err(|error| error.to_string())?;
                }
                Ok(())
            })
            .program_closes()
            .reads(copies(30))
            .reads_copies_of([b'x'; 1000])
            .ends(LocalClose.with_dropped())
    });
    group.case("DropNewest: the peer goes on as if nothing had happened", |c| {
        small(c, DropNewest)
            .program("sends until one is dropped", |_, connection| {
                send_until_full(connection);
                Ok(())
            })
            .sends("still there;")
            .receives(["still there"])
            .says_goodbye()
            .reads(copies(30))
            .reads_copies_of([b'x'; 1000])
            .ends(PeerGoodbye.with_dropped())
    });
    group.case("Block: when its time is over, the peer is cut off", |c| {
        small(c, Block(SHORT))
            .program("sends until it is refused", |_, connection| match send_until_full(connection) {
                Error::SlowConsumer { limit: FULL } => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .has_ended(SlowConsumer(FULL).with_unsent())
            .reads_away()
    });
}
