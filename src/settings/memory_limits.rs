//! What all connections of a service may take of memory together.

use super::require;
use crate::error::Error;

/// How much memory a service may take: see [`ServerBuilder::memory_limits`](crate::ServerBuilder::memory_limits).
///
/// # Examples
///
/// ```
/// use leads_comm::{MemoryLimits, Server};
///
/// // A small board: 8 MiB for what waits to be written, and 4 for what comes in.
/// let limits = MemoryLimits::new().max_total_queued_bytes(8 << 20).max_total_unfinished_bytes(4 << 20);
/// let server = Server::builder().memory_limits(limits).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct MemoryLimits {
    pub(crate) max_total_queued_bytes: usize,
    pub(crate) max_total_unfinished_bytes: usize,
    pub(crate) reader_stack: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            max_total_queued_bytes: 64 * 1024 * 1024,
            max_total_unfinished_bytes: 64 * 1024 * 1024,
            reader_stack: 512 * 1024,
        }
    }
}

impl MemoryLimits {
    /// The default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much memory what waits to be written to all peers together may take, in bytes: the messages themselves,
    /// room for more of them that is kept ready, and what it takes to keep them in order, some 8 to 130 bytes for a
    /// message. One that is broadcast counts once, however many peers it waits for; an entry for it in a peer's
    /// queue, if there has to be one, counts for that peer. Not less than
    /// [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes). Default 64 MiB.
    ///
    /// Up to an eighth more is used for messages that are just being written, and what is left of one of up to 4 KiB
    /// for each connection. So peers who take what they are sent are always served, whatever call the messages come by
    /// and whatever the [policy](crate::ServerBuilder::slow_consumer), although others have used everything up. Peers
    /// that have stopped in the middle of longer messages may hold that eighth as well; then room for another long one
    /// is made as the policy has it: the peer with the longest queue is disconnected, or loses the oldest of what waits
    /// for it, or is waited for.
    pub fn max_total_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_total_queued_bytes = bytes;
        self
    }

    /// How much the messages that peers have begun and not finished, and the buffers that they are read into, may take
    /// of memory for all connections together, in bytes; besides, each connection has 4 KiB that do not count. Must
    /// hold a message of [`max_received_len`](crate::ServerBuilder::max_received_len) with its separator. Default 64
    /// MiB.
    ///
    /// When half of it is used, peers are read from in small steps, without large buffers. When all of it is used
    /// and a message needs more, the connection with the longest unfinished message is ended at once, with
    /// [`DisconnectCause::TotalUnfinishedBytes`](crate::DisconnectCause::TotalUnfinishedBytes); so one that
    /// hoards goes before one that sends a little at a time. The message that needs more waits for that memory, at
    /// most for a second, and then its own connection is ended in the same way: also when it is running callbacks
    /// that hold all of it.
    pub fn max_total_unfinished_bytes(mut self, bytes: usize) -> Self {
        self.max_total_unfinished_bytes = bytes;
        self
    }

    /// The stack of each reader thread, in bytes, on which the callbacks run. Default 512 KiB: a quarter of what
    /// Rust gives a thread otherwise, so that 10,000 connections take 5 GB of addresses; only what is used of it
    /// costs memory. Callbacks that recurse deeply, or keep large arrays on the stack, need more.
    pub fn reader_stack(mut self, bytes: usize) -> Self {
        self.reader_stack = bytes;
        self
    }

    /// Refuses limits that cannot hold one queue, or one unfinished message of this length with its separator.
    pub(crate) fn check(&self, max_queued_bytes: usize, unfinished: usize) -> Result<(), Error> {
        require(
            self.max_total_queued_bytes >= max_queued_bytes,
            "memory_limits",
            "must have a max_total_queued_bytes that is not less than max_queued_bytes",
        )?;
        require(
            self.max_total_unfinished_bytes >= unfinished,
            "memory_limits",
            "must have a max_total_unfinished_bytes that holds one message of max_received_len, with its separator",
        )
    }
}
