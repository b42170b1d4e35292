//! A newcomer that is given messages while others send to it already, and somebody may end it.

use std::sync::Arc;

use super::join;
use super::peer::{Peer, Setup};
use super::wire::Take;
use crate::connection::outbox::Flushed;
use crate::sync::explore::explore;

/// More than it is given.
const CHARGE: usize = 1000;

fn newcomer(room: usize) -> Arc<Peer> {
    let peer = Peer::new(Setup { take: Take::room(room), ..Setup::default() });
    peer.outbox.begin_joining(CHARGE);
    peer
}

/// A sender, the pump, and `end` at any moment.
fn joining(room: usize, end: fn(&Peer)) {
    let peer = newcomer(room);
    let sender = peer.spawn_sender('a', 2);
    let pump = peer.spawn_pump();
    let ending = peer.spawn(end);
    let values = peer.end_joining(&["v1", "v2"]);
    join(ending);
    peer.wait_until_over();
    let sent = join(sender);
    join(pump);
    let written = peer.settle(&[values, sent]);
    let is_value = |message: &Vec<u8>| message.starts_with(b"v");
    assert!(written.is_sorted_by_key(|message| !is_value(message)), "something comes before it");
}

#[test]
fn join_and_close() {
    explore("join_and_close", 3, || joining(100, Peer::close));
}

#[test]
fn join_and_close_without_room() {
    explore("join_and_close_without_room", 2, || joining(0, Peer::close));
}

#[test]
fn join_and_abort() {
    explore("join_and_abort", 2, || joining(4, Peer::abort));
}

/// What has been accepted while it joined is written when a flush says so.
#[test]
fn join_and_flush() {
    explore("join_and_flush", 3, || {
        let peer = newcomer(4);
        let sender = peer.spawn(|peer| {
            let sent = peer.send("a1");
            assert_eq!(peer.flush(), Flushed::Written);
            assert!(peer.wire.bytes().ends_with(b"a1;"), "flushed, and not written");
            vec![sent]
        });
        let pump = peer.spawn_pump();
        let values = peer.end_joining(&["v1", "v2"]);
        let sent = join(sender);
        peer.close();
        peer.wait_until_over();
        join(pump);
        peer.settle(&[values, sent]);
    });
}
