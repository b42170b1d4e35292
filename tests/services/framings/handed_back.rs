//! What is queued, and what an end leaves of it, is the program's bytes: not what the framing has made of them.

use leads_comm::codec::{Decoder, Framing};
use leads_comm::{Client, Reconnect};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::valve::{self, EITHER};
use leads_comm_testing::*;

use super::{binary, frame, framings};

/// The whole messages in these bytes.
fn messages_in(bytes: &[u8], framing: &Framing) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(framing.clone(), usize::MAX);
    let mut arrived = decoder.decode(bytes);
    std::iter::from_fn(|| arrived.next_message().unwrap().map(<[u8]>::to_vec)).collect()
}

/// At the beginning and the end of every frame, and in the middle of each.
fn moments(framing: &Framing) -> Vec<usize> {
    let (mut moments, mut end) = (vec![0], 0);
    for message in binary() {
        let len = frame(&message, framing).len();
        moments.extend([end + 1, end + len / 2, end + len - 1, end + len]);
        end += len;
    }
    moments.pop();
    moments
}

#[test]
fn what_was_queued_is_handed_back_as_it_was_given() {
    for framing in framings() {
        for (number, taken) in moments(&framing).into_iter().enumerate() {
            let writes = EITHER[number % 2];
            let (started, valves) =
                valve::start_server(writes, |builder| builder.framing(framing.clone()).keep_unsent(true));
            let valve = valves.connect();
            let connection = connected(&started.events);
            valve.allow(taken);
            for (number, message) in binary().iter().enumerate() {
                match number % 3 {
                    0 => assert_eq!(started.server.queue_broadcast(message).unwrap(), 1),
                    1 => connection.queue(message).unwrap(),
                    _ => connection.send(message).unwrap(),
                }
            }
            until("the peer has taken what it may", || valve.is_spent());
            connection.abort();
            let reason = disconnected(&started.events);
            let unsent = connection.take_unsent();
            assert_eq!(unsent.len() as u64, reason.undelivered.unsent.messages, "{framing:?} {taken}");
            let all = [messages_in(&valve.taken(), &framing), unsent].concat();
            assert!(all == binary(), "{framing:?} {taken}: {:?}", all.iter().map(Vec::len).collect::<Vec<_>>());
            assert_adds_up(&connection.stats().traffic);
        }
    }
}

#[test]
fn what_a_client_has_kept_is_handed_back_as_it_was_given() {
    for framing in framings() {
        let reconnect = Reconnect::new().at_start(true).keep_bytes(2_000_000);
        let builder = Client::builder().port(free_port()).reconnect(reconnect).keep_unsent(true);
        let client = builder.framing(framing).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        binary().iter().for_each(|message| client.queue(message).unwrap());
        client.close();
        assert!(client.take_unsent() == binary());
    }
}
