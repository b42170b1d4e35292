//! What the services of the soak are told, and what follows from it for the parts that peers play.

use std::time::Duration;

use leads_comm::{ClientBuilder, Closing, MemoryLimits, Reconnect, ServerBuilder, Snapshot, Timeouts};

use crate::viewers;

/// Whether the server ends peers who take too long over one message: then they go on dripping until it does, for the
/// reason `PartialMessageTimeout`. Otherwise they finish their message, and it has to arrive.
pub const DRIPPERS_ARE_ENDED: bool = true;

/// Whether clients connect again by themselves when they are ended: then those whom the server ends have to be back
/// within the patience of the soak. Otherwise they leave.
pub const CLIENTS_RECONNECT: bool = true;

/// The longest message, in payload bytes.
pub const MAX_MESSAGE_LEN: usize = 256 * 1024;

/// What may wait for one peer, and for all of them, in bytes.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
pub const MAX_TOTAL_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// What is kept of all states together: more than they take.
const SNAPSHOT: usize = 64 * 1024;

/// How much memory more than at the start the process may take, in bytes, at any time: all that may wait, and as much
/// for the clients that live in the same process.
pub const MEMORY: usize = 2 * MAX_TOTAL_QUEUED_BYTES;

/// How long a peer may take nothing. Short, so that those who stand still are many.
pub const STALL: Duration = Duration::from_secs(3);

/// How long each step of an end may take. Long, because those who leave in good order must lose nothing, also when the
/// machine is busy with something else for a while.
const FLUSH: Duration = Duration::from_secs(8);
const DRAIN: Duration = Duration::from_secs(5);
const CLOSE: Duration = Duration::from_secs(10);

/// How long anything may take that has to come: far longer than it ever should, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn server(builder: ServerBuilder) -> ServerBuilder {
    builder
        .max_received_len(MAX_MESSAGE_LEN)
        .max_sent_len(MAX_MESSAGE_LEN)
        .max_queued_bytes(MAX_QUEUED_BYTES)
        .key(viewers::key_of)
        .snapshot(Snapshot::new().max_bytes(SNAPSHOT))
        .memory_limits(MemoryLimits::new().max_total_queued_bytes(MAX_TOTAL_QUEUED_BYTES))
        .timeouts(Timeouts::new().stall_timeout(STALL).partial_message_timeout(Duration::from_secs(2)))
        .closing(Closing::new().flush_timeout(FLUSH).drain_timeout(DRAIN).close_timeout(CLOSE))
}

pub fn client(builder: ClientBuilder) -> ClientBuilder {
    builder
        .reconnect(Reconnect::new().longest_delay(Duration::from_secs(1)))
        .closing(Closing::new().flush_timeout(FLUSH).drain_timeout(DRAIN).close_timeout(CLOSE))
}
