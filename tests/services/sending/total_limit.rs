//! The limit on what waits for all peers together.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::{
    Closing, Connection, DisconnectCause, DisconnectReason, Error, MemoryLimits, OutboundLimit, ServerBuilder,
    SlowConsumer,
};
use leads_comm_testing::valve::{self, EITHER, Valve, Valves, Writes};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

const LEN: usize = 10_000;
const QUEUE: usize = 200_000;
const TOTAL: usize = 400_000;
const CHARGE: usize = LEN + 1 + 64;

/// Eight peers fill the sum before any fills its own queue.
const STALLED: usize = 8;

fn limited(builder: ServerBuilder) -> ServerBuilder {
    let memory = MemoryLimits::new().max_total_queued_bytes(TOTAL);
    hasty(builder.max_sent_len(LEN).max_queued_bytes(QUEUE).memory_limits(memory))
}

fn hasty(builder: ServerBuilder) -> ServerBuilder {
    // Those who are stalled at the end of a test are not waited for.
    builder.closing(Closing::new().flush_timeout(Duration::from_millis(100)))
}

/// Whether a connection has ended because of the sum.
fn ended_by_the_sum(reason: &DisconnectReason) -> bool {
    matches!(reason.cause, DisconnectCause::SlowConsumer { limit: OutboundLimit::TotalQueuedBytes(TOTAL) })
}

struct Peer {
    valve: Valve,
    connection: Connection,
}

fn peers(started: &Started, valves: &Valves, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer { valve: valves.connect(), connection: connected(&started.events) }).collect()
}

fn queued(peers: &[Peer]) -> usize {
    peers.iter().map(|peer| peer.connection.queued_bytes()).sum()
}

/// Sends to each in turn until nothing more is accepted; how many messages were.
fn fill(peers: &[Peer]) -> usize {
    let mut accepted = 0;
    loop {
        for peer in peers {
            match peer.connection.send(&numbered(accepted, LEN)) {
                Ok(()) => accepted += 1,
                Err(Error::Dropped { limit: OutboundLimit::TotalQueuedBytes(TOTAL) }) => return accepted,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn disconnect_ends_the_peer_with_the_longest_queue_and_no_other() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, limited);
        let stalled = peers(&started, &valves, STALLED);
        let healthy = &peers(&started, &valves, 1)[0];
        healthy.valve.open();
        let longest = stalled[3].connection.clone();
        longest.send(&numbered(0, LEN)).unwrap();
        let mut sent = 0;
        while !longest.is_closed() {
            for peer in &stalled {
                // Whoever is sent to, one makes room for it.
                if let Err(error) = peer.connection.send(&numbered(sent, LEN)) {
                    assert!(matches!(error, Error::Disconnected) && peer.connection == longest, "{error}");
                }
                healthy.connection.send(&numbered(sent, LEN)).unwrap();
                healthy.connection.flush(PATIENCE).unwrap();
                sent += 1;
                assert!(queued(&stalled) <= TOTAL + TOTAL / 8 + STALLED * 256);
            }
        }
        let (ended, reason) = find(&started.events, |event| match event {
            Event::Disconnect { connection, reason } => Some((connection, reason)),
            _ => None,
        });
        assert!(ended == longest && ended_by_the_sum(&reason), "{writes:?}: {ended} {reason}");
        assert_eq!(reason.undelivered.dropped.messages, 0);
        for number in 0..sent {
            healthy.valve.wait_for("all", |taken| taken.concat().len() == sent * (LEN + 1));
            assert_eq!(number_of(&healthy.valve.messages()[number]), number);
        }
        assert_eq!(started.server.num_connections(), STALLED);
        assert!(stalled.iter().chain([healthy]).all(|peer| peer.connection.dropped_messages() == 0));
    }
}

over_every_transport! {
    fn a_healthy_peer_loses_nothing_while_stalled_ones_are_ended_for_it(net: Net) {
        const MESSAGES: usize = 1500;
        let started = net.start_server(limited);
        let stalled: Vec<_> = (0..STALLED).map(|_| (started.raw(), connected(&started.events))).collect();
        let messages = started.raw().into_messages();
        let healthy = connected(&started.events);
        let (server, to) = (started.server.clone(), healthy.clone());
        let sending = thread::spawn(move || {
            let mut ended = 0;
            for number in 0..MESSAGES {
                let message = numbered(number, LEN);
                for (_, connection) in &stalled {
                    ended += usize::from(connection.is_closed());
                    let _ = connection.send(&message);
                }
                match number % 3 {
                    0 => to.send(&message).unwrap(),
                    1 => assert_eq!(to.send_all([&message]).unwrap(), 1),
                    _ => assert!(server.broadcast(&message).unwrap() >= 1),
                }
                // At the pace of the one who reads.
                to.flush(PATIENCE).unwrap();
            }
            ended
        });
        for number in 0..MESSAGES {
            assert_eq!(number_of(&messages.recv_timeout(PATIENCE).unwrap()), number);
        }
        assert!(in_time("sending", || sending.join().unwrap()) > 0, "it all fitted somewhere");
        assert!(ended_by_the_sum(&disconnected(&started.events)));
        assert_eq!(healthy.dropped_messages(), 0);
    }
}

/// Many have to go for one batch; as many as it takes.
#[test]
fn disconnect_makes_room_for_a_batch_as_for_a_message() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, limited);
        let stalled = peers(&started, &valves, 36);
        let healthy = &peers(&started, &valves, 1)[0];
        healthy.valve.open();
        // One message each, and nearly all that there is.
        for peer in &stalled {
            peer.connection.send(&numbered(0, LEN)).unwrap();
        }
        let batch: Vec<_> = (0..9).map(|number| numbered(number, LEN)).collect();
        assert_eq!(healthy.connection.send_all(&batch).unwrap(), batch.len(), "{writes:?}");
        healthy.valve.wait_for("the batch", |taken| taken.concat().len() == batch.len() * (LEN + 1));
        assert_eq!(healthy.connection.dropped_messages(), 0);
    }
}

/// Every peer's queue is nearly full of the same messages, which fit into the sum once.
#[test]
fn what_is_broadcast_counts_once() {
    for writes in EITHER {
        for len in [LEN, 100] {
            let (started, valves) = valve::start_server(writes, limited);
            let stalled = peers(&started, &valves, 50);
            let mut sent = 0;
            while stalled[0].connection.queued_bytes() < QUEUE * 9 / 10 {
                assert_eq!(started.server.broadcast(&numbered(sent, len)).unwrap(), stalled.len(), "{writes:?} {len}");
                sent += 1;
                if sent % 50 == 0 {
                    assert!(matches!(started.server.flush(Duration::ZERO), Err(Error::NotFlushed { .. })));
                }
            }
            assert!(queued(&stalled) > 20 * TOTAL);
            for peer in &stalled {
                peer.valve.open();
            }
            let last = [numbered(sent, len), b";".to_vec()].concat();
            assert_eq!(started.server.broadcast(&numbered(sent, len)).unwrap(), stalled.len());
            stalled.iter().for_each(|peer| peer.valve.wait_for_end(&last));
        }
    }
}

/// Under the policies that drop, those who have taken everything are served all the same.
#[test]
fn drop_policies_serve_those_who_read_although_the_sum_is_used_up() {
    for writes in EITHER {
        for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            let (started, valves) = valve::start_server(writes, |builder| limited(builder).slow_consumer(policy));
            let stalled = peers(&started, &valves, STALLED);
            let healthy = &peers(&started, &valves, 1)[0];
            healthy.valve.open();
            fill(&stalled);
            for number in 0..100 {
                let accepted = started.server.broadcast(&numbered(number, LEN)).unwrap();
                assert!((1..=STALLED + 1).contains(&accepted), "{writes:?} {policy:?} {number}: {accepted}");
                healthy.valve.wait_for("the broadcast", |taken| taken.concat().len() == (number + 1) * (LEN + 1));
                healthy.connection.flush(PATIENCE).unwrap();
            }
            let numbers: Vec<_> = healthy.valve.messages().iter().map(|message| number_of(message)).collect();
            assert!(numbers.into_iter().eq(0..100));
            assert_eq!(healthy.connection.dropped_messages(), 0);
            assert_eq!(started.server.num_connections(), STALLED + 1);
        }
    }
}

/// Senders who all wait for the same room get it in turn, and none goes without.
#[test]
fn block_loses_nothing_however_many_wait_for_the_sum() {
    const SENDERS: usize = 8;
    const MESSAGES: usize = 100;
    for writes in EITHER {
        for all in [false, true] {
            let (started, valves) = valve::start_server(writes, |builder| {
                builder
                    .max_sent_len(LEN)
                    .max_queued_bytes(4 * CHARGE)
                    .memory_limits(MemoryLimits::new().max_total_queued_bytes(4 * CHARGE))
                    .slow_consumer(PATIENT)
            });
            let peers = peers(&started, &valves, SENDERS);
            let (done, sent) = mpsc::channel();
            for peer in &peers {
                let (connection, done) = (peer.connection.clone(), done.clone());
                thread::spawn(move || {
                    let messages = (0..MESSAGES).map(|number| numbered(number, LEN));
                    let accepted = match all {
                        true => connection.send_all(messages).unwrap(),
                        false => messages.map(|message| connection.send(&message).unwrap()).count(),
                    };
                    done.send(accepted).unwrap();
                });
            }
            // Everyone takes a little, again and again.
            let deadline = std::time::Instant::now() + PATIENCE;
            let mut accepted = Vec::new();
            while accepted.len() < SENDERS {
                assert!(std::time::Instant::now() < deadline, "{writes:?}: it hangs");
                peers.iter().for_each(|peer| peer.valve.allow(LEN / 2));
                accepted.extend(sent.recv_timeout(Duration::from_millis(1)));
            }
            assert_eq!(accepted, [MESSAGES; SENDERS], "{writes:?}");
            for peer in &peers {
                peer.valve.open();
                peer.valve.wait_for("all", |taken| taken.concat().len() == MESSAGES * (LEN + 1));
                let numbers: Vec<_> = peer.valve.messages().iter().map(|message| number_of(message)).collect();
                assert!(numbers.into_iter().eq(0..MESSAGES));
                assert_eq!(peer.connection.dropped_messages(), 0);
            }
        }
    }
}

/// Whatever has happened to what was queued, all of the sum can be used again.
#[test]
fn nothing_of_the_sum_is_lost_for_ever() {
    /// All that there is room for, but for what each peer may have taken and not used yet.
    const MOST: usize = (TOTAL - STALLED * 4096) / CHARGE;
    type Ending = fn(&[Peer]);
    const ENDINGS: [(&str, Ending); 5] = [
        ("abort", |peers| peers.iter().for_each(|peer| peer.connection.abort())),
        ("reset", |peers| peers.iter().for_each(|peer| peer.valve.reset())),
        ("hang up", |peers| {
            peers.iter().for_each(|peer| {
                peer.valve.hang_up();
                peer.valve.open();
            });
        }),
        ("close", |peers| {
            peers.iter().for_each(|peer| {
                peer.connection.close();
                peer.valve.open();
            });
        }),
        ("a part is taken", |peers| {
            peers.iter().for_each(|peer| peer.valve.allow(LEN + LEN / 3));
            peers.iter().for_each(|peer| peer.valve.wait_for("a part", |taken| !taken.is_empty()));
            peers.iter().for_each(|peer| peer.connection.abort());
        }),
    ];
    for writes in EITHER {
        for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
            let (started, valves) = valve::start_server(writes, |builder| {
                limited(builder).slow_consumer(policy).timeouts(unhurried(Duration::from_secs(60)))
            });
            // Twice, so that a little that is lost each time comes to much.
            for (ending, end) in ENDINGS.into_iter().chain(ENDINGS) {
                let peers = peers(&started, &valves, STALLED);
                // Written alone, gathered, and refused.
                for number in 0..200 {
                    started.server.broadcast(&numbered(number, 500)).unwrap();
                }
                for peer in &peers {
                    peer.connection.send_all((0..60).map(|number| numbered(number, LEN))).unwrap();
                    assert!(peer.connection.send_all([&b"sound"[..], b"un;sound"]).is_err());
                }
                fill(&peers);
                end(&peers);
                peers.iter().for_each(|_| drop(disconnected(&started.events)));
                let again = self::peers(&started, &valves, STALLED);
                until(ending, || fill_again(&again) >= MOST);
                again.iter().for_each(|peer| peer.connection.abort());
                again.iter().for_each(|_| drop(disconnected(&started.events)));
            }
        }
    }
}

/// How many messages wait, after as many more as there is room for.
fn fill_again(peers: &[Peer]) -> usize {
    fill(peers);
    queued(peers) / CHARGE
}

/// A peer that takes what it is sent is served by every call, however fast they come, while others have used the sum up
/// and ask for more all the time.
#[test]
fn whoever_takes_everything_is_served_by_every_call() {
    const MESSAGES: usize = 20_000;
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, PATIENT] {
        let (started, valves) = valve::start_server(Writes::Direct, |builder| {
            limited(builder)
                .max_queued_bytes(TOTAL / 4)
                .slow_consumer(policy)
                .timeouts(unhurried(Duration::from_secs(60)))
        });
        let stalled = peers(&started, &valves, STALLED);
        let healthy = &peers(&started, &valves, 1)[0];
        healthy.valve.open();
        let greedy = stalled.iter().map(|peer| {
            let connection = peer.connection.clone();
            thread::spawn(move || while !matches!(connection.send(b"zzz"), Err(Error::Disconnected)) {})
        });
        let greedy: Vec<_> = greedy.collect();
        // Tiny messages are charged more in a queue than they take of the sum.
        until("used up", || queued(&stalled) >= TOTAL * 4 / 5);
        let mut sent = 0;
        let mut send = |what: &str, accepted: usize, wanted: usize| {
            assert_eq!(accepted, wanted, "{policy:?}: {what} after {sent} messages");
            sent += wanted;
        };
        for number in 0..MESSAGES {
            healthy
                .connection
                .send(&numbered(number, 30))
                .unwrap_or_else(|error| panic!("{policy:?} {number}: {error}"));
            send("send", 1, 1);
        }
        for _ in 0..500 {
            send("send_all", healthy.connection.send_all([&b"one"[..], b"two", &[b'x'; 5000]]).unwrap(), 3);
        }
        let only = |connection: &Connection| *connection == healthy.connection;
        for _ in 0..500 {
            send("broadcast_where", started.server.broadcast_where(b"to one", only).unwrap(), 1);
        }
        if policy != PATIENT {
            for _ in 0..500 {
                send("broadcast", started.server.broadcast(b"to all").unwrap().min(1), 1);
            }
        }
        healthy.connection.flush(PATIENCE).unwrap();
        assert_eq!(healthy.connection.stats().traffic.written.messages, sent as u64, "{policy:?}");
        assert_eq!(healthy.connection.dropped_messages(), 0, "{policy:?}");
        stalled.iter().for_each(|peer| peer.connection.abort());
        greedy.into_iter().for_each(|sender| sender.join().unwrap());
    }
}

/// One thread broadcasts in a rush, another one sends: what waits for a peer never exceeds its limit.
#[test]
fn no_queue_exceeds_its_limit_whoever_sends_at_once() {
    const LIMIT: usize = 1 << 20;
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        builder.max_sent_len(LEN).max_queued_bytes(LIMIT).slow_consumer(SlowConsumer::DropNewest)
    });
    for _ in 0..20 {
        let peers = peers(&started, &valves, 2);
        thread::scope(|scope| {
            let sender = scope.spawn(|| while peers[0].connection.send(&[b'x'; 1000]).is_ok() {});
            while !sender.is_finished() {
                started.server.broadcast(&[b'y'; 1000]).unwrap();
                let charged = peers.iter().map(|peer| peer.connection.queued_bytes()).max().unwrap();
                assert!(charged <= LIMIT, "{charged} bytes wait");
            }
        });
        for peer in &peers {
            let most = peer.connection.stats().traffic.peak_queued_bytes;
            assert!(most <= LIMIT, "{most} bytes have been waiting");
            peer.connection.abort();
        }
    }
}

/// Peers who have stopped in the middle of a message hold what there is beyond the limit: those who take what they are
/// sent are written to all the same, messages of every length, at the cost of what waits for others.
#[test]
fn whoever_takes_everything_is_served_though_others_hold_the_reserve() {
    const MESSAGES: usize = 300;
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
        let (started, valves) = valve::start_server(Writes::Direct, |builder| {
            limited(builder).slow_consumer(policy).timeouts(unhurried(Duration::from_secs(60)))
        });
        // Two who have more than a batch each, of which a part is no use to anybody else.
        let stalled = peers(&started, &valves, 2);
        while stalled.iter().all(|peer| peer.connection.send(&numbered(0, LEN)).is_ok()) {}
        // Each has taken the beginning of a message.
        let stopped = peers(&started, &valves, TOTAL / 8 / LEN + 3);
        for peer in &stopped {
            peer.valve.allow(10);
            peer.connection.send(&numbered(0, LEN)).unwrap_or_else(|error| panic!("{policy:?}: {error}"));
        }
        let healthy = &peers(&started, &valves, 1)[0];
        healthy.valve.open();
        let only = |connection: &Connection| *connection == healthy.connection;
        for number in 0..MESSAGES {
            let message = numbered(number, LEN);
            match number % 3 {
                0 => healthy.connection.send(&message).unwrap_or_else(|error| panic!("{policy:?} {number}: {error}")),
                1 => assert_eq!(healthy.connection.send_all([message]).unwrap(), 1, "{policy:?} {number}"),
                _ => assert_eq!(started.server.broadcast_where(&message, only).unwrap(), 1, "{policy:?} {number}"),
            }
        }
        healthy.connection.flush(PATIENCE).unwrap();
        assert_eq!(healthy.valve.messages().len(), MESSAGES);
        assert_eq!(healthy.connection.dropped_messages(), 0);
        // No more has been dropped than had to be, and the account of it comes out.
        let dropped: u64 = stalled.iter().map(|peer| peer.connection.dropped_messages()).sum();
        assert!((1..=20).contains(&dropped), "{policy:?}: {dropped} dropped for others");
        assert!(queued(&stalled) + queued(&stopped) > TOTAL / 2);
    }
}

/// However little is missing: room is made, and not asked for again and again.
#[test]
fn a_sender_goes_on_however_little_room_is_left() {
    const LEN: usize = 40_000;
    for writes in EITHER {
        for policy in [SlowConsumer::Disconnect, SlowConsumer::Block(Duration::from_millis(1))] {
            for room in (0..1500).step_by(20) {
                let total = 6 * (LEN + 1) + room;
                let (started, valves) = valve::start_server(writes, |builder| {
                    let builder = builder.slow_consumer(policy).max_sent_len(LEN).max_queued_bytes(total);
                    hasty(builder.memory_limits(MemoryLimits::new().max_total_queued_bytes(total)))
                });
                let peers = peers(&started, &valves, 2);
                in_time("sending", move || {
                    while peers.iter().all(|peer| !peer.connection.is_closed()) {
                        peers.iter().for_each(|peer| drop(peer.connection.send(&[b'x'; LEN])));
                    }
                    peers.iter().for_each(|peer| peer.connection.abort());
                });
            }
        }
    }
}
