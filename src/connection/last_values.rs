//! The last message of each key that was broadcast, for those who connect later.
//!
//! Its lock is what a broadcast and a newcomer meet at. A broadcast notes its message and looks who is connected under
//! it, and a newcomer [lists](LastValues::list) what there is and becomes one of the connections. So each of the two
//! sees all of the other, or nothing.

mod store;

use std::sync::Arc;

use crate::connection::outbox::{Batch, Rules};
use crate::settings::{Key, Snapshot};
use crate::sync::{Mutex, now};
use store::Store;

pub(crate) struct LastValues {
    store: Mutex<Store>,
}

impl LastValues {
    pub(crate) fn new(limits: Snapshot, rules: &Arc<Rules>) -> Self {
        Self { store: Mutex::new(Store::new(limits, Arc::clone(rules))) }
    }

    /// Notes a message that is about to be broadcast, and does `then` in the same step.
    pub(crate) fn note<R>(&self, message: &[u8], key: &Key, then: impl FnOnce() -> R) -> R {
        let mut store = self.store.lock();
        store.set(key, message);
        then()
    }

    /// All of them, that first which was broadcast first, and what has become of `then`, which is done in the same step
    /// and told what they are charged at most.
    pub(crate) fn list<R>(&self, then: impl FnOnce(usize) -> R) -> (Vec<Arc<Batch>>, R) {
        let (mut values, result) = {
            let mut store = self.store.lock();
            store.expire(now());
            (store.values(), then(store.charged()))
        };
        values.sort_unstable_by_key(|(number, _)| *number);
        (values.into_iter().map(|(_, batch)| batch).collect(), result)
    }

    /// Does `work` while nobody notes anything; it may ask whether a message is still the last one of its key.
    pub(crate) fn hold<R>(&self, work: impl FnOnce(&dyn Fn(&Arc<Batch>) -> bool) -> R) -> R {
        let store = self.store.lock();
        work(&|batch| store.has(batch))
    }

    /// Forgets the message of a key; whether there was one.
    pub(crate) fn forget(&self, key: &Key) -> bool {
        self.store.lock().remove(key)
    }

    /// Of how many keys there is one.
    pub(crate) fn len(&self) -> usize {
        let mut store = self.store.lock();
        store.expire(now());
        store.len()
    }
}
