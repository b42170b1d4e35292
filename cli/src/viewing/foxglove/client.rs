//! One client: how it is sent what it may miss, and what it must not; and where it publishes.

use std::collections::HashSet;
use std::sync::Arc;

use leads_comm::Connection;
use parking_lot::Mutex;

use super::super::viewers::gone;

/// To how many channels a client may publish.
const MOST_PUBLICATIONS: usize = 16;

/// What is known of a client, kept with its connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The place, among all messages, of the last one that it must not miss. Held while one is sent, so that what is
    /// dropped meanwhile is dropped for that one.
    owed: Mutex<u64>,
    publications: Mutex<HashSet<u32>>,
}

impl Client {
    pub(super) fn of(connection: &Connection) -> Arc<Self> {
        connection.get().unwrap_or_default()
    }

    /// Whether it may.
    pub(super) fn advertise(&self, channel: u32) -> bool {
        let mut publications = self.publications.lock();
        publications.len() < MOST_PUBLICATIONS && publications.insert(channel)
    }

    pub(super) fn publishes(&self, channel: u32) -> bool {
        self.publications.lock().contains(&channel)
    }

    pub(super) fn forget(&self, channels: &[u32]) {
        self.publications.lock().retain(|channel| !channels.contains(channel));
    }
}

/// Sends what the client must not miss.
pub(super) fn inform(connection: &Connection, message: &[u8]) {
    send(connection, message, true);
}

/// Sends what it may miss: when it is behind, that takes the place of what is older.
pub(super) fn show(connection: &Connection, message: &[u8]) {
    send(connection, message, false);
}

/// Where something is dropped while the client is owed what it must not miss, it is cut off, for it may know no more
/// what there is; when it connects again it is told.
fn send(connection: &Connection, message: &[u8], is_owed: bool) {
    let client = Client::of(connection);
    let mut owed = client.owed.lock();
    let before = connection.stats().traffic;
    let may_miss = gone(&before) >= *owed;
    let is_sent = connection.send(message).is_ok();
    let after = connection.stats().traffic;
    if (is_owed && !is_sent) || (!may_miss && after.dropped != before.dropped) {
        // One that has gone needs nothing more.
        connection.abort();
    }
    if is_owed {
        *owed = gone(&after) + after.waiting.messages;
    }
}
