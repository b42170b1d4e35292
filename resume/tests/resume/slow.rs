//! Subscribers that do not keep up.

use std::time::Instant;

use super::*;

/// Small enough to be used up soon, over which no subscriber's messages wait in vain.
fn small() -> History {
    History::in_memory(Bounds::new().max_bytes(1 << 20)).unwrap()
}

fn ask(publisher: &Publisher) -> Raw {
    let raw = connect(publisher);
    raw.write(b"resume 0000000000000000:0;");
    raw
}

/// Nor has it a queue that grows.
#[test]
fn who_does_not_read_holds_nobody_up_and_is_told_what_it_has_missed() {
    // Longer than all of it takes, also where that is a minute.
    let timeouts = leads_comm::Timeouts::new().stall_timeout(Duration::from_secs(600));
    let publisher = start_publisher(|builder| builder.timeouts(timeouts), small(), ());
    publisher.publish(b"first").unwrap();
    let slow = ask(&publisher);
    assert!(read_message(&slow).starts_with(b"resumed"));
    assert_eq!(read_message(&slow), b"1:first");
    let (_quick, told) = subscribe(publisher.server().port(), None, ());
    next(&told);
    let len = 1000;
    for number in 2..=50_000 {
        publisher.publish(&numbered(number, len)).unwrap();
        if number % 100 == 0 {
            assert_messages(&told, number - 99.min(number - 2)..=number);
        }
    }
    let most = publisher.server().connections().iter().map(|peer| peer.stats().traffic.peak_queued_bytes).max();
    assert!(most.unwrap() < 2 * 64 * 1024 + 1000 * 64, "{most:?}");
    // All that is told it, in order.
    let (mut expected, mut missed) = (2, 0);
    let slow = slow.into_messages();
    while expected <= 50_000 {
        let message = slow.recv_timeout(PATIENCE).unwrap();
        if let Some(gap) = message.strip_prefix(b"gap ") {
            let next: Position = std::str::from_utf8(gap).unwrap().parse().unwrap();
            assert!(next.number > expected);
            missed += next.number - expected;
            expected = next.number;
        } else {
            let prefix = format!("{expected}:");
            let payload = message.strip_prefix(prefix.as_bytes()).expect("the next number");
            assert_eq!(number_of(payload) as u64, expected);
            expected += 1;
        }
    }
    assert!(missed > 10_000, "{missed}");
    publisher.close();
}

/// A thread that waits for such a peer is no reason to wait.
#[test]
fn a_publisher_whose_subscribers_do_not_read_ends_in_time() {
    let closing =
        leads_comm::Closing::new().flush_timeout(Duration::from_millis(100)).close_timeout(Duration::from_millis(200));
    let publisher = start_publisher(|builder| builder.closing(closing), in_memory(), ());
    let slow: Vec<_> = (0..5).map(|_| ask(&publisher)).collect();
    for number in 1..=20_000 {
        publisher.publish(&numbered(number, 1000)).unwrap();
    }
    let before = Instant::now();
    publisher.close();
    assert!(before.elapsed() < PATIENCE, "it does not wait for them");
    drop(slow);
}

/// Who is behind when the publisher closes gets what was on its way, and the goodbye.
#[test]
fn a_publisher_that_closes_says_goodbye_to_who_is_behind() {
    for _ in 0..10 {
        let publisher = start_publisher(|builder| builder, in_memory(), ());
        let slow = ask(&publisher);
        assert!(read_message(&slow).starts_with(b"resumed"));
        for number in 1..=20_000 {
            publisher.publish(&numbered(number, 1000)).unwrap();
        }
        let closing = publisher.clone();
        let closing = std::thread::spawn(move || closing.close());
        leads_comm_testing::until("it closes", || {
            publisher.server().connections().iter().all(leads_comm::Connection::is_closed)
        });
        let messages: Vec<_> = slow.into_messages().iter().collect();
        closing.join().unwrap();
        assert_eq!(messages.last().map(|last| last.escape_ascii().to_string()).as_deref(), Some("disconnect"));
    }
}
