//! What the broker retains: the newest message of each key, for those who come later. Kept here as well, so that a
//! broker that has started again without what it had is told anew, and so that all of it can be taken back in the end.

use std::collections::HashMap;
use std::sync::Arc;

use leads_comm::Key;

use crate::waiting::Message;

/// How many keys are retained at most. Those that come later are not.
const MAX_KEYS: usize = 4096;

/// How many bytes of keys and messages are kept at most. What is beyond that is retained by the broker alone.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Without the message where there was no room for it.
    newest: HashMap<Key, Option<Arc<[u8]>>>,
    bytes: usize,
}

impl Kept {
    /// Keeps a message that has a key, in place of the one before; whether the broker is to retain it.
    ///
    /// It does as long as the key is kept, so that what it retains is the newest, and can be taken back.
    pub(crate) fn put(&mut self, message: &Message) -> bool {
        let Some(key) = &message.key else { return false };
        if let Some(before) = self.newest.get_mut(key) {
            self.bytes -= before.as_ref().map_or(0, |payload| payload.len());
            let has_room = self.bytes + message.payload.len() <= MAX_BYTES;
            *before = has_room.then(|| Arc::clone(&message.payload));
            self.bytes += before.as_ref().map_or(0, |payload| payload.len());
            return true;
        }
        let bytes = self.bytes + key.as_bytes().len() + message.payload.len();
        if bytes > MAX_BYTES || self.newest.len() >= MAX_KEYS {
            return false;
        }
        self.bytes = bytes;
        self.newest.insert(key.clone(), Some(Arc::clone(&message.payload)));
        true
    }

    /// The newest message of a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<[u8]>> {
        self.newest.get(key).cloned().flatten()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.newest.keys().cloned()
    }

    /// Forgets all, and tells what there was.
    pub(crate) fn take_keys(&mut self) -> Vec<Key> {
        self.bytes = 0;
        self.newest.drain().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: Option<&str>, payload: &[u8]) -> Message {
        Message { at: 0, key: key.map(Key::new), payload: payload.into() }
    }

    #[test]
    fn the_newest_of_each_key_is_kept() {
        let mut kept = Kept::default();
        assert!(!kept.put(&message(None, b"event")));
        assert!(kept.put(&message(Some("speed"), b"1")));
        assert!(kept.put(&message(Some("speed"), b"22")));
        assert!(kept.put(&message(Some("lap"), b"3")));
        assert_eq!(kept.keys().count(), 2);
        assert_eq!(kept.get(&Key::new("speed")).as_deref(), Some(&b"22"[..]));
        assert_eq!(kept.get(&Key::new("lap")).as_deref(), Some(&b"3"[..]));
        assert_eq!(kept.bytes, "speed22lap3".len());
        assert_eq!(kept.take_keys().len(), 2);
        assert_eq!((kept.keys().count(), kept.bytes), (0, 0));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut kept = Kept::default();
        for number in 0..MAX_KEYS {
            assert!(kept.put(&message(Some(&number.to_string()), b"1")));
        }
        assert!(!kept.put(&message(Some("another"), b"1")));
        assert!(kept.put(&message(Some("0"), b"2")));
        assert_eq!(kept.get(&Key::new("0")).as_deref(), Some(&b"2"[..]));
        // The broker has it, and forgets it in the end; but it is not kept here.
        let bytes = kept.bytes;
        assert!(kept.put(&message(Some("0"), &vec![0; MAX_BYTES])));
        assert_eq!((kept.get(&Key::new("0")), kept.bytes), (None, bytes - 1));
        assert!(kept.put(&message(Some("0"), b"3")));
        assert_eq!((kept.get(&Key::new("0")).as_deref(), kept.bytes), (Some(&b"3"[..]), bytes));
        assert_eq!(kept.take_keys().len(), MAX_KEYS);
        assert!(!kept.put(&message(Some("long"), &vec![0; MAX_BYTES])));
    }
}
