//! What the bridge has to say itself of what is retained.

use std::collections::{HashSet, VecDeque};

use leads_comm::Key;

/// What is to be said of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
    /// Its newest message is retained.
    Retained(Key),
    /// None is any more.
    Cleared(Key),
}

/// All that is to be said, in order, and of each key once: whatever is its newest message when its turn comes is said.
#[derive(Debug, Default)]
pub(super) struct ToSay {
    queue: VecDeque<Own>,
    /// The keys in it of which the newest message is to be said.
    retained: HashSet<Key>,
}

impl ToSay {
    /// A key has another newest message, which is to be said.
    pub(super) fn retained(&mut self, key: Key) {
        if self.retained.insert(key.clone()) {
            self.queue.push_back(Own::Retained(key));
        }
    }

    /// None of these is retained any more. Nothing else is to be said then.
    pub(super) fn clear_all(&mut self, keys: Vec<Key>) {
        self.forget();
        self.queue.extend(keys.into_iter().map(Own::Cleared));
    }

    pub(super) fn next(&mut self) -> Option<Own> {
        let own = self.queue.pop_front()?;
        if let Own::Retained(key) = &own {
            self.retained.remove(key);
        }
        Some(own)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing is to be said.
    pub(super) fn forget(&mut self) {
        self.queue.clear();
        self.retained.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_said_once() {
        let mut own = ToSay::default();
        for key in ["a", "b", "a"] {
            own.retained(Key::new(key));
        }
        assert_eq!(own.next(), Some(Own::Retained(Key::new("a"))));
        own.retained(Key::new("a"));
        assert_eq!(own.next(), Some(Own::Retained(Key::new("b"))));
        assert_eq!(own.next(), Some(Own::Retained(Key::new("a"))));
        assert_eq!(own.next(), None);
        own.retained(Key::new("a"));
        own.clear_all(vec![Key::new("b")]);
        assert_eq!(own.next(), Some(Own::Cleared(Key::new("b"))));
        assert!(own.is_empty());
        own.retained(Key::new("a"));
        assert!(!own.is_empty());
    }
}
