//! The program's code by which messages are told apart and chosen.

use std::fmt;
use std::sync::Arc;

use super::Key;
use crate::sync::user_code::{self, Foreign};

type Function = dyn Fn(&[u8]) -> Option<Key> + Send + Sync;
type Choice = dyn Fn(Option<&Key>, &[u8]) -> bool + Send + Sync;

/// What the key of a message is.
#[derive(Clone)]
pub(crate) struct KeyFunction(Arc<Foreign<Function>>);

/// Which messages somebody wants. Two are equal if they are clones of one another.
#[derive(Clone)]
pub(crate) struct Filter(Arc<Foreign<Choice>>);

impl KeyFunction {
    pub(crate) fn new(function: impl Fn(&[u8]) -> Option<Key> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Foreign::new("the key function", Box::new(function))))
    }

    /// The key of a message; the message of a panic.
    pub(crate) fn call(&self, message: &[u8]) -> Result<Option<Key>, String> {
        user_code::call(|| (self.0)(message))
    }
}

impl Filter {
    pub(crate) fn new(wanted: impl Fn(Option<&Key>, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        // As many as peers like to have.
        Self(Arc::new(Foreign::one_of_many("a filter", Box::new(wanted))))
    }

    /// Whether a message is wanted; the message of a panic.
    pub(crate) fn call(&self, key: Option<&Key>, message: &[u8]) -> Result<bool, String> {
        user_code::call(|| (self.0)(key, message))
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Filter {}

impl fmt::Debug for KeyFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFunction")
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}
