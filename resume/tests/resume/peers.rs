//! Peers that speak raw bytes: those that know nothing of numbers, and the protocol byte for byte.

use std::thread;

use leads_comm::SlowConsumer;
use leads_comm_testing::{connected, recorder, until};

use super::*;

#[test]
fn a_peer_that_does_not_ask_gets_the_same_bytes_as_ever() {
    let (callback, events) = recorder();
    let publisher = start_publisher(|builder| builder, in_memory(), callback);
    publisher.publish(b"before").unwrap();
    let plain = connect(&publisher);
    connected(&events);
    let (_subscriber, told) = subscribe(publisher.server().port(), None, ());
    publisher.publish(b"speed:1").unwrap();
    publisher.publish(b"").unwrap();
    publisher.publish(b"gap 1.2 s").unwrap();
    assert_eq!(plain.read_exact(19), b"speed:1;;gap 1.2 s;");
    assert!(matches!(next(&told), Told::Message(_, message) if message == b"before"));
    publisher.close();
}

/// What the README says.
#[test]
fn a_peer_that_asks_is_answered_and_gets_numbers() {
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    for message in ["a", "b", "c"] {
        publisher.publish(message.as_bytes()).unwrap();
    }
    let epoch = format!("{:016x}", publisher.last().unwrap().epoch);
    let asked = |request: &str| {
        let raw = connect(&publisher);
        raw.write(format!("resume {request};").as_bytes());
        raw
    };
    let expect =
        |raw: &Raw, expected: String| assert_eq!(raw.read_exact(expected.len()).escape_ascii().to_string(), expected);
    let all = asked("0000000000000000:0");
    expect(&all, format!("resumed {epoch}:1;1:a;2:b;3:c;"));
    let some = asked(&format!("{epoch}:2"));
    expect(&some, format!("resumed {epoch}:3;3:c;"));
    let none = asked(&format!("{epoch}:3"));
    expect(&none, format!("resumed {epoch}:4;"));
    let early = asked(&format!("{epoch}:4"));
    expect(&early, format!("gap {epoch}:4;"));
    let unknown = asked("00000000000000ab:3");
    expect(&unknown, format!("gap {epoch}:1;1:a;2:b;3:c;"));
    let farthest = asked(&format!("{epoch}:18446744073709551615"));
    expect(&farthest, format!("gap {epoch}:4;"));
    // Asked again, which is ignored.
    all.write(b"resume 0000000000000000:0;");
    publisher.publish(b"d").unwrap();
    for raw in [all, some, none, early, unknown, farthest] {
        expect(&raw, "4:d;".into());
    }
    publisher.close();
}

/// What looks like a request and is none is the program's.
#[test]
fn what_is_no_request_is_passed_on() {
    let (callback, events) = recorder();
    let publisher = start_publisher(|builder| builder, in_memory(), callback);
    let raw = connect(&publisher);
    let others =
        ["resume", "resume 5", "resume 00000000000000AB:1", "resume 00000000000000ab:01", "resumed 00000000000000ab:1"];
    raw.write(format!("{};", others.join(";")).as_bytes());
    for other in others {
        assert_eq!(leads_comm_testing::received(&events), other.as_bytes());
    }
    assert_eq!(publisher.num_subscribers(), 0);
    publisher.close();
}

/// Asked in the middle of a flood, of which a part has been begun for this peer: messages without numbers end before
/// the answer, and nothing is lost behind it.
#[test]
fn behind_the_answer_every_message_has_its_number() {
    const COUNT: usize = 200;
    const LEN: usize = 50_000;
    for _ in 0..10 {
        let patient = |builder: ServerBuilder| {
            builder.max_sent_len(100_000).max_queued_bytes(200_000).slow_consumer(SlowConsumer::Block(PATIENCE))
        };
        let (callback, events) = recorder();
        let publisher = start_publisher(patient, in_memory(), callback);
        let raw = connect(&publisher);
        let connection = connected(&events);
        let publishing = publisher.clone();
        let publishing = thread::spawn(move || {
            for number in 1..=COUNT {
                publishing.publish(&numbered(number, LEN)).unwrap();
            }
        });
        // Nearly: the one that is just being published waits for room, or is about to.
        until("its queue is full", || connection.queued_bytes() > 140_000);
        raw.write(b"resume 0000000000000000:0;");
        until("it has asked", || publisher.num_subscribers() == 1);
        let messages = raw.into_messages();
        let next = || messages.recv_timeout(PATIENCE).unwrap();
        while !next().starts_with(b"resumed") {}
        for number in 1..=COUNT {
            let message = next();
            let payload = message.strip_prefix(format!("{number}:").as_bytes()).expect("it has the next number");
            assert_eq!(number_of(payload), number);
        }
        publishing.join().unwrap();
        publisher.close();
    }
}
