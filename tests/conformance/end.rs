//! How a connection ends, as a case expects it: the reason and its facts.

use std::io::ErrorKind;
use std::time::Duration;

use leads_comm::{DisconnectCause, DisconnectReason, OutboundLimit};

/// The reasons, with the facts that a case can know beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    PeerGoodbye,
    PeerClosed,
    LocalClose,
    LocalAbort,
    ServiceClosed,
    MessageTooLong {
        limit: usize,
    },
    PartialMessageTimeout(Duration),
    IdleTimeout(Duration),
    TotalUnfinishedBytes {
        limit: usize,
    },
    SlowConsumer(OutboundLimit),
    Panicked(&'static str),
    /// The peer reset the connection.
    Reset,
    /// The same while the library was writing. A system tells one call of a reset: where that is the write, reading
    /// sees the end of the stream.
    ResetWhileWriting,
}

/// A reason, and what was lost with the connection: nothing unless it is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    why: Why,
    discarded: Amount,
    unsent: Amount,
    dropped: Amount,
    /// Whether the script has named it; otherwise the peer brings the end about itself.
    pub(crate) expected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    None,
    Some,
    Exactly(u64),
    Any,
}

impl Amount {
    fn fits(self, amount: u64) -> bool {
        match self {
            Amount::None => amount == 0,
            Amount::Some => amount > 0,
            Amount::Exactly(expected) => amount == expected,
            Amount::Any => true,
        }
    }
}

impl Default for End {
    fn default() -> Self {
        Why::PeerGoodbye.into()
    }
}

impl From<Why> for End {
    fn from(why: Why) -> Self {
        Self { why, discarded: Amount::None, unsent: Amount::None, dropped: Amount::None, expected: false }
    }
}

impl Why {
    /// With so many bytes of an unfinished message, which are not delivered.
    pub(crate) fn discarding(self, bytes: usize) -> End {
        End { discarded: Amount::Exactly(bytes as u64), ..self.into() }
    }

    /// With bytes of an unfinished message, nobody knows how many.
    pub(crate) fn discarding_some(self) -> End {
        End { discarded: Amount::Some, ..self.into() }
    }

    /// With messages that were accepted and not written.
    pub(crate) fn with_unsent(self) -> End {
        End { unsent: Amount::Some, ..self.into() }
    }

    /// With messages that were accepted and perhaps not written.
    pub(crate) fn with_or_without_unsent(self) -> End {
        End { unsent: Amount::Any, ..self.into() }
    }

    /// With messages that the policy for slow peers dropped.
    pub(crate) fn with_dropped(self) -> End {
        End { dropped: Amount::Some, ..self.into() }
    }

    fn fits(self, cause: &DisconnectCause) -> bool {
        match (self, cause) {
            (Why::PeerGoodbye, DisconnectCause::PeerGoodbye)
            | (Why::PeerClosed, DisconnectCause::PeerClosed)
            | (Why::LocalClose, DisconnectCause::LocalClose)
            | (Why::LocalAbort, DisconnectCause::LocalAbort)
            | (Why::ServiceClosed, DisconnectCause::ServiceClosed) => true,
            (Why::MessageTooLong { limit }, DisconnectCause::MessageTooLong { limit: seen }) => limit == *seen,
            (Why::PartialMessageTimeout(time), DisconnectCause::PartialMessageTimeout { timeout })
            | (Why::IdleTimeout(time), DisconnectCause::IdleTimeout { timeout }) => time == *timeout,
            (Why::TotalUnfinishedBytes { limit }, DisconnectCause::TotalUnfinishedBytes { limit: seen }) => {
                limit == *seen
            }
            (Why::SlowConsumer(limit), DisconnectCause::SlowConsumer { limit: seen }) => limit == *seen,
            (Why::Panicked(name), DisconnectCause::CallbackPanicked { callback, .. }) => name == *callback,
            (Why::Reset, DisconnectCause::Io { source }) => {
                matches!(source.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
            }
            (Why::ResetWhileWriting, DisconnectCause::Io { .. } | DisconnectCause::PeerClosed) => true,
            _ => false,
        }
    }
}

impl End {
    pub(crate) fn expected(self) -> Self {
        Self { expected: true, ..self }
    }

    /// Compares with what `on_disconnect` was told.
    pub(crate) fn check(&self, reason: &DisconnectReason) -> Result<(), String> {
        let lost = reason.undelivered;
        let fits = self.why.fits(&reason.cause)
            && self.discarded.fits(lost.unfinished_bytes as u64)
            && self.unsent.fits(lost.unsent.messages)
            && self.unsent.fits(lost.unsent.bytes)
            && self.dropped.fits(lost.dropped.messages);
        if fits { Ok(()) } else { Err(format!("expected the end {self:?}, saw {reason:?}")) }
    }
}
