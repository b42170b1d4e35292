//! Broadcasts that are gathered for two outboxes, beside those who do something to one of them.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::join;
use super::peer::{Peer, Sent, Setup};
use super::wire::Take;
use crate::connection::outbox::{BroadcastBatch, GATHERED_CHARGE, GatherOutcome, Refused};
use crate::sync::Mutex;
use crate::sync::explore::explore;

/// The connection table does not change in these models.
const GENERATION: u64 = 1;

/// Two connections of a service, as a broadcaster sees them.
struct Service {
    broadcast_batch: BroadcastBatch,
    peers: [Arc<Peer>; 2],
    /// Who is left out of the batch that is gathered.
    others: Mutex<Vec<usize>>,
}

impl Service {
    fn new(room: usize) -> Arc<Self> {
        Self::with(Setup { take: Take::room(room), ..Setup::default() })
    }

    fn with(setup: Setup) -> Arc<Self> {
        let rules = setup.rules();
        let peers = [(); 2].map(|()| Peer::with_rules(setup, Arc::clone(&rules)));
        Arc::new(Self { broadcast_batch: BroadcastBatch::new(rules), peers, others: Mutex::default() })
    }

    /// A thread that does `work` for this service.
    fn spawn<T: 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + 'static) -> JoinHandle<T> {
        let service = Arc::clone(self);
        thread::spawn(move || work(&service))
    }

    /// Gathers a message as a broadcaster does in a rush: what has become of it for each peer.
    fn broadcast(&self, message: &str) -> [Option<Sent>; 2] {
        loop {
            let mut others = self.others.lock();
            match self.broadcast_batch.gather(GENERATION, message.as_bytes()) {
                GatherOutcome::Gathered => {
                    return [0, 1].map(|peer| {
                        let is_member = !others.contains(&peer);
                        is_member.then(|| Sent { message: message.into(), outcome: Ok(()) })
                    });
                }
                GatherOutcome::NoBatch => {}
                GatherOutcome::OverBudget => unreachable!("the budget suffices"),
            }
            *others = self.broadcast_batch.begin(GENERATION, self.peers.iter().map(|peer| &peer.outbox));
            drop(others);
            self.write_unwritten();
        }
    }

    fn write_unwritten(&self) {
        if self.broadcast_batch.take_unwritten() {
            self.peers.iter().for_each(|peer| peer.write_ready());
        }
    }

    /// Sends a message to the first peer, behind what has been gathered.
    fn send(&self, message: &str) -> Sent {
        self.broadcast_batch.settle();
        loop {
            let sent = self.peers[0].send(message);
            if sent.outcome != Err(Refused::SettleFirst) {
                return sent;
            }
            self.broadcast_batch.end();
        }
    }

    /// Says goodbye to the first peer.
    fn close(&self) {
        self.broadcast_batch.settle();
        self.peers[0].close();
    }

    /// The reader's last steps for the first peer.
    fn retire(&self) {
        self.peers[0].wait_until_over();
        self.broadcast_batch.end();
        self.peers[0].retire();
    }

    /// The pump's last tick, and the end of both peers, after all has been sent by `threads`.
    fn end(&self, threads: Vec<[Vec<Sent>; 2]>) {
        self.broadcast_batch.end();
        self.write_unwritten();
        for (sent, peer) in split(threads).iter().zip(&self.peers) {
            peer.close();
            peer.wait_until_over();
            peer.settle_accounts(sent);
        }
        assert_eq!(self.peers[1].retire().unsent.messages, 0, "lost by a peer that said goodbye behind all others");
        self.peers[0].settle_budget();
    }
}

/// What each thread has sent, by peer.
fn split(threads: Vec<[Vec<Sent>; 2]>) -> [Vec<Vec<Sent>>; 2] {
    let mut peers = [Vec::new(), Vec::new()];
    for [first, second] in threads {
        peers[0].push(first);
        peers[1].push(second);
    }
    peers
}

/// What one thread has sent, one after the other.
fn add(sent: &mut [Vec<Sent>; 2], broadcast: [Option<Sent>; 2]) {
    for (sent, message) in sent.iter_mut().zip(broadcast) {
        sent.extend(message);
    }
}

/// Broadcasts, sends to the first peer, and broadcasts again.
fn broadcast_and_send(service: &Service, names: [&str; 3]) -> [Vec<Sent>; 2] {
    let mut sent = [Vec::new(), Vec::new()];
    add(&mut sent, service.broadcast(names[0]));
    sent[0].push(service.send(names[1]));
    add(&mut sent, service.broadcast(names[2]));
    sent
}

fn broadcast(service: &Service, names: &[&str]) -> [Vec<Sent>; 2] {
    let mut sent = [Vec::new(), Vec::new()];
    names.iter().for_each(|name| add(&mut sent, service.broadcast(name)));
    sent
}

/// What a thread broadcasts comes before what it sends next, whichever threads gather or settle at the same time.
#[test]
fn gather_and_send() {
    explore("gather_and_send", 3, || {
        let service = Service::new(100);
        let other = service.spawn(|service| broadcast_and_send(service, ["b1", "b2", "b3"]));
        let sent = broadcast_and_send(&service, ["a1", "a2", "a3"]);
        let others = join(other);
        let messages = sent.iter().chain(&others).map(Vec::len).sum::<usize>();
        assert_eq!(messages, 10, "both peers are open");
        service.end(vec![sent, others]);
    });
}

/// The pump's tick settles meanwhile.
#[test]
fn gather_and_tick() {
    explore("gather_and_tick", 3, || {
        let service = Service::new(100);
        let pump = service.spawn(|service| {
            service.broadcast_batch.settle();
            service.write_unwritten();
            service.broadcast_batch.end();
            service.write_unwritten();
        });
        let sent = broadcast_and_send(&service, ["a1", "a2", "a3"]);
        join(pump);
        service.end(vec![sent]);
    });
}

/// A peer is told goodbye by another thread.
#[test]
fn gather_and_close() {
    explore("gather_and_close", 3, || {
        let service = Service::new(100);
        let closer = service.spawn(|service| {
            service.close();
            service.retire();
        });
        let sent = broadcast_and_send(&service, ["a1", "a2", "a3"]);
        join(closer);
        service.end(vec![sent]);
    });
}

/// A peer is told goodbye by the broadcaster: behind what that had broadcast.
#[test]
fn gather_then_close() {
    explore("gather_then_close", None, || {
        let service = Service::new(100);
        let other = service.spawn(|service| broadcast(service, &["b1"]));
        let sent = broadcast(&service, &["a1", "a2"]);
        service.close();
        let others = join(other);
        service.end(vec![sent, others]);
        let written = service.peers[0].wire.bytes();
        for message in [&b"a1;"[..], b"a2;"] {
            assert!(written.windows(3).any(|bytes| bytes == message), "lost although the goodbye came behind it");
        }
    });
}

/// A peer is cut off and retires while others broadcast: all that was accepted for it is in what it reports.
#[test]
fn gather_and_abort() {
    explore("gather_and_abort", 5, || {
        let service = Service::new(100);
        let aborter = service.spawn(|service| {
            service.peers[0].abort();
            service.retire();
        });
        let sent = broadcast_and_send(&service, ["a1", "a2", "a3"]);
        join(aborter);
        service.end(vec![sent]);
    });
}

/// A sender does not take, meanwhile, the room of what is being gathered: no queue exceeds its limit.
#[test]
fn gather_and_fill() {
    const HALF: usize = GATHERED_CHARGE / 2 - 100;
    explore("gather_and_fill", 3, || {
        let service = Service::with(Setup { take: Take::room(0), limit: GATHERED_CHARGE, ..Setup::default() });
        let assert_limit = |service: &Service| {
            let charged = service.peers[0].outbox.charged();
            assert!(charged <= GATHERED_CHARGE, "{charged} bytes wait");
        };
        let other = service.spawn(|service| service.send(&"a".repeat(GATHERED_CHARGE - HALF)));
        let mut sent = [Vec::new(), Vec::new()];
        add(&mut sent, service.broadcast(&"b".repeat(HALF)));
        service.broadcast_batch.end();
        assert_limit(&service);
        let refused = join(other).outcome.is_err();
        assert_limit(&service);
        // Where there was no room for a batch, the message has gone another way.
        assert!(refused || sent[0].is_empty(), "both have found room");
        service.peers.iter().for_each(|peer| peer.abort());
    });
}

#[test]
fn gather_twice_and_abort() {
    explore("gather_twice_and_abort", 4, || {
        let service = Service::new(100);
        let aborter = service.spawn(|service| {
            service.peers[0].abort();
            service.retire();
        });
        let other = service.spawn(|service| broadcast(service, &["b1", "b2"]));
        let sent = broadcast(&service, &["a1", "a2"]);
        join(aborter);
        let others = join(other);
        service.end(vec![sent, others]);
    });
}
