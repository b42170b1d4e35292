//! The callbacks of a service, one behind the other.

use std::sync::Arc;

use super::Callback;
use crate::connection::Connection;
use crate::error::{DisconnectReason, Error};
use crate::service::Service;
use crate::service::callback::Attempt;
use crate::sync::user_code::{Calls, Foreign};

/// Each is called, in this order, also when one before it panics. Flat, so that any number of them is called, and
/// dropped, on a small stack.
#[derive(Clone, Default)]
pub(crate) struct Chain {
    callbacks: Vec<Arc<Foreign<dyn Callback>>>,
}

impl Chain {
    pub(crate) fn of(callback: impl Callback) -> Self {
        let mut chain = Self::default();
        chain.add(callback);
        chain
    }

    pub(crate) fn add(&mut self, callback: impl Callback) {
        self.callbacks.push(Arc::new(Foreign::new("a callback", Box::new(callback))));
    }

    #[inline]
    fn each(&self, call: impl Fn(&dyn Callback)) {
        match &self.callbacks[..] {
            [only] => call(&***only),
            callbacks => {
                let mut calls = Calls::default();
                callbacks.iter().for_each(|callback| calls.make(|| call(&***callback)));
                calls.finish();
            }
        }
    }
}

impl Callback for Chain {
    fn on_initialize(&self, service: &dyn Service) {
        self.each(|callback| callback.on_initialize(service));
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        self.each(|callback| callback.on_connect(service, connection));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        self.each(|callback| callback.on_receive(service, connection, message));
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        self.each(|callback| callback.on_disconnect(service, connection, reason));
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        self.each(|callback| callback.on_reconnect(service, attempt));
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        self.each(|callback| callback.on_fail(service, error));
    }
}
