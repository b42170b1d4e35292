//! How a client's connection goes, said on stderr.

use leads_comm::{Attempt, Callback, Connection, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::console::tell;

/// Says that a client is connected, and why and when it connects again. Goes in front of a verb's own callback, as in
/// `(Status::default(), callback)`. The last end is the verb's to tell.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Why there is no connection.
    cause: Mutex<String>,
}

impl Callback for Status {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        tell(format_args!("connected to {connection}"));
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        *self.cause.lock() = format!("disconnected: {reason:#}");
    }

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        let (number, seconds) = (attempt.number, attempt.delay.as_secs_f64());
        tell(format_args!("{}; connecting again in {seconds:.1} s (attempt {number})", self.cause.lock()));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        *self.cause.lock() = format!("{error:#}");
    }
}
