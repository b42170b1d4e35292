//! Models of what is queued: it is taken in by everyone, and written by the pump.

use super::join;
use super::peer::{Peer, Setup};
use super::wire::Take;
use crate::connection::outbox::Flushed;
use crate::settings::SlowConsumer;
use crate::sync::explore::explore;
use crate::sync::now;

/// What a message of two bytes is charged.
const CHARGE: usize = 2 + 1 + 64;

fn room(room: usize) -> Setup {
    Setup { take: Take::room(room), ..Setup::default() }
}

/// One who queues, one who does `others`, the pump, and `end` by the main thread.
fn queueing(setup: Setup, others: fn(&Peer) -> Vec<super::peer::Sent>, end: fn(&Peer)) {
    let peer = Peer::new(setup);
    let queuer = peer.spawn_queuer('a', 2);
    let other = peer.spawn(others);
    let pump = peer.spawn_pump();
    end(&peer);
    let sent = [join(queuer), join(other)];
    peer.close();
    peer.wait_until_over();
    join(pump);
    peer.settle(&sent);
}

/// What is queued is written although nobody asks for it.
#[test]
fn queued_alone() {
    explore("queued_alone", 2, || {
        let peer = Peer::new(room(100));
        let pump = peer.spawn_pump();
        let sent = [peer.spawn_queuer('a', 2), peer.spawn_queuer('b', 1)].map(join);
        assert_eq!(peer.outbox.wait_flushed(now()), Flushed::Written);
        peer.close();
        peer.wait_until_over();
        join(pump);
        peer.settle(&sent);
    });
}

#[test]
fn queued_by_two() {
    explore("queued_by_two", 2, || {
        queueing(room(100), |peer| vec![peer.queue("b1"), peer.queue("b2")], Peer::close);
    });
}

#[test]
fn queued_beside_a_sender() {
    explore("queued_beside_a_sender", 2, || {
        queueing(room(100), |peer| vec![peer.queue("b1"), peer.send("b2")], |_| ());
    });
}

/// While the first sender writes, the third message of the second one opens the lane; the fourth closes it.
#[test]
fn queued_with_a_lane() {
    explore("queued_with_a_lane", 2, || {
        let peer = Peer::new(room(100));
        let sender = peer.spawn_sender('a', 1);
        let other = peer.spawn(|peer| {
            let sent = ["b1", "b2", "b3"].map(|message| peer.send(message));
            sent.into_iter().chain([peer.queue("b4"), peer.send("b5")]).collect()
        });
        let pump = peer.spawn_pump();
        let sent = [join(sender), join(other)];
        peer.close();
        peer.wait_until_over();
        join(pump);
        peer.settle(&sent);
    });
}

#[test]
fn queued_while_closing() {
    explore("queued_while_closing", 2, || queueing(room(4), |peer| vec![peer.send("b1")], Peer::close));
}

#[test]
fn queued_while_dying() {
    explore("queued_while_dying", 2, || queueing(room(4), |peer| vec![peer.send("b1")], Peer::abort));
}

#[test]
fn queued_with_writing_thread() {
    let take = Take { directly: false, at_once: 2, ..Take::room(0) };
    explore("queued_with_writing_thread", 2, move || {
        queueing(Setup { take, ..Setup::default() }, |peer| vec![peer.send("b1")], |_| ());
    });
}

/// What may be used between two looks is a part of the queue's room, and is given up where others need it.
#[test]
fn queued_in_little_room() {
    for slow_consumer in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let setup = Setup { limit: 3 * CHARGE, slow_consumer, ..room(1) };
        explore("queued_in_little_room", 1, move || {
            queueing(setup, |peer| vec![peer.send("b1"), peer.queue("b2")], |_| ());
        });
    }
}
