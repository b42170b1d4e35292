//! What a service tells the program, and what passes that on: pointers and pairs.

use std::sync::Arc;

use crate::connection::Connection;
use crate::error::{DisconnectReason, Error};
use crate::service::Service;
use crate::service::callback::Attempt;
use crate::sync::user_code::Calls;

/// What a service tells the program. Every method does nothing unless it is written.
///
/// # Threads and order
///
/// Each connection has a reader thread of its own, the only one that calls its callbacks:
/// [`on_connect`](Self::on_connect) once, [`on_receive`](Self::on_receive) for each message in order,
/// [`on_disconnect`](Self::on_disconnect) once, always last. Callbacks of different connections run at the same time,
/// so the object is shared (`Sync`). A callback that takes its time delays its own peer and nobody else.
///
/// # What may be called
///
/// Anything, of any service: no lock is held while a callback runs. [`Service::close`] called in a callback starts the
/// close and returns at once, because it would otherwise wait for the callback itself. The same holds in a destructor:
/// a callback is dropped by its last owner, which may be a thread of the library.
///
/// # Panics
///
/// A panic in `on_connect` or `on_receive` ends that connection with
/// [`DisconnectCause::CallbackPanicked`](crate::DisconnectCause::CallbackPanicked); one in
/// `on_initialize`, `on_disconnect` or `on_reconnect` is told to [`on_fail`](Self::on_fail); one in `on_fail` is
/// logged, and so is one in the destructor of a callback. The service goes on. (A program built with `panic = "abort"`
/// aborts.)
///
/// # Combining
///
/// `()` ignores everything. A pair `(A, B)` calls A, then B, also when A panics.
/// [`Server::set_callback`](crate::Server::set_callback) chains in the same way.
///
/// # Examples
///
/// ```
/// use leads_comm::{Callback, Connection, Service};
///
/// /// Tells everyone what anyone says.
/// struct Relay;
///
/// impl Callback for Relay {
///     fn on_receive(&self, service: &dyn Service, _connection: &Connection, message: &[u8]) {
///         // Fails only when the service could not send such a message; one that was received, it could.
///         let _ = service.broadcast(message);
///     }
/// }
/// ```
pub trait Callback: Send + Sync + 'static {
    /// The service has started: a server listens, a client is connected, or goes on [trying
    /// to](crate::Reconnect::at_start). Comes before every other call.
    ///
    /// On a server's accepting thread (connections wait for it), or on a client's reader thread.
    fn on_initialize(&self, service: &dyn Service) {
        let _ = service;
    }

    /// A connection has been opened; that of a client with a [token](crate::ClientBuilder::token), when it has been let
    /// in. It is counted already, and a broadcast reaches it. On its reader thread.
    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        let _ = (service, connection);
    }

    /// A message has arrived, without its separator. On the connection's reader thread.
    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        let _ = (service, connection, message);
    }

    /// A connection has ended. It is no longer counted. On its reader thread; once for each `on_connect`.
    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let _ = (service, connection, reason);
    }

    /// A client has no connection, and is about to wait for [`delay`](Attempt::delay) and then to connect again: only
    /// with [`ClientBuilder::reconnect`](crate::ClientBuilder::reconnect). On its reader thread, after the
    /// `on_disconnect` of the connection before. [`Service::close`] in it makes this attempt, and all others, not
    /// happen.
    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        let _ = (service, attempt);
    }

    /// A thread of the service met a failure that has no other place to be reported: see the variants of [`Error`].
    /// On that thread. The service goes on.
    fn on_fail(&self, service: &dyn Service, error: &Error) {
        let _ = (service, error);
    }
}

/// Ignores everything.
impl Callback for () {}

/// Passes every call on, each method by its own name.
macro_rules! pass_on {
    ($pointer:ty, $target:ident) => {
        impl<$target: Callback + ?Sized> Callback for $pointer {
            fn on_initialize(&self, service: &dyn Service) {
                (**self).on_initialize(service);
            }

            fn on_connect(&self, service: &dyn Service, connection: &Connection) {
                (**self).on_connect(service, connection);
            }

            fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
                (**self).on_receive(service, connection, message);
            }

            fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
                (**self).on_disconnect(service, connection, reason);
            }

            fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
                (**self).on_reconnect(service, attempt);
            }

            fn on_fail(&self, service: &dyn Service, error: &Error) {
                (**self).on_fail(service, error);
            }
        }
    };
}

pass_on!(Arc<T>, T);
pass_on!(Box<T>, T);

/// First A, then B.
impl<A: Callback, B: Callback> Callback for (A, B) {
    fn on_initialize(&self, service: &dyn Service) {
        both(|| self.0.on_initialize(service), || self.1.on_initialize(service));
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        both(|| self.0.on_connect(service, connection), || self.1.on_connect(service, connection));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        both(|| self.0.on_receive(service, connection, message), || self.1.on_receive(service, connection, message));
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        both(
            || self.0.on_disconnect(service, connection, reason),
            || self.1.on_disconnect(service, connection, reason),
        );
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        both(|| self.0.on_reconnect(service, attempt), || self.1.on_reconnect(service, attempt));
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        both(|| self.0.on_fail(service, error), || self.1.on_fail(service, error));
    }
}

/// Calls both also when the first panics, so that the second is never told of an end without a beginning.
fn both(first: impl FnOnce(), second: impl FnOnce()) {
    let mut calls = Calls::default();
    calls.make(first);
    calls.make(second);
    calls.finish();
}
