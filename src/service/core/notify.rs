//! Whom a service tells: its callbacks, and what it does when they panic.

use std::mem;
use std::sync::Arc;

use super::Core;
use crate::connection::log_limits::Topic;
use crate::error::Error;
use crate::service::callback::{Callback, Chain};
use crate::sync::user_code::{self, error, warn};

impl Core {
    pub(crate) fn callback(&self) -> Arc<Chain> {
        Arc::clone(&self.callback.read())
    }

    /// Puts `callback` behind those that are there.
    pub(crate) fn set_callback(&self, callback: impl Callback) {
        Arc::make_mut(&mut *self.callback.write()).add(callback);
    }

    pub(crate) fn replace_callback(&self, chain: Chain) {
        let replaced = mem::replace(&mut *self.callback.write(), Arc::new(chain));
        // Without the lock: its drop is the program's code.
        drop(replaced);
    }

    pub(crate) fn initialize(&self, callback: &dyn Callback) {
        if let Err(message) = user_code::call(|| callback.on_initialize(self)) {
            self.fail(callback, &Error::CallbackPanicked { callback: "on_initialize", message });
        }
    }

    /// Tells `on_fail`.
    pub(crate) fn fail(&self, callback: &dyn Callback, error: &Error) {
        if self.engine.may_log(Topic::Failure) {
            warn!("{}: {error:#}", self.lifecycle.name());
        }
        if let Err(message) = user_code::call(|| callback.on_fail(self, error)) {
            if self.engine.may_log(Topic::FailPanic) {
                error!("{}: the callback on_fail panicked: {message}", self.lifecycle.name());
            }
        }
    }
}
