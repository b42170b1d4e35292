//! Every connection's end has one reason of one kind, and those add up.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::stats::{Counts, Kind};
use leads_comm::{Closing, Connection, DisconnectKind, RefusalKind, ServerBuilder, Timeouts};
use leads_comm_testing::account::assert_service_adds_up;
use leads_comm_testing::*;

const LEN: usize = 1000;

/// What ends a connection, and the kind of end that comes of it when nothing else does; done by the peer, which gives
/// itself up, or here.
enum Cause {
    Peer(fn(Raw), DisconnectKind),
    Here(fn(&Connection), DisconnectKind),
}

const CAUSES: &[Cause] = &[
    Cause::Peer(|raw| drop(raw.try_write(b"disconnect;")), DisconnectKind::PeerGoodbye),
    Cause::Peer(drop, DisconnectKind::PeerClosed),
    Cause::Peer(|raw| drop(raw.try_write(b"unfinished")), DisconnectKind::PeerClosed),
    Cause::Peer(Raw::reset, DisconnectKind::Io),
    Cause::Peer(|raw| drop(raw.try_write(&[b'x'; LEN + 1])), DisconnectKind::MessageTooLong),
    Cause::Peer(|raw| drop(raw.try_write(b"panic;")), DisconnectKind::CallbackPanicked),
    Cause::Here(Connection::close, DisconnectKind::LocalClose),
    Cause::Here(Connection::abort, DisconnectKind::LocalAbort),
    Cause::Here(|connection| while connection.send(&[b'x'; LEN]).is_ok() {}, DisconnectKind::SlowConsumer),
];

/// What takes more than a moment, a defect, a transport that can tell, a client, or a framing of the program's own.
const SLOW: &[DisconnectKind] = &[
    DisconnectKind::PartialMessageTimeout,
    DisconnectKind::IdleTimeout,
    DisconnectKind::TotalUnfinishedBytes,
    DisconnectKind::ServiceFailed,
    DisconnectKind::Truncated,
    DisconnectKind::NotLetIn,
    DisconnectKind::MalformedFrame,
];

/// A server that panics when it is asked to, and has no patience.
fn faulty(builder: ServerBuilder) -> (ServerBuilder, Receiver<Event>) {
    let (callback, events) = recorder();
    let faulty = callback::on_receive(|_, message| assert_ne!(message, b"panic", "as asked"));
    let time = Duration::from_millis(100);
    let builder = builder.callback((callback, faulty)).max_received_len(LEN).max_sent_len(LEN).max_queued_bytes(20_000);
    (builder.closing(Closing::new().flush_timeout(time).drain_timeout(time / 10).close_timeout(time)), events)
}

/// Ends `count` connections, in turn by each cause, by two at once, and by the close of their server.
fn end_many(net: Net, count: usize) {
    expect_panics_in_callbacks();
    let (builder, dial) = net.server();
    let (builder, events) = faulty(builder);
    let server = builder.build().unwrap();
    server.start(true).unwrap();
    let mut told = BTreeMap::new();
    let mut tell = |kind: DisconnectKind| *told.entry(kind).or_insert(0_u64) += 1;
    let left = count / 20;
    for number in 0..count - left {
        let raw = dial.raw(&server);
        let connection = connected(&events);
        let first = number % CAUSES.len();
        // Each pair once in a while.
        let second = (number % 3 == 0).then_some(number / CAUSES.len() % CAUSES.len());
        let causes = [Some(first), second].into_iter().flatten();
        let mut possible: Vec<_> = causes.clone().map(kind_of).collect();
        thread::scope(|scope| {
            // The peer has one cause, so that of two of its own only one happens.
            let mut raw = Some(raw);
            for cause in causes {
                match &CAUSES[cause] {
                    Cause::Peer(end, _) => {
                        if let Some(raw) = raw.take() {
                            scope.spawn(move || end(raw));
                        }
                    }
                    Cause::Here(end, _) => {
                        scope.spawn(|| end(&connection));
                    }
                }
            }
            // A peer that reads nothing stays until it is left.
            let reason = disconnected(&events);
            drop(raw);
            let kind = reason.kind();
            assert_eq!(connection.disconnect_reason().map(leads_comm::DisconnectReason::kind), Some(kind));
            if second.is_some() {
                // A write that fails, because the peer is gone.
                possible.push(DisconnectKind::Io);
            }
            if !net.resets() && possible.contains(&DisconnectKind::Io) {
                // What a reset is there.
                possible.push(DisconnectKind::PeerClosed);
            }
            assert!(possible.contains(&kind), "{number}: {reason}, not one of {possible:?}");
            tell(kind);
        });
        assert_service_adds_up(&server.stats());
    }
    let raws: Vec<_> = (0..left).map(|_| dial.raw(&server)).collect();
    (0..left).for_each(|_| drop(connected(&events)));
    server.close();
    (0..left).for_each(|_| tell(disconnected(&events).kind()));
    drop(raws);

    let stats = server.stats();
    assert_service_adds_up(&stats);
    let known: u64 = DisconnectKind::ALL.iter().map(|kind| stats.ended.get(*kind)).sum();
    println!("C6: ended by kind adds up to {known} of {count}, unknown {}", count as u64 - known);
    println!("    {}", stats.ended);
    assert_eq!((stats.opened, stats.connections, known), (count as u64, 0, count as u64));
    // What was told to `on_disconnect` is what was counted.
    let counted: BTreeMap<_, _> = stats.ended.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(told, counted);
    let is_quick = |kind| !SLOW.contains(kind) && (net.resets() || *kind != DisconnectKind::Io);
    let mut quick = DisconnectKind::ALL.iter().filter(|kind| is_quick(kind));
    assert!(quick.all(|kind| counted.contains_key(kind)), "{counted:?}");
}

fn kind_of(cause: usize) -> DisconnectKind {
    match CAUSES[cause] {
        Cause::Peer(_, kind) | Cause::Here(_, kind) => kind,
    }
}

over_every_transport! {
    fn ends_by_kind_add_up(net: Net) {
        end_many(net, if net == Net::Memory { 1400 } else { 300 });
    }
}

over_every_transport! {
    fn ends_that_take_time_add_up(net: Net) {
        let time = Duration::from_millis(50);
        let cases = [(DisconnectKind::PartialMessageTimeout, &b"unfinished"[..]), (DisconnectKind::IdleTimeout, b"")];
        for (kind, sent) in cases {
            let set = |builder: ServerBuilder, time| match kind {
                DisconnectKind::IdleTimeout => builder.idle_timeout(time),
                _ => builder.timeouts(Timeouts::new().partial_message_timeout(time)),
            };
            let started = net.start_server(|builder| set(builder, time).closing(Closing::new().drain_timeout(time)));
            let raws: Vec<_> = (0..5).map(|_| started.raw()).collect();
            raws.iter().for_each(|raw| raw.write(sent));
            (0..5).for_each(|_| assert_eq!(disconnected(&started.events).kind(), kind));
            let stats = started.server.stats();
            assert_eq!((stats.ended.get(kind), stats.ended.total()), (5, 5));
            assert_service_adds_up(&stats);
        }
    }
}

#[test]
#[ignore = "long: takes 2 minutes"]
fn ends_of_many_add_up() {
    for &net in Net::ALL {
        end_many(net, 10_000);
    }
}

fn assert_names<K: Copy + Ord + ToString>(all: &[K], name: fn(K) -> &'static str) {
    let names: std::collections::HashSet<_> = all.iter().map(|kind| name(*kind)).collect();
    assert_eq!(names.len(), all.len());
    for (position, kind) in all.iter().enumerate() {
        assert_eq!(kind.to_string().replace(' ', "_"), name(*kind));
        assert!(all[..position].iter().all(|before| before < kind));
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    assert_names(DisconnectKind::ALL, DisconnectKind::as_str);
    assert_names(RefusalKind::ALL, RefusalKind::as_str);
}

/// Adds so many of each kind as its place says.
fn assert_counts<K: Kind + Debug + PartialEq>(all: &[K], text: &str) {
    let mut counts = Counts::default();
    assert_eq!((counts.total(), counts.to_string()), (0, "none".to_owned()));
    for (number, kind) in all.iter().enumerate() {
        assert_eq!(counts.get(*kind), 0);
        (0..number).for_each(|_| counts += *kind);
        assert_eq!(counts.get(*kind), number as u64);
    }
    assert!(counts.iter().eq(all.iter().copied().zip(0..)), "{counts:?}");
    assert_eq!(counts.total(), (0..all.len() as u64).sum::<u64>());
    assert!(counts.to_string().starts_with(text), "{counts}");
}

#[test]
fn each_kind_is_counted_by_itself() {
    assert_counts(DisconnectKind::ALL, "1 not let in, 2 peer closed, 3 truncated, 4 local close, ");
    assert_counts(RefusalKind::ALL, "1 max connections per address, 2 max handshakes, 3 not admitted, ");
}
