use std::time::Duration;

use crate::error::Error;
use crate::settings::require;

/// Whether, and how, a client connects again by itself: see
/// [`ClientBuilder::reconnect`](crate::ClientBuilder::reconnect).
///
/// Before each attempt the client waits for a time that is drawn from 0 to a cap (*full jitter*), so that the clients
/// of a server that comes back do not all arrive at once. The cap is [`first_delay`](Self::first_delay), doubled with
/// each attempt up to [`longest_delay`](Self::longest_delay). It is the first one again after a connection that was
/// *good*, and so are the attempts that [`max_attempts`](Self::max_attempts) counts. A connection was good
///
/// - when a message was received on it, or the server answered our goodbye;
/// - when something was sent on it, and it lasted longer than the first delay: until the peer ended it, or something
///   was last written;
/// - with nothing sent either way, when it was the peer that ended it, after more than the longest delay.
///
/// It was not when the server did not let the client in, or when it ended because nothing came within the
/// [`idle_timeout`](crate::ClientBuilder::idle_timeout). So a server that is full, or says goodbye at once, is asked
/// less and less often. One that is frozen, so that its system accepts and nobody answers, is no connection for a
/// client with a [token](crate::ClientBuilder::token), which is an attempt that failed; to one without, it looks like a
/// silent server.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Client, Reconnect};
///
/// let reconnect = Reconnect::new().longest_delay(Duration::from_secs(5)).at_start(true).keep_bytes(1 << 20);
/// let client = Client::builder().reconnect(reconnect).build()?;
/// # drop(client);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reconnect {
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) at_start: bool,
    pub(crate) keep_bytes: usize,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(30),
            max_attempts: None,
            at_start: false,
            keep_bytes: 0,
        }
    }
}

impl Reconnect {
    /// Connects again for ever, with the default delays.
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest that the first attempt waits. More than 0. Default 250 ms.
    pub fn first_delay(mut self, time: Duration) -> Self {
        self.first_delay = time;
        self
    }

    /// The longest that any attempt waits. Not shorter than the first delay. Default 30 s.
    pub fn longest_delay(mut self, time: Duration) -> Self {
        self.longest_delay = time;
        self
    }

    /// How many attempts in a row, without a good connection in between, before the client gives up; `None`: it never
    /// does. At least 1. Default `None`.
    ///
    /// A client that gives up tells [`Error::GaveUp`] to `on_fail` and ends, as it does without reconnecting when its
    /// connection ends.
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.max_attempts = attempts.into();
        self
    }

    /// Whether a server that cannot be reached at the start is no error of the start. Default false.
    ///
    /// With it, [`Client::start`](crate::Client::start) still tries once on the calling thread; a failure is told to
    /// `on_fail`, and the client runs, and connects when it can. With `parallel` the start returns then, without
    /// a connection; otherwise it stays, and keeps trying.
    pub fn at_start(mut self, at_start: bool) -> Self {
        self.at_start = at_start;
        self
    }

    /// How much the client's [`send`](crate::Client::send) keeps for the next connection while there is none: in bytes,
    /// each message charged its length, the separator's, and 64, as in a queue. Not more than
    /// [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes). Default 0: it is [`Error::NotConnected`].
    ///
    /// What is kept is sent in the order in which it was accepted, and before anything newer: once there is a
    /// connection, which for a client with a [token](crate::ClientBuilder::token) is when it has been let in. What does
    /// not fit is [`Error::KeptFull`], whatever the [slow-consumer policy](crate::SlowConsumer). What is still kept
    /// when the client ends is counted in [`Error::Unsent`], which `on_fail` is told.
    ///
    /// `broadcast` and [`Connection::send`](crate::Connection::send) go to what is connected; nothing of them is kept.
    /// [`flush`](crate::Client::flush) waits for what is kept, too, which takes another connection: in a callback of
    /// this client, which holds that up, it waits in vain.
    pub fn keep_bytes(mut self, bytes: usize) -> Self {
        self.keep_bytes = bytes;
        self
    }

    /// Refuses settings that are out of range or do not fit together.
    pub(crate) fn check(&self, max_queued_bytes: usize) -> Result<(), Error> {
        require(!self.first_delay.is_zero(), "reconnect", "must have a first_delay of more than 0")?;
        require(
            self.longest_delay >= self.first_delay,
            "reconnect",
            "must have a longest_delay that is not shorter than its first_delay",
        )?;
        require(self.max_attempts != Some(0), "reconnect", "must have max_attempts of at least 1")?;
        require(
            self.keep_bytes <= max_queued_bytes,
            "reconnect",
            "must have keep_bytes that do not exceed max_queued_bytes",
        )
    }
}
