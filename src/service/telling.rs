//! Whom a service tells: its callbacks, and what it does when they panic.

use std::mem;
use std::sync::Arc;

use log::{error, warn};

use super::Core;
use crate::callback::{self, Callback, contain_panic};
use crate::error::Error;
use crate::limited::Topic;

impl Core {
    pub(crate) fn callback(&self) -> Arc<dyn Callback> {
        Arc::clone(&self.callback.read())
    }

    /// Puts `callback` behind those that are there.
    pub(crate) fn set_callback(&self, callback: Arc<dyn Callback>) {
        let mut chain = self.callback.write();
        *chain = Arc::new((Arc::clone(&chain), callback));
    }

    pub(crate) fn replace_callback(&self, callback: Arc<dyn Callback>) {
        let replaced = mem::replace(&mut *self.callback.write(), callback);
        // Without the lock: its drop is the program's code.
        drop(replaced);
    }

    pub(crate) fn initialize(&self, callback: &dyn Callback) {
        if let Err(message) = callback::call(|| callback.on_initialize(self)) {
            self.fail(callback, &Error::CallbackPanicked { callback: "on_initialize", message });
        }
    }

    /// Tells `on_fail`.
    pub(crate) fn fail(&self, callback: &dyn Callback, error: &Error) {
        if self.context.may_log(Topic::Failure) {
            // Also when it is the logger that has panicked.
            let _ = contain_panic(|| warn!("{}: {error}", self.life.name()));
        }
        if let Err(message) = callback::call(|| callback.on_fail(self, error)) {
            if self.context.may_log(Topic::FailPanic) {
                error!("{}: the callback on_fail panicked: {message}", self.life.name());
            }
        }
    }
}
