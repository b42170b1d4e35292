//! What a server keeps for those who connect later.

use std::time::Duration;

use super::require;
use crate::error::Error;

/// What a server keeps of the last message of each key, for those who connect later: see
/// [`ServerBuilder::snapshot`](crate::ServerBuilder::snapshot).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Server, Snapshot, key};
///
/// // A newcomer gets the newest state of each sensor at once, as far as it is not older than ten seconds.
/// let snapshot = Snapshot::new().max_keys(200).max_age(Duration::from_secs(10));
/// let server = Server::builder().key(key::prefix(b':')).snapshot(snapshot).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Snapshot {
    pub(crate) max_keys: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Option<Duration>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { max_keys: 1024, max_bytes: 1024 * 1024, max_age: None }
    }
}

impl Snapshot {
    /// The default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of how many keys the last message is kept: where there are more, those go whose last message is the oldest. At
    /// least 1. Default 1024.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// How much is kept: in bytes, each message charged its length, the separator's, and 64, and a key of more than 22
    /// bytes its own length. Where there is more, those keys go whose last message is the oldest; of a key whose
    /// message is longer than that by itself nothing is kept. Not 0, and at most half of what may
    /// [wait for a connection](crate::Delivery::max_queued_bytes), so that all of it has room there beside what comes
    /// meanwhile. Default 1 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How old a message may be; then it is not sent any more, and goes. More than 0. Default `None`: for ever.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// Refuses limits that keep nothing, or anything where there are no keys.
    pub(crate) fn check(&self, has_keys: bool) -> Result<(), Error> {
        require(has_keys, "snapshot", "needs a key function, by which messages replace one another")?;
        require(self.max_keys > 0, "snapshot", "must have a max_keys of at least 1")?;
        require(self.max_bytes > 0, "snapshot", "must have a max_bytes that is not 0")?;
        require(self.max_age != Some(Duration::ZERO), "snapshot", "must have a max_age that is not 0")
    }
}
