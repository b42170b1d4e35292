//! Batches: in order, in one piece, all or nothing.

use std::iter;
use std::thread;
use std::time::Duration;

use leads_comm::codec::EncodeError;
use leads_comm::{Error, OutboundLimit, SlowConsumer};
use leads_comm_testing::valve::{self, EITHER};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

over_every_transport! {
    /// As far as a batch takes no more than half the queue.
    fn nothing_of_other_senders_gets_in_between(net: Net) {
        const QUEUE: usize = 100_000;
        const SENDERS: usize = 3;
        const ROUNDS: usize = 60;
        let started = net.start_server(|builder| {
            builder.max_sent_len(1000).max_queued_bytes(QUEUE).slow_consumer(PATIENT)
        });
        let messages = started.raw().into_messages();
        let connection = connected(&started.events);
        // From one message to as many as half a queue holds.
        let len_of = |round: usize| if round % 2 == 0 { QUEUE / 2 / (37 + 1 + 64) } else { 1 + round };
        let sending: Vec<_> = (0..2 * SENDERS)
            .map(|sender| {
                let (server, connection) = (started.server.clone(), connection.clone());
                thread::spawn(move || {
                    for round in 0..ROUNDS {
                        let len = len_of(round);
                        let batch = (0..len).map(|at| format!("{sender:02}:{round:08}:{at:08}:{len:08}:batch.."));
                        if sender < SENDERS {
                            assert_eq!(connection.send_all(batch).unwrap(), len);
                            continue;
                        }
                        // The others send one by one, and so break up each other's.
                        for (at, message) in batch.enumerate() {
                            match at % 2 {
                                0 => connection.send(message.as_bytes()).unwrap(),
                                _ => assert_eq!(server.broadcast(message.as_bytes()).unwrap(), 1),
                            }
                        }
                    }
                })
            })
            .collect();
        let total: usize = 2 * SENDERS * (0..ROUNDS).map(len_of).sum::<usize>();
        let mut next_of = [(0, 0); 2 * SENDERS];
        let mut open: Option<usize> = None;
        for _ in 0..total {
            let message = String::from_utf8(messages.recv_timeout(PATIENCE).unwrap()).unwrap();
            let fields: Vec<usize> = message.split(':').take(4).map(|field| field.parse().unwrap()).collect();
            let &[sender, round, at, len] = &fields[..] else { panic!("{message}") };
            assert!(open.is_none_or(|open| open == sender), "{message} within a batch of sender {open:?}");
            assert_eq!(next_of[sender], (round, at), "sender {sender}");
            let is_last = at + 1 == len;
            next_of[sender] = if is_last { (round + 1, 0) } else { (round, at + 1) };
            open = (sender < SENDERS && !is_last).then_some(sender);
        }
        sending.into_iter().for_each(|sending| sending.join().unwrap());
    }

    fn one_that_cannot_be_sent_keeps_back_all(net: Net) {
        let started = net.start_server(|builder| builder.max_received_len(1000).max_sent_len(1000));
        let messages = started.raw().into_messages();
        let connection = connected(&started.events);
        let too_long = [b'x'; 1001];
        let refused: [&[u8]; 3] = [b"a;b", b"disconnect", &too_long];
        for bad in refused {
            for at in [0, 1, 500, 998, 999] {
                let batch = (0..1000).map(|number| if number == at { bad.to_vec() } else { numbered(number, 1000) });
                let error = connection.send_all(batch).unwrap_err();
                match error {
                    Error::InvalidMessage(EncodeError::ContainsSeparator { at: 1 }) => assert_eq!(bad, b"a;b"),
                    Error::InvalidMessage(_) => assert_eq!(bad, b"disconnect"),
                    Error::MessageTooLong { len: 1001, limit: 1000 } => assert_eq!(bad, too_long),
                    error => panic!("{error}"),
                }
                assert_eq!(connection.queued_bytes(), 0);
            }
        }
        connection.send(b"the first").unwrap();
        assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), b"the first");
    }

    fn none_one_and_empty_ones(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, _events) = started.start_client();
        assert_eq!(client.send_all(iter::empty::<&[u8]>()).unwrap(), 0);
        assert_eq!(client.send_all(["one"]).unwrap(), 1);
        assert_eq!(client.send_all(["", "", "last"]).unwrap(), 3);
        for expected in ["one", "", "", "last"] {
            assert_eq!(received(&started.events), expected.as_bytes());
        }
    }

    fn a_million_tiny_ones_and_more_than_a_queue_hold_under_block(net: Net) {
        let started = net.start_server(|builder| builder.slow_consumer(PATIENT));
        let messages = started.raw().into_messages();
        let connection = connected(&started.events);
        const MANY: usize = 1_000_000;
        let sending = thread::spawn(move || {
            assert_eq!(connection.send_all((0..MANY).map(|number| [b'0' + (number % 10) as u8])).unwrap(), MANY);
            // Some of them longer than half a queue.
            let lens = [10, 1_000_000, 1_000_000, 1_048_576, 20, 700_000, 1_000_000, 1_048_576, 1_000_000, 30];
            let long = lens.iter().enumerate().map(|(number, len)| numbered(number, *len));
            assert_eq!(connection.send_all(long).unwrap(), lens.len());
            connection.dropped_messages()
        });
        for number in 0..MANY {
            assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), [b'0' + (number % 10) as u8]);
        }
        for number in 0..10 {
            assert_eq!(number_of(&messages.recv_timeout(PATIENCE).unwrap()), number);
        }
        assert_eq!(in_time("sending", || sending.join().unwrap()), 0);
    }

    fn before_the_start_and_after_the_end_there_is_nobody(net: Net) {
        let started = net.start_server(|builder| builder);
        let client = started.client().build().unwrap();
        assert!(matches!(client.send_all(["early"]), Err(Error::NotConnected)));
        client.start(started.address(), true).unwrap();
        let connection = connected(&started.events);
        connection.close();
        assert!(matches!(connection.send_all(["late"]), Err(Error::Disconnected)));
        disconnected(&started.events);
        assert!(matches!(connection.send_all(["late"]), Err(Error::Disconnected)));
        assert!(client.wait_timeout(PATIENCE));
        assert!(matches!(client.send_all(["late"]), Err(Error::NotConnected)));
    }
}

/// The policy concerns each part, of half a queue at most, as a whole.
#[test]
fn under_the_policies_that_drop_the_number_tells_what_was_accepted() {
    const LEN: usize = 1000;
    const CHARGE: usize = LEN + 1 + 64;
    const PART: usize = 10;
    for writes in EITHER {
        for policy in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
            let (started, valves) = valve::start_server(writes, |builder| {
                builder.max_sent_len(LEN).max_queued_bytes(2 * PART * CHARGE).slow_consumer(policy)
            });
            let valve = valves.connect();
            let connection = connected(&started.events);
            let accepted = connection.send_all((0..100).map(|number| numbered(number, LEN))).unwrap();
            let dropped = connection.dropped_messages() as usize;
            valve.open();
            connection.close();
            valve.wait_for_end(b"disconnect;");
            let mut arrived = valve.messages();
            arrived.pop();
            let arrived: Vec<_> = arrived.iter().map(|message| number_of(message)).collect();
            assert_eq!(arrived.len() + dropped, 100, "{writes:?} {policy:?}");
            if policy == SlowConsumer::DropNewest {
                assert_eq!(accepted, 2 * PART, "{writes:?}");
                assert!(arrived.into_iter().eq(0..2 * PART));
            } else {
                assert_eq!(accepted, 100, "{writes:?}");
                assert!(arrived.is_sorted() && arrived.ends_with(&[97, 98, 99]), "{writes:?}: {arrived:?}");
            }
            let undelivered = disconnected(&started.events).undelivered;
            let of = |messages: usize| (messages as u64, (messages * (LEN + 1)) as u64);
            assert_eq!((undelivered.dropped.messages, undelivered.dropped.bytes), of(dropped));
            assert_eq!(undelivered.unsent.messages, 0);
        }
    }
}

#[test]
fn under_disconnect_a_batch_too_large_ends_the_connection() {
    for writes in EITHER {
        let (started, valves) =
            valve::start_server(writes, |builder| builder.max_sent_len(1000).max_queued_bytes(20_000));
        let valve = valves.connect();
        let connection = connected(&started.events);
        let error = connection.send_all((0..100).map(|number| numbered(number, 1000))).unwrap_err();
        assert!(matches!(error, Error::SlowConsumer { limit: OutboundLimit::QueuedBytes(20_000) }), "{error}");
        let undelivered = disconnected(&started.events).undelivered;
        assert!((1..=20).contains(&undelivered.unsent.messages), "{undelivered:?}");
        assert_eq!(valve.taken(), b"");
    }
}
