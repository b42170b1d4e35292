use std::ops::Deref;

use super::Service;

/// Closes a service when it is dropped; otherwise it is used as the service itself.
///
/// Dropping the handles of a service does not stop it. Where a scope should, put one of them into this guard. The drop
/// blocks as [`Service::close`] does: at most for the close time-out, and not at all inside a callback, on a thread of
/// a service, or as a part of something that a service drops, such as a callback. A clone of what is guarded is a plain
/// handle.
///
/// # Examples
///
/// ```
/// use leads_comm::{CloseOnDrop, Server, Service};
///
/// let port = {
///     let server = CloseOnDrop::new(Server::builder().port(0).build()?);
///     server.start(true)?;
///     server.port()
/// };
/// // Closed by now: the port is free again.
/// std::net::TcpListener::bind(("127.0.0.1", port))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CloseOnDrop<S: Service> {
    service: S,
}

impl<S: Service> CloseOnDrop<S> {
    /// Puts a service under guard.
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S: Service> Deref for CloseOnDrop<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.service
    }
}

impl<S: Service> Drop for CloseOnDrop<S> {
    fn drop(&mut self) {
        self.service.close();
    }
}
