//! What a program keeps with a connection: one value of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::sync::user_code::{self, debug};

type Value = Arc<dyn Any + Send + Sync>;

/// The values, until the connection is over.
pub(crate) struct Values {
    by_type: Mutex<Option<HashMap<TypeId, Value>>>,
}

impl Default for Values {
    fn default() -> Self {
        Self { by_type: Mutex::new(Some(HashMap::new())) }
    }
}

impl Values {
    /// Keeps a value; the one of this type that was there before.
    pub(crate) fn insert<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        let value: Value = Arc::new(value);
        let (before, late) = match &mut *self.by_type.lock() {
            Some(by_type) => (by_type.insert(TypeId::of::<T>(), value), None),
            None => (None, Some(value)),
        };
        // Its destructor is the program's, and runs on the program's thread.
        drop(late);
        before.and_then(|before| before.downcast().ok())
    }

    /// The value of this type.
    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = self.by_type.lock().as_ref()?.get(&TypeId::of::<T>())?.clone();
        value.downcast().ok()
    }

    /// Lets all of them go, for ever: one may well hold a handle of its connection.
    pub(crate) fn end(&self) {
        let values = mem::take(&mut *self.by_type.lock());
        for value in values.into_iter().flat_map(HashMap::into_values) {
            if let Err(message) = user_code::call(|| drop(value)) {
                debug!("dropping a connection's value panicked: {message}");
            }
        }
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.end();
    }
}
