//! What waits: for whom, for how long, and what becomes of it when there is no more room.

use std::time::Duration;

use super::join;
use super::peer::{Peer, Sent, Setup};
use super::wire::Take;
use crate::connection::outbox::{Flushed, RUSH};
use crate::settings::{OVERHEAD, SlowConsumer};
use crate::sync::explore::explore;
use crate::sync::{be_late, now};

/// What a message of two bytes is charged.
const CHARGE: usize = 3 + OVERHEAD;

const LONG: Duration = Duration::from_secs(1);

/// Sends, flushes, and holds the outbox to its word. Returns what was sent and all that had been written by then.
pub(super) fn send_and_flush(peer: &Peer, messages: &[&str]) -> (Vec<Sent>, Option<Vec<u8>>) {
    let sent: Vec<_> = messages.iter().map(|message| peer.send(*message)).collect();
    match peer.flush() {
        Flushed::Written => (sent, Some(peer.wire.bytes())),
        Flushed::Lost => (sent, None),
        Flushed::TimedOut { .. } => unreachable!("nobody is late"),
    }
}

/// What was written in the end had been by the time of the flush if it had been accepted before.
fn assert_flushed((sent, flushed): &(Vec<Sent>, Option<Vec<u8>>), written: &[Vec<u8>]) {
    let Some(flushed) = flushed else { return };
    for Sent { message, outcome } in sent {
        let had_been = flushed.split(|byte| *byte == b';').any(|flushed| flushed == message);
        let late = outcome.is_ok() && written.contains(message) && !had_been;
        assert!(!late, "flushed before {:?} was written", message.escape_ascii().to_string());
    }
}

/// A sender who flushes, another one, the pump, and `end`, by the main thread.
fn flushing(setup: Setup, end: fn(&Peer)) {
    let peer = Peer::new(setup);
    let flusher = peer.spawn(|peer| send_and_flush(peer, &["a1", "a2"]));
    let sender = peer.spawn_sender('b', 2);
    let pump = peer.spawn_pump();
    end(&peer);
    let flushed = join(flusher);
    let sent = join(sender);
    peer.close();
    peer.wait_until_over();
    join(pump);
    let (sent_and_flushed, at) = flushed;
    let senders = [sent_and_flushed, sent];
    let written = peer.settle(&senders);
    let [sent_and_flushed, _] = senders;
    assert_flushed(&(sent_and_flushed, at), &written);
}

fn room(room: usize) -> Setup {
    Setup { take: Take::room(room), ..Setup::default() }
}

#[test]
fn flush() {
    explore("flush", 2, || flushing(room(1), |_| ()));
}

#[test]
fn flush_corked() {
    explore("flush_corked", 2, || flushing(Setup { tight: 0, ..room(100) }, |_| ()));
}

#[test]
fn flush_while_closing() {
    explore("flush_while_closing", 2, || flushing(room(4), Peer::close));
}

#[test]
fn flush_while_dying() {
    explore("flush_while_dying", 3, || flushing(room(4), Peer::abort));
}

/// What is dropped behind a message that is being written must not be taken for that one.
#[test]
fn flush_while_dropping() {
    let setup = Setup { limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..room(1) };
    explore("flush_while_dropping", 2, move || flushing(setup, |_| ()));
}

#[test]
fn flush_while_dropping_with_writing_thread() {
    let take = Take { directly: false, at_once: 2, ..Take::room(0) };
    let setup = Setup { take, limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..Setup::default() };
    explore("flush_while_dropping_with_writing_thread", 2, move || flushing(setup, |_| ()));
}

/// What the stream holds is waited for.
#[test]
fn flush_what_is_held() {
    let setup = Setup { take: Take { holds: true, ..Take::room(1) }, reads: 2, ..Setup::default() };
    explore("flush_what_is_held", 2, move || flushing(setup, |_| ()));
}

#[test]
fn flush_what_is_held_while_dying() {
    let setup = Setup { take: Take { holds: true, at_once: 4, ..Take::room(1) }, reads: 2, ..Setup::default() };
    explore("flush_what_is_held_while_dying", 2, move || flushing(setup, Peer::abort));
}

#[test]
fn flush_what_is_held_with_writing_thread() {
    let take = Take { directly: false, holds: true, at_once: 2, ..Take::room(0) };
    let setup = Setup { take, ..Setup::default() };
    explore("flush_what_is_held_with_writing_thread", 2, move || flushing(setup, |_| ()));
}

/// Two senders, the pump, and `end` behind them.
fn sending(setup: Setup, end: fn(&Peer)) -> ([Vec<Sent>; 2], Vec<Vec<u8>>) {
    let peer = Peer::new(setup);
    let senders = ['a', 'b'].map(|name| peer.spawn_sender(name, 2));
    let pump = peer.spawn_pump();
    end(&peer);
    let sent = senders.map(join);
    peer.close();
    peer.wait_until_over();
    join(pump);
    let written = peer.settle(&sent);
    (sent, written)
}

fn accepted(sent: &[Vec<Sent>]) -> usize {
    sent.iter().flatten().filter(|sent| sent.outcome.is_ok()).count()
}

#[test]
fn wait_for_room() {
    explore("wait_for_room", 2, || {
        let setup = Setup { limit: CHARGE, slow_consumer: SlowConsumer::Block(LONG), ..room(1) };
        let (sent, written) = sending(setup, |_| ());
        assert_eq!((accepted(&sent), written.len()), (4, 4));
    });
}

#[test]
fn wait_for_room_with_writing_thread() {
    explore("wait_for_room_with_writing_thread", 2, || {
        let take = Take { directly: false, at_once: 2, ..Take::room(0) };
        let setup = Setup { take, limit: 2 * CHARGE, slow_consumer: SlowConsumer::Block(LONG), ..Setup::default() };
        let (sent, written) = sending(setup, |_| ());
        assert_eq!((accepted(&sent), written.len()), (4, 4));
    });
}

#[test]
fn wait_for_room_corked() {
    explore("wait_for_room_corked", 2, || {
        let setup = Setup { tight: 0, limit: 2 * CHARGE, slow_consumer: SlowConsumer::Block(LONG), ..room(100) };
        let (sent, written) = sending(setup, |_| ());
        assert_eq!((accepted(&sent), written.len()), (4, 4));
    });
}

/// Who waits for room goes on when there will be none.
#[test]
fn wait_for_room_until_closed() {
    let setup = Setup { limit: CHARGE, slow_consumer: SlowConsumer::Block(LONG), ..room(1) };
    explore("wait_for_room_until_closed", 2, move || drop(sending(setup, Peer::close)));
}

#[test]
fn wait_for_room_until_aborted() {
    let setup = Setup { limit: CHARGE, slow_consumer: SlowConsumer::Block(LONG), reads: 1, ..room(1) };
    explore("wait_for_room_until_aborted", 2, move || drop(sending(setup, Peer::abort)));
}

/// Who waits for the outcome of a write that is under way is refused only if that made no room.
#[test]
fn refuse_only_when_full() {
    explore("refuse_only_when_full", 3, || {
        let setup = Setup { limit: CHARGE, ..room(100) };
        let (sent, written) = sending(setup, |_| ());
        assert_eq!((accepted(&sent), written.len()), (4, 4));
    });
}

#[test]
fn drop_newest() {
    let setup = Setup { limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropNewest, ..room(1) };
    explore("drop_newest", 2, move || drop(sending(setup, |_| ())));
}

#[test]
fn drop_oldest() {
    explore("drop_oldest", 2, || {
        let setup = Setup { limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..room(1) };
        let (sent, written) = sending(setup, |_| ());
        assert_eq!(accepted(&sent), 4);
        assert!(written.len() >= 2, "no more is dropped than has to be");
    });
}

/// What the stream holds has been written as far as the queue is concerned, and is not dropped.
#[test]
fn drop_oldest_behind_what_is_held() {
    explore("drop_oldest_behind_what_is_held", 2, || {
        let take = Take { holds: true, at_once: 4, ..Take::room(1) };
        let setup =
            Setup { take, reads: 2, limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..Setup::default() };
        let (sent, _) = sending(setup, |_| ());
        assert_eq!(accepted(&sent), 4);
    });
}

/// Who is tired of waiting for the outcome of a direct write drops what waits behind that one, not its own message.
#[test]
fn drop_oldest_late() {
    explore("drop_oldest_late", 3, || {
        be_late(true);
        let peer = Peer::new(Setup { limit: 2 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..room(0) });
        let sent = [('a', 1), ('b', 2)].map(|(name, count)| peer.spawn_sender(name, count)).map(join);
        let pump = peer.spawn_pump();
        peer.close();
        peer.wait_until_over();
        join(pump);
        let written = peer.settle(&sent);
        assert_eq!((accepted(&sent), written.len()), (3, 2));
    });
}

#[test]
fn wait_for_room_late() {
    explore("wait_for_room_late", 2, || {
        be_late(true);
        sending(Setup { limit: CHARGE, slow_consumer: SlowConsumer::Block(LONG), ..room(1) }, |_| ());
    });
}

/// The peer reads nothing until all has been sent: the message that it has begun to read stays, and the newest.
#[test]
fn drop_the_oldest_first() {
    explore("drop_the_oldest_first", 2, || {
        let setup = Setup { limit: 3 * CHARGE, slow_consumer: SlowConsumer::DropOldest, ..room(1) };
        let peer = Peer::new(setup);
        let flusher = peer.spawn(Peer::flush);
        let sent = ["a1", "a2", "a3", "a4", "a5"].map(|message| peer.send(message));
        let pump = peer.spawn_pump();
        peer.close();
        peer.wait_until_over();
        join(flusher);
        join(pump);
        let written = peer.settle(&[sent.into()]);
        assert_eq!(written, [b"a1", b"a4", b"a5"]);
    });
}

/// What is left in a corked outbox is written although nobody asks for it.
#[test]
fn tick() {
    explore("tick", 3, || {
        let peer = Peer::new(Setup { tight: 0, ..room(4) });
        let pump = peer.spawn_pump();
        let sender = peer.spawn_sender('b', 1);
        let sent = [vec![peer.send("a1")], join(sender)];
        assert_eq!(peer.outbox.wait_flushed(now()), Flushed::Written);
        peer.close();
        peer.wait_until_over();
        join(pump);
        peer.settle(&sent);
    });
}

/// A rush: a batch of many messages, ticks, and a sender behind it.
#[test]
fn rush() {
    explore("rush", 3, || {
        let peer = Peer::new(Setup { tight: 0, ..room(100) });
        let sender = peer.spawn(|peer| {
            let batch: Vec<_> = (1..=RUSH).map(|number| format!("a{number}")).collect();
            let mut sent = vec![peer.send("a0")];
            sent.extend(peer.send_all(&batch));
            sent.push(peer.send("a9"));
            sent
        });
        let pump = peer.spawn_pump();
        let mut others = vec![peer.send("b1"), peer.send("b2")];
        let sent = join(sender);
        assert_eq!(peer.flush(), Flushed::Written);
        others.push(peer.send("b3"));
        peer.close();
        peer.wait_until_over();
        join(pump);
        let written = peer.settle(&[sent, others]);
        assert_eq!(written.len(), RUSH + 5);
    });
}

/// A batch that somebody queues and somebody else writes, while a message is written from where it lies.
#[test]
fn enqueue() {
    explore("enqueue", 2, || {
        let peer = Peer::new(room(4));
        let queuer = peer.spawn(|peer| {
            let messages = ["b1", "b2"].map(str::to_owned);
            let batch = peer.batch(&messages);
            peer.outbox.enqueue(&batch);
            drop(batch);
            peer.write_ready();
            messages.map(|message| Sent { message: message.into(), outcome: Ok(()) })
        });
        let sender = peer.spawn_sender('a', 2);
        let pump = peer.spawn_pump();
        let sent = [join(sender), join(queuer).into()];
        assert_eq!(peer.flush(), Flushed::Written);
        peer.close();
        peer.wait_until_over();
        join(pump);
        peer.settle(&sent);
    });
}

/// Such a batch comes too late for an outbox that has closed, and is counted as lost; who flushes is not misled.
#[test]
fn enqueue_too_late() {
    explore("enqueue_too_late", 2, || {
        let peer = Peer::new(room(1));
        let queuer = peer.spawn(|peer| {
            peer.outbox.enqueue(&peer.batch(&["b1".to_owned()]));
        });
        let flusher = peer.spawn(|peer| send_and_flush(peer, &["a1"]));
        let pump = peer.spawn_pump();
        peer.close();
        let (sent, at) = join(flusher);
        join(queuer);
        peer.wait_until_over();
        join(pump);
        let in_time =
            peer.wire.bytes().starts_with(b"b1;") || peer.wire.bytes().windows(3).any(|bytes| bytes == b"b1;");
        assert_eq!(peer.outbox.lost().unsent.messages, u64::from(!in_time));
        assert_flushed(
            &(sent, at),
            &peer.wire.bytes().split(|byte| *byte == b';').map(<[u8]>::to_vec).collect::<Vec<_>>(),
        );
    });
}
