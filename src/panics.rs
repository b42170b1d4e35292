//! Panics that are not passed on.

use std::any::Any;
use std::mem;

/// Lets go of what a panic carried: text, nearly always. Dropping anything else may panic again, and it is left alone.
pub(crate) fn let_go(payload: Box<dyn Any + Send>) {
    if !payload.is::<&str>() && !payload.is::<String>() {
        mem::forget(payload);
    }
}
