use std::error;
use std::fmt;
use std::iter;
use std::time::Duration;

use leads_comm::DisconnectReason;
use leads_comm_resume::HistoryError;

/// What has happened to a bridge, for its program: see [`BridgeBuilder::events`](crate::BridgeBuilder::events).
///
/// Displayed in one line, with what has caused it. None of them holds anything of a message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// There is a session with the broker. What is published from now on goes to it.
    Connected,
    /// A connection to the broker has ended: a session, or one that did not become any.
    Disconnected {
        /// What the library says of its end.
        reason: DisconnectReason,
        /// What the bridge ended it for, where it did.
        fault: Option<Fault>,
        /// For how long there was a session; `None` where there was none.
        lasted: Option<Duration>,
        /// When it connects again.
        again_in: Duration,
    },
    /// The broker could not be reached, or is not the one that it should be: its certificate is refused, for instance.
    Unreachable {
        /// What the library says, [`Error::Connect`](leads_comm::Error::Connect) for instance.
        error: leads_comm::Error,
        /// When it connects again.
        again_in: Duration,
    },
    /// The broker does not let the bridge in. It is asked again, after 5 s at the soonest, and then less and less
    /// often, up to a minute.
    Refused {
        /// Why.
        refusal: Refusal,
        /// When it connects again.
        again_in: Duration,
    },
    /// The broker does not let the bridge have commands: it has refused the subscription. Everything else goes on.
    NotSubscribed,
    /// Commands have come that are not on the list, or were retained. Told once a second at most.
    CommandsRefused {
        /// How many, since that was told last.
        messages: u64,
    },
    /// The function that commands are given to has panicked. Others are given to it.
    CommandPanicked {
        /// The panic's message, where it was text.
        message: String,
    },
    /// What was to wait for the broker could not be written, or not be read. Told once in ten seconds at most; how many
    /// messages that has cost is in the numbers.
    BacklogFailed {
        /// What happened to it.
        error: HistoryError,
    },
    /// Everything that waited has arrived at the broker.
    CaughtUp {
        /// How many messages, in this session.
        messages: u64,
    },
    /// The bridge has no client any more, or has failed itself, by a defect: it publishes nothing, and should be
    /// closed.
    Failed {
        /// What the library says.
        error: leads_comm::Error,
    },
}

/// Why a broker does not let a bridge in: what it says itself, in the words of MQTT 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not speak MQTT 3.1.1.
    Protocol,
    /// It does not take this client id.
    ClientId,
    /// It is there, and serves nobody.
    Unavailable,
    /// It does not know the user, or the password is another one.
    Credentials,
    /// This client may not connect: some brokers say so of a wrong password as well.
    NotAuthorised,
}

/// What a bridge ends a connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The broker has said nothing for so long, although it was asked.
    Silent(Duration),
    /// The broker answers, but has not acknowledged a message for so long.
    Unacknowledged(Duration),
    /// The broker has not answered CONNECT for so long.
    NoAnswer(Duration),
    /// The broker has sent what MQTT does not let it send.
    Malformed,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("the broker is there"),
            Self::Disconnected { reason, fault, lasted, again_in } => {
                match lasted {
                    Some(lasted) => write!(f, "the broker is gone after {:.1} s: ", lasted.as_secs_f64())?,
                    None => f.write_str("the broker did not begin a session: ")?,
                }
                match fault {
                    Some(fault) => fault.fmt(f)?,
                    None => write!(f, "{reason:#}")?,
                }
                again(f, *again_in)
            }
            Self::Unreachable { error, again_in } => {
                write!(f, "{error:#}")?;
                again(f, *again_in)
            }
            Self::Refused { refusal, again_in } => {
                refusal.fmt(f)?;
                again(f, *again_in)
            }
            Self::NotSubscribed => f.write_str("the broker does not let the bridge have commands"),
            Self::CommandsRefused { messages: 1 } => f.write_str("a command was refused"),
            Self::CommandsRefused { messages } => write!(f, "{messages} commands were refused"),
            Self::CommandPanicked { message } => {
                write!(f, "what commands are given to has panicked: {}", message.lines().next().unwrap_or_default())
            }
            Self::BacklogFailed { error } => {
                write!(f, "what waits for the broker: {error}")?;
                let mut sources = iter::successors(error::Error::source(error), |source| source.source());
                sources.try_for_each(|source| write!(f, ": {source}"))
            }
            Self::CaughtUp { messages } => write!(f, "all that waited has arrived, {messages} messages"),
            Self::Failed { error } => write!(f, "the bridge has failed: {error:#}"),
        }
    }
}

fn again(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    write!(f, ", again in {:.1} s", time.as_secs_f64())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "the broker does not speak MQTT 3.1.1",
            Self::ClientId => "the broker does not take the client id",
            Self::Unavailable => "the broker serves nobody",
            Self::Credentials => "the broker does not take the user and the password",
            Self::NotAuthorised => "the broker does not let this client in",
        })
    }
}

impl error::Error for Refusal {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(time) => write!(f, "it has said nothing for {:.1} s", time.as_secs_f64()),
            Self::Unacknowledged(time) => {
                write!(f, "it has not acknowledged a message for {:.1} s", time.as_secs_f64())
            }
            Self::NoAnswer(time) => write!(f, "it did not answer within {:.1} s", time.as_secs_f64()),
            Self::Malformed => f.write_str("what it has sent is not MQTT 3.1.1"),
        }
    }
}

impl error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot write")
        }
    }

    impl error::Error for Outer {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn all_that_has_caused_it_is_displayed() {
        let source = Arc::new(io::Error::other(Outer(io::Error::other("no space left"))));
        let error = HistoryError::Io { path: "folder".into(), source };
        let line = Event::BacklogFailed { error }.to_string();
        assert!(line.ends_with(": cannot write: no space left"), "{line}");
    }
}
