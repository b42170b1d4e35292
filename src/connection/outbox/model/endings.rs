//! Two senders, the pump, and somebody who ends it all at any moment.

use super::join;
use super::peer::{Peer, Setup};
use super::wire::Take;
use crate::sync::explore::explore;

/// Two senders of two messages each, the pump, and `end`.
fn ending(setup: Setup, end: fn(&Peer)) {
    let peer = Peer::new(setup);
    let senders = ['a', 'b'].map(|name| peer.spawn_sender(name, 2));
    let pump = peer.spawn_pump();
    end(&peer);
    peer.wait_until_over();
    let sent = senders.map(join);
    join(pump);
    peer.settle(&sent);
}

fn room(room: usize) -> Setup {
    Setup { take: Take::room(room), ..Setup::default() }
}

#[test]
fn close_without_room() {
    explore("close_without_room", 2, || ending(room(0), Peer::close));
}

#[test]
fn close_with_room_for_a_byte() {
    explore("close_with_room_for_a_byte", 2, || ending(room(1), Peer::close));
}

#[test]
fn close_with_room_for_a_message() {
    explore("close_with_room_for_a_message", 2, || ending(room(3), Peer::close));
}

#[test]
fn close_with_room_for_all() {
    explore("close_with_room_for_all", 3, || ending(room(100), Peer::close));
}

#[test]
fn abort_without_room() {
    explore("abort_without_room", 3, || ending(room(0), Peer::abort));
}

#[test]
fn abort_with_room_for_a_byte() {
    explore("abort_with_room_for_a_byte", 3, || ending(room(1), Peer::abort));
}

#[test]
fn abort_with_room_for_all() {
    explore("abort_with_room_for_all", 3, || ending(room(100), Peer::abort));
}

fn tried(room: usize) -> Setup {
    Setup { take: Take::room(room), tries: true, ..Setup::default() }
}

#[test]
fn close_while_trying() {
    explore("close_while_trying", 3, || ending(tried(4), Peer::close));
}

#[test]
fn abort_while_trying() {
    explore("abort_while_trying", 2, || ending(tried(4), Peer::abort));
}

/// Two threads that send, one of which closes behind its messages, and a stream that takes all in parts: in every
/// order.
#[test]
fn two_threads() {
    explore("two_threads", None, || {
        let peer = Peer::new(Setup { take: Take { at_once: 4, ..Take::ALL }, ..Setup::default() });
        let sender = peer.spawn_sender('a', 2);
        let sent = vec![peer.send("b1"), peer.send("b2")];
        peer.close();
        let sent = [sent, join(sender)];
        peer.wait_until_over();
        peer.settle(&sent);
    });
}

/// Three, one of which only closes: in every order.
#[test]
fn three_threads() {
    explore("three_threads", None, || {
        let peer = Peer::new(Setup { take: Take { at_once: 4, ..Take::ALL }, ..Setup::default() });
        let senders = ['a', 'b'].map(|name| peer.spawn_sender(name, 1));
        peer.close();
        let sent = senders.map(join);
        peer.wait_until_over();
        peer.settle(&sent);
    });
}

/// The goodbye itself may be torn.
#[test]
fn abort_while_closing() {
    explore("abort_while_closing", 3, || {
        let peer = Peer::new(room(4));
        let sender = peer.spawn_sender('a', 1);
        let closer = peer.spawn(Peer::close);
        let pump = peer.spawn_pump();
        peer.abort();
        peer.wait_until_over();
        let sent = [join(sender)];
        join(closer);
        join(pump);
        peer.settle(&sent);
    });
}

/// The stream breaks by itself, in the middle of the second message at the latest.
#[test]
fn broken_stream() {
    let take = Take { at_once: 2, breaks_at: 5, ..Take::room(4) };
    explore("broken_stream", 2, move || ending(Setup { take, ..Setup::default() }, Peer::close));
}

/// A stream without a write that does not block has a thread of its own.
#[test]
fn close_with_writing_thread() {
    let take = Take { directly: false, at_once: 4, ..Take::room(0) };
    explore("close_with_writing_thread", 2, move || ending(Setup { take, ..Setup::default() }, Peer::close));
}

#[test]
fn abort_with_writing_thread() {
    let take = Take { directly: false, at_once: 4, ..Take::room(0) };
    explore("abort_with_writing_thread", 3, move || ending(Setup { take, ..Setup::default() }, Peer::abort));
}

/// The first sender corks the outbox, and the pump ticks.
#[test]
fn close_corked() {
    explore("close_corked", 3, || ending(Setup { tight: 0, ..room(100) }, Peer::close));
}

#[test]
fn abort_corked() {
    explore("abort_corked", 3, || ending(Setup { tight: 0, ..room(4) }, Peer::abort));
}

/// The stream takes a byte at a time, so that the writer has used up its writes before all is written, and corks.
#[test]
fn close_after_many_writes() {
    let take = Take { at_once: 1, ..Take::ALL };
    explore("close_after_many_writes", 2, move || ending(Setup { take, ..Setup::default() }, Peer::close));
}

#[test]
fn close_without_joining() {
    explore("close_without_joining", 2, || ending(Setup { coalesce: false, ..room(4) }, Peer::close));
}
