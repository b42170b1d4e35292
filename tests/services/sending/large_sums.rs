//! Sums that are larger than memory: what is shared counts in each queue, and messages are charged more than they take.
//! Where an address has 32 bits, such sums may be larger than that can tell.

use std::time::Duration;

use leads_comm::{Closing, Error, MemoryLimits, ServerBuilder};
use leads_comm_testing::valve::{self, Writes};
use leads_comm_testing::*;

/// What an amount is told as that may be too large.
fn told(amount: usize, times: usize) -> usize {
    amount.saturating_mul(times)
}

fn hasty(builder: ServerBuilder) -> ServerBuilder {
    builder.closing(Closing::new().flush_timeout(Duration::from_millis(100)))
}

#[test]
fn what_many_queues_share_is_told_as_far_as_it_can_be_counted() {
    const LEN: usize = 1024 * 1024;
    const MESSAGES: usize = 64;
    const PEERS: usize = 65;
    const QUEUE: usize = (MESSAGES + 1) * LEN;
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        let memory = MemoryLimits::new().max_total_queued_bytes(2 * QUEUE);
        hasty(builder.max_sent_len(LEN).max_queued_bytes(QUEUE).memory_limits(memory))
    });
    let peers: Vec<_> = (0..PEERS).map(|_| (valves.connect(), connected(&started.events))).collect();
    let message = vec![b'x'; LEN];
    (0..MESSAGES).for_each(|_| assert_eq!(started.server.broadcast(&message).unwrap(), PEERS));
    let traffic = started.server.stats().traffic;
    assert_eq!(traffic.waiting.bytes, (PEERS * MESSAGES) as u64 * (LEN as u64 + 1));
    assert_eq!(traffic.queued_bytes, told(MESSAGES * (LEN + 1 + 64), PEERS));
    let left = match started.server.flush(Duration::ZERO) {
        Err(Error::NotFlushed { bytes }) => bytes,
        flushed => panic!("{flushed:?}"),
    };
    assert_eq!(left, told(MESSAGES * (LEN + 1), PEERS));
    // Or else it would be written to each of them.
    peers.iter().for_each(|(valve, _)| valve.reset());
}

/// A queue of tiny messages is charged ten times the memory that it takes.
#[cfg(target_pointer_width = "32")]
#[test]
fn a_queue_without_a_limit_takes_what_can_be_counted() {
    use leads_comm::{OutboundLimit, SlowConsumer};

    const AT_ONCE: usize = 1 << 20;
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        let memory = MemoryLimits::new().max_total_queued_bytes(usize::MAX);
        let closing = Closing::new().flush_timeout(PATIENCE).close_timeout(2 * PATIENCE);
        builder
            .max_queued_bytes(usize::MAX)
            .memory_limits(memory)
            .slow_consumer(SlowConsumer::DropNewest)
            .closing(closing)
    });
    let valve = valves.connect();
    let connection = connected(&started.events);
    let mut accepted = 0;
    loop {
        match connection.send_all(std::iter::repeat_n(b"x", AT_ONCE)).unwrap() {
            0 => break,
            more => accepted += more,
        }
        assert_eq!(connection.queued_bytes(), accepted * 66);
    }
    assert!(accepted >= 31 * AT_ONCE, "{accepted}");
    let limit = OutboundLimit::QueuedBytes(usize::MAX);
    while connection.send(b"x").is_ok() {
        accepted += 1;
    }
    assert!(matches!(connection.send(b"x"), Err(Error::Dropped { limit: told }) if told == limit));
    assert!(started.server.broadcast(b"x").is_ok_and(|accepted| accepted == 0));
    // Behind all that there is room for the goodbye.
    connection.close();
    valve.open();
    let reason = disconnected(&started.events);
    assert_eq!(reason.undelivered.unsent.messages, 0, "{reason}");
    assert_eq!(valve.taken().len(), accepted * 2 + b"disconnect;".len());
}
