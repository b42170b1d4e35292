//! Messages that replace one another while they are being written.

use super::join;
use super::peer::{Peer, Sent, Setup};
use super::queueing::send_and_flush;
use super::wire::Take;
use crate::connection::outbox::Flushed;
use crate::sync::explore::explore;

fn conflating(take: Take) -> Setup {
    Setup { take, conflates: true, reads: 2, ..Setup::default() }
}

/// Whether the last message of a sender has been written, if it was accepted.
fn assert_newest(sent: &[Sent], written: &[Vec<u8>]) {
    if let Some(Sent { message, .. }) = sent.iter().rfind(|sent| sent.outcome.is_ok()) {
        assert!(written.contains(message), "the newest is lost: {}", message.escape_ascii());
    }
}

/// A sender whose messages replace one another, the pump, and `end` behind one of another key.
fn replacing(setup: Setup, end: fn(&Peer)) {
    let peer = Peer::new(setup);
    let sender = peer.spawn_sender('a', 3);
    let pump = peer.spawn_pump();
    let other = vec![peer.send("b1")];
    end(&peer);
    let senders = [join(sender), other];
    peer.close();
    peer.wait_until_over();
    join(pump);
    let is_finished = peer.outbox.is_finished();
    let written = peer.settle(&senders);
    if is_finished {
        senders.iter().for_each(|sent| assert_newest(sent, &written));
    }
}

#[test]
fn replace() {
    explore("replace", 2, || replacing(conflating(Take::room(1)), |_| ()));
}

#[test]
fn replace_with_writing_thread() {
    let take = Take { directly: false, at_once: 2, ..Take::room(0) };
    explore("replace_with_writing_thread", 2, move || replacing(conflating(take), |_| ()));
}

#[test]
fn replace_while_dying() {
    explore("replace_while_dying", 2, || replacing(conflating(Take::room(1)), Peer::abort));
}

/// One sender, who has fallen behind: of what it sends the newest is written, and what was flushed has been replaced.
#[test]
fn replace_and_flush() {
    explore("replace_and_flush", 3, || {
        let peer = Peer::new(conflating(Take::room(1)));
        let pump = peer.spawn_pump();
        let (mut sent, at) = send_and_flush(&peer, &["a1", "a2", "a3"]);
        assert!(at.is_some_and(|bytes| bytes.ends_with(b"a3;")));
        sent.push(peer.send("a4"));
        assert_eq!(peer.flush(), Flushed::Written);
        peer.close();
        peer.wait_until_over();
        join(pump);
        let senders = [sent];
        let written = peer.settle(&senders);
        assert_newest(&senders[0], &written);
    });
}
