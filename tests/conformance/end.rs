//! How a connection ends, as a case expects it: the reason and its facts.

use std::io::ErrorKind;
use std::time::Duration;

use leads_comm::{DisconnectReason, OutboundLimit};

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
    /// The same while the library was writing. A system tells one call of a reset: where that is the write, reading sees
    /// the end of the stream.
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
    Exactly(usize),
    Any,
}

impl Amount {
    fn fits(self, amount: usize) -> bool {
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
        End { discarded: Amount::Exactly(bytes), ..self.into() }
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

    fn fits(self, reason: &DisconnectReason) -> bool {
        match (self, reason) {
            (Why::PeerGoodbye, DisconnectReason::PeerGoodbye { .. })
            | (Why::PeerClosed, DisconnectReason::PeerClosed { .. })
            | (Why::LocalClose, DisconnectReason::LocalClose { .. })
            | (Why::LocalAbort, DisconnectReason::LocalAbort { .. })
            | (Why::ServiceClosed, DisconnectReason::ServiceClosed { .. }) => true,
            (Why::MessageTooLong { limit }, DisconnectReason::MessageTooLong { limit: seen, .. }) => limit == *seen,
            (Why::PartialMessageTimeout(time), DisconnectReason::PartialMessageTimeout { timeout, .. })
            | (Why::IdleTimeout(time), DisconnectReason::IdleTimeout { timeout, .. }) => time == *timeout,
            (Why::TotalUnfinishedBytes { limit }, DisconnectReason::TotalUnfinishedBytes { limit: seen, .. }) => {
                limit == *seen
            }
            (Why::SlowConsumer(limit), DisconnectReason::SlowConsumer { limit: seen, .. }) => limit == *seen,
            (Why::Panicked(name), DisconnectReason::CallbackPanicked { callback, .. }) => name == *callback,
            (Why::Reset, DisconnectReason::Io { source, .. }) => {
                matches!(source.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
            }
            (Why::ResetWhileWriting, DisconnectReason::Io { .. } | DisconnectReason::PeerClosed { .. }) => true,
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
        let lost = reason.undelivered();
        let fits = self.why.fits(reason)
            && self.discarded.fits(lost.received_bytes)
            && self.unsent.fits(lost.unsent_messages)
            && self.unsent.fits(lost.unsent_bytes)
            && self.dropped.fits(lost.dropped_messages);
        if fits { Ok(()) } else { Err(format!("expected the end {self:?}, saw {reason:?}")) }
    }
}
