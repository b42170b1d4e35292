//! The checks of streams.

mod data;
mod ending;
mod names;
mod opening;
mod progress;

use std::sync::Arc;

use leads_comm::transport::Stream;

use crate::failure::{Failure, Outcome};
use crate::run::{self, Run};
use crate::suite::Suite;

/// One thing that is asked of a stream. [`Suite::check_streams`] runs all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamCheck {
    /// The [handshake](Stream::handshake) succeeds where one is needed, and can be ended by another thread.
    Handshake,
    /// The [peer's name](Stream::peer) has one line, and stays the same whatever becomes of the stream.
    PeerName,
    /// Bytes of every value arrive unchanged and in order, in pieces of any length.
    Bytes,
    /// A read gives what is there, into buffers of any length, and keeps the rest.
    PartialReads,
    /// Buffers are written in order, also when many are given, and when some are empty.
    VectoredWrites,
    /// Writing goes on while a read of the same stream blocks.
    WriteWhileReading,
    /// Reading goes on while a write of the same stream blocks.
    ReadWhileWriting,
    /// Much is written and read by both ends at the same time.
    FullDuplex,
    /// [`try_write_vectored`](Stream::try_write_vectored) never blocks: it says `WouldBlock` when the peer does not
    /// read, and goes on when it does. Where it is not expected, it says `Unsupported`.
    TryWrite,
    /// The descriptor to poll says when a write without blocking can go on, and not before. Where it is not expected,
    /// there is none.
    PollWritable,
    /// [`wait_readable`](Stream::wait_readable) tells the truth, and waits. Where it is not expected, it says
    /// `Unsupported`.
    WaitReadable,
    /// Shutting the writing half delivers what was written, then the end, and leaves reading open.
    HalfClose,
    /// Shutting both halves wakes a blocked read, and nothing is read or written any more.
    ShutdownWakesRead,
    /// Shutting both halves wakes a blocked write.
    ShutdownWakesWrite,
    /// [`abort`](Stream::abort) wakes a blocked read.
    AbortWakesRead,
    /// [`abort`](Stream::abort) wakes a blocked write.
    AbortWakesWrite,
    /// Ending a stream more than once, also at the same time, or when the peer has gone, does no harm.
    EndRepeatedly,
    /// Behind the end of the stream, a read reports the end again. Where there is none, [`has_end`](Stream::has_end)
    /// says so.
    EndStays,
    /// A stream that is dropped is closed: its peer notices when it reads, and when it writes.
    DropCloses,
}

impl StreamCheck {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Handshake,
        Self::PeerName,
        Self::Bytes,
        Self::PartialReads,
        Self::VectoredWrites,
        Self::WriteWhileReading,
        Self::ReadWhileWriting,
        Self::FullDuplex,
        Self::TryWrite,
        Self::PollWritable,
        Self::WaitReadable,
        Self::HalfClose,
        Self::ShutdownWakesRead,
        Self::ShutdownWakesWrite,
        Self::AbortWakesRead,
        Self::AbortWakesWrite,
        Self::EndRepeatedly,
        Self::EndStays,
        Self::DropCloses,
    ];

    /// What it is called in a [`Failure`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::PeerName => "peer name",
            Self::Bytes => "bytes",
            Self::PartialReads => "partial reads",
            Self::VectoredWrites => "vectored writes",
            Self::WriteWhileReading => "write while reading",
            Self::ReadWhileWriting => "read while writing",
            Self::FullDuplex => "full duplex",
            Self::TryWrite => "try write",
            Self::PollWritable => "poll writable",
            Self::WaitReadable => "wait readable",
            Self::HalfClose => "half close",
            Self::ShutdownWakesRead => "shutdown wakes read",
            Self::ShutdownWakesWrite => "shutdown wakes write",
            Self::AbortWakesRead => "abort wakes read",
            Self::AbortWakesWrite => "abort wakes write",
            Self::EndRepeatedly => "end repeatedly",
            Self::EndStays => "end stays",
            Self::DropCloses => "drop closes",
        }
    }

    /// Runs it by itself, on pairs of streams as [`Suite::check_streams`] takes them. Blocks until it is done, at most
    /// for a moment longer than its [time](Suite::time).
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn run(
        self,
        suite: &Suite,
        make: impl Fn() -> (Box<dyn Stream>, Box<dyn Stream>) + Clone + Send + 'static,
    ) -> Result<(), Failure> {
        let suite = suite.clone();
        run::check(self.name(), suite.time, move |run| {
            let make = &|| -> Make { Box::new(make.clone()) };
            self.check(&Pairs { make, turned: false, run, suite: &suite })?;
            let turned = Pairs { make, turned: true, run, suite: &suite };
            self.check(&turned).map_err(|wrong| wrong.of("with the two ends exchanged: "))
        })
    }

    fn check(self, pairs: &Pairs<'_>) -> Outcome {
        match self {
            Self::Handshake => opening::handshake(pairs),
            Self::PeerName => names::peer_name(pairs),
            Self::Bytes => data::bytes(pairs),
            Self::PartialReads => data::partial_reads(pairs),
            Self::VectoredWrites => data::vectored_writes(pairs),
            Self::WriteWhileReading => progress::write_while_reading(pairs),
            Self::ReadWhileWriting => progress::read_while_writing(pairs),
            Self::FullDuplex => progress::full_duplex(pairs),
            Self::TryWrite => progress::try_write_never_blocks(pairs),
            Self::PollWritable => progress::poll_writable(pairs),
            Self::WaitReadable => progress::wait_readable(pairs),
            Self::HalfClose => ending::half_close(pairs),
            Self::ShutdownWakesRead => ending::wakes_read(pairs, ending::End::Shutdown),
            Self::ShutdownWakesWrite => ending::wakes_write(pairs, ending::End::Shutdown),
            Self::AbortWakesRead => ending::wakes_read(pairs, ending::End::Abort),
            Self::AbortWakesWrite => ending::wakes_write(pairs, ending::End::Abort),
            Self::EndRepeatedly => ending::end_repeatedly(pairs),
            Self::EndStays => ending::end_stays(pairs),
            Self::DropCloses => ending::drop_closes(pairs),
        }
    }
}

type Make = Box<dyn FnOnce() -> (Box<dyn Stream>, Box<dyn Stream>) + Send>;

/// Where a check gets its streams from.
struct Pairs<'a> {
    make: &'a dyn Fn() -> Make,
    turned: bool,
    run: &'a Run,
    suite: &'a Suite,
}

/// Two ends that are each other's peer.
#[derive(Clone)]
struct Ends {
    one: Arc<dyn Stream>,
    other: Arc<dyn Stream>,
}

impl Pairs<'_> {
    /// A pair that is ready for bytes.
    fn open(&self) -> Outcome<Ends> {
        let ends = self.make()?;
        opening::shake_hands(self.run, &ends)?;
        Ok(ends)
    }

    /// A pair that may have its handshake before it.
    fn make(&self) -> Outcome<Ends> {
        let make = (self.make)();
        let (one, other) = self.run.call("making a pair of streams", move |_| Ok(make()))?;
        let (one, other) = (self.run.adopt(one), self.run.adopt(other));
        Ok(if self.turned { Ends { one: other, other: one } } else { Ends { one, other } })
    }
}
