//! One client: how it is sent what it may miss, and what it must not; and where it publishes.

use std::collections::HashSet;
use std::sync::Arc;

use leads_comm::Connection;
use parking_lot::Mutex;

/// To how many channels a client may publish.
const MOST_PUBLICATIONS: usize = 16;

/// What is known of a client, kept with its connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// While something waits that it must not miss: how many messages had been dropped before that.
    dropped_before: Mutex<Option<u64>>,
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
    let before = connection.dropped_messages();
    // One that has gone needs nothing.
    let _ = connection.send(message);
    if connection.queued_bytes() > 0 {
        Client::of(connection).dropped_before.lock().get_or_insert(before);
    }
}

/// Sends what it may miss: when it is behind, that takes the place of what is older. Where that was something that it
/// must not miss, it is cut off, for it knows no more what there is; when it connects again it is told.
pub(super) fn show(connection: &Connection, message: &[u8]) {
    let _ = connection.send(message);
    let client = Client::of(connection);
    let mut dropped_before = client.dropped_before.lock();
    let Some(before) = *dropped_before else { return };
    if connection.dropped_messages() != before {
        connection.abort();
    } else if connection.queued_bytes() == 0 {
        *dropped_before = None;
    }
}
