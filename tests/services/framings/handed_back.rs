//! What an end leaves unsent is handed back as it was sent, whatever is on the wire around it.

use leads_comm_testing::valve::{self, EITHER};

use super::*;

#[test]
fn an_abort_at_any_moment_hands_back_whole_payloads() {
    let accepted: Vec<Vec<u8>> = binary().into_iter().filter(|message| message.len() < 100_000).collect();
    for framing in framings() {
        let frames: Vec<_> = accepted.iter().map(|message| frame(message, &framing).len()).collect();
        let ends: Vec<usize> = (1..=frames.len()).map(|count| frames[..count].iter().sum()).collect();
        for writes in EITHER {
            for taken in
                ends.iter().flat_map(|end| end.saturating_sub(5)..end + 5).filter(|at| *at < ends[ends.len() - 1])
            {
                let (started, valves) =
                    valve::start_server(writes, |builder| builder.framing(framing.clone()).keep_unsent(true));
                let valve = valves.connect();
                let connection = connected(&started.events);
                valve.allow(taken);
                accepted.iter().for_each(|message| connection.send(message).unwrap());
                until("the peer has taken what it may", || valve.is_spent());
                connection.abort();
                let reason = disconnected(&started.events);
                let whole = ends.iter().filter(|end| **end <= taken).count();
                assert!(connection.take_unsent() == accepted[whole..], "{framing:?}, {taken}");
                assert_eq!(reason.undelivered.unsent.messages as usize, accepted.len() - whole);
            }
        }
    }
}
