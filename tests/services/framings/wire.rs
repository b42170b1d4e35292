//! What goes over the wire, byte for byte, and what becomes of peers that say something else.

use std::time::Duration;

use leads_comm::codec::Framing;
use leads_comm::{DisconnectCause, DisconnectKind, ServerBuilder, Timeouts};
use leads_comm_testing::*;

use super::{frame, framings, start, stuffed};

const GOODBYE_BY_LENGTH: &[u8] = b"\0\0\0\x0adisconnect";

over_every_transport! {
    fn a_length_stands_in_front_of_each_message(net: Net) {
        let started = start(net, &Framing::Length);
        let raw = started.raw();
        let connection = connected(&started.events);
        raw.write(b"\0\0\0\x02m1\0\0\0\0\0\0\0\x03a;b\0\0");
        assert_eq!([received(&started.events), received(&started.events), received(&started.events)], [&b"m1"[..], b"", b"a;b"]);
        raw.write(b"\0\x01");
        connection.send(b"").unwrap();
        connection.send(b"a;b").unwrap();
        connection.send_all([&b"x"[..], b"y"]).unwrap();
        assert_eq!(raw.read_exact(21), b"\0\0\0\0\0\0\0\x03a;b\0\0\0\x01x\0\0\0\x01y");
        raw.write(b"z");
        assert_eq!(received(&started.events), b"z");
        // The goodbye is answered; behind it nothing is heard.
        raw.write(&[GOODBYE_BY_LENGTH, b"\0\0\0\x04more"].concat());
        let (answer, _) = raw.read_to_end();
        assert_eq!(answer, GOODBYE_BY_LENGTH);
        let reason = disconnected(&started.events);
        assert_eq!((reason.kind(), reason.undelivered.unfinished_bytes), (DisconnectKind::PeerGoodbye, 0));
    }

    fn a_length_over_the_limit_ends_the_connection_when_it_is_there(net: Net) {
        for head in [&b"\0\0\x03\xe9"[..], b"\xff\xff\xff\xff", b"disc"] {
            let started = net.start_server(|builder| builder.framing(Framing::Length).max_received_len(1000));
            let raw = started.raw();
            connected(&started.events);
            raw.write(b"\0\0\0\x02ok");
            assert_eq!(received(&started.events), b"ok");
            raw.write(head);
            let reason = disconnected(&started.events);
            assert!(matches!(reason.cause, DisconnectCause::MessageTooLong { limit: 1000 }), "{reason}");
            assert_eq!(raw.read_exact(GOODBYE_BY_LENGTH.len()), GOODBYE_BY_LENGTH);
        }
    }

    fn what_is_unfinished_at_the_end_is_told(net: Net) {
        for framing in framings() {
            let whole = frame(b"unfinished", &framing);
            for len in [1, 3, 4, 11] {
                let started = start(net, &framing);
                let raw = started.raw();
                connected(&started.events);
                raw.write(&[&frame(b"whole", &framing), &whole[..len]].concat());
                assert_eq!(received(&started.events), b"whole");
                drop(raw);
                let reason = disconnected(&started.events);
                // What is dropped with a reset is not seen.
                assert!([0, len].contains(&reason.undelivered.unfinished_bytes), "{reason}");
            }
        }
    }

    fn what_is_no_frame_to_the_program_ends_the_connection_with_a_goodbye(net: Net) {
        let started = start(net, &stuffed());
        let raw = started.raw();
        connected(&started.events);
        raw.write(b"\x02a\0\x09b\0\x02c\0");
        assert_eq!(received(&started.events), b"a");
        let reason = disconnected(&started.events);
        assert!(matches!(reason.cause, DisconnectCause::MalformedFrame { .. }), "{reason}");
        assert_eq!(reason.to_string(), "the peer sent what is no frame");
        assert_eq!(raw.read_exact(12), b"\x0bdisconnect\0");
        let ended = started.server.stats().ended;
        assert_eq!(ended.get(DisconnectKind::MalformedFrame), 1);
    }

    fn a_message_of_the_limit_is_received_and_one_byte_more_is_not(net: Net) {
        for framing in framings() {
            let started = net.start_server(|builder| builder.framing(framing.clone()).max_received_len(1000));
            let raw = started.raw();
            connected(&started.events);
            raw.write(&frame(&[0; 1000], &framing));
            assert_eq!(received(&started.events), [0; 1000]);
            raw.write(&frame(&[0; 1001], &framing));
            assert_eq!(disconnected(&started.events).kind(), DisconnectKind::MessageTooLong);
        }
    }
}

/// Neither is told a message that was not sent, and both come to a clear end.
#[test]
fn two_peers_with_different_framings_part() {
    let all = [Framing::default(), Framing::Length, stuffed()];
    for ours in &all {
        for theirs in &all {
            let same = std::mem::discriminant(ours) == std::mem::discriminant(theirs);
            let started = Net::Tcp.start_server(|builder: ServerBuilder| {
                let timeouts = Timeouts::new().partial_message_timeout(Duration::from_millis(100));
                builder.framing(ours.clone()).timeouts(timeouts)
            });
            let (callback, events) = recorder();
            let client = started.client().framing(theirs.clone()).callback(callback).build().unwrap();
            client.start(started.address(), true).unwrap();
            connected(&started.events);
            let sent = b"speed=12, gear=3";
            client.send(sent).unwrap();
            if same {
                assert_eq!(received(&started.events), sent);
                continue;
            }
            let reason = disconnected(&started.events);
            let kinds =
                [DisconnectKind::MessageTooLong, DisconnectKind::MalformedFrame, DisconnectKind::PartialMessageTimeout];
            assert!(kinds.contains(&reason.kind()), "{ours:?} and {theirs:?}: {reason}");
            disconnected(&events);
            client.close();
        }
    }
}

/// The token, the question whether it lets the client in, and both answers, as the protocol has them.
#[test]
fn being_let_in_is_said_in_the_same_framing() {
    for framing in framings() {
        let start = || Net::Memory.start_server(|builder| builder.framing(framing.clone()).token("secret"));
        let (secret, empty) = (frame(b"secret", &framing), frame(b"", &framing));
        let question = [framing.goodbye(), &secret].concat();
        for at in 0..question.len() {
            let started = start();
            let raw = started.raw();
            let (first, second) = question.split_at(at);
            raw.write(first);
            assert_eq!(started.server.broadcast(b"early").unwrap(), 0);
            raw.write(second);
            assert_eq!(raw.read_exact(empty.len()), empty, "cut at {at}");
            connected(&started.events);
            raw.write(&frame(b"m1", &framing));
            assert_eq!(received(&started.events), b"m1");
        }
        // Told by itself, it is not answered; what follows at once is delivered.
        let started = start();
        let raw = started.raw();
        raw.write(&[secret, frame(b"m1", &framing)].concat());
        assert_eq!(received(&started.events), b"m1");
        let raw = started.raw();
        raw.write(&[framing.goodbye(), &frame(b"wrong!", &framing)].concat());
        let (refusal, _) = raw.read_to_end();
        assert_eq!(refusal, [framing.goodbye(), &empty].concat());
    }
}
