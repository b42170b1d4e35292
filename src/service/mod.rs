//! What a server and a client have in common: how callbacks see them, what they are told, their connections and
//! broadcasts, and how they begin and end.

pub(crate) mod broadcast;
pub(crate) mod builder;
pub mod callback;
mod close_on_drop;
pub(crate) mod core;
pub(crate) mod departures;
pub(crate) mod handle;
mod joining;
pub(crate) mod lifecycle;
#[cfg(feature = "metrics")]
pub mod metrics;
pub(crate) mod offline_queue;
pub(crate) mod reader;
pub(crate) mod table;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use self::core::{Core, Role, ToldOfEnd};
use crate::connection::{Connection, ConnectionId, ServiceId};
use crate::error::Error;
use crate::stats::ServiceStats;
pub use close_on_drop::CloseOnDrop;
pub use departures::Departure;
use sealed::Sealed;

/// Keeps [`Service`] to this crate.
pub(crate) mod sealed {
    use std::fmt;
    use std::sync::Weak;

    use super::Core;

    pub trait Sealed {
        /// What the handle is one of.
        fn weak_core(&self) -> WeakCore;
    }

    /// Public, as the trait has to be, but for what it holds.
    pub struct WeakCore(pub(crate) Weak<Core>);

    impl fmt::Debug for WeakCore {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("WeakCore")
        }
    }
}

/// What a [`Server`](crate::Server) and a [`Client`](crate::Client) share; the form in which callbacks see them. Only
/// this crate implements it, so that it may grow.
pub trait Service: Sealed + Send + Sync {
    /// Which service of the process this is.
    fn id(&self) -> ServiceId;

    /// The port a server listens on, or a client's server has: as configured, and once the service has been started
    /// the real one, also where 0 was asked for. On transports without ports it stays as configured, and means nothing.
    fn port(&self) -> u16;

    /// The address a server listens on, or a client's own, that of its newest connection; `None` before the start, and
    /// on transports without addresses.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// How many connections there are now.
    fn num_connections(&self) -> usize;

    /// The connections there are now, in the order of connecting.
    fn connections(&self) -> Vec<Connection>;

    /// The connection with this [id](Connection::id); `None` when it has ended, or never was one of this service.
    fn connection(&self, id: ConnectionId) -> Option<Connection>;

    /// Refuses a message that no connection of this service could send, and sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] and [`Error::MessageTooLong`].
    fn check_message(&self, message: &[u8]) -> Result<(), Error>;

    /// Sends one message to every connection and tells by how many it was accepted; it is encoded once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidMessage`] and [`Error::MessageTooLong`], before anything is written to anyone. A connection that
    /// is closing, or that reads too slowly, is not an error here: it is not counted.
    fn broadcast(&self, message: &[u8]) -> Result<usize, Error>;

    /// Sends one message to every connection without a call of the system on the calling thread, and tells by how many
    /// it was accepted: what [`broadcast`](Self::broadcast) is to [`Connection::send`], this is to
    /// [`Connection::queue`].
    ///
    /// Keys, filters and what newcomers get are as for a broadcast, and so is the order. What it costs is a fraction of
    /// a microsecond for each connection. Besides the cases of [`Connection::queue`], a lock may be waited for, for a
    /// microsecond or so, while connections come and go, or where there is a
    /// [snapshot](crate::ServerBuilder::snapshot); and a message of more than 128 bytes takes memory of the allocator.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Server, Service};
    ///
    /// let server = Server::builder().port(0).build()?;
    /// server.start(true)?;
    /// assert_eq!(server.queue_broadcast(b"lap 12")?, 0, "nobody is connected");
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    fn queue_broadcast(&self, message: &[u8]) -> Result<usize, Error>;

    /// Like [`broadcast`](Self::broadcast), to the connections for which `wanted` is true, for instance all but one.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    fn broadcast_where(&self, message: &[u8], wanted: &mut dyn FnMut(&Connection) -> bool) -> Result<usize, Error>;

    /// Blocks until all that was accepted before, for every connection, has been handed to the operating system, at
    /// most for `time`. A connection that has ended, or ends meanwhile, is not waited for: its
    /// [`DisconnectReason`](crate::DisconnectReason) tells what it lost, and `Ok` does not say that nothing was. What a
    /// client [keeps](crate::Reconnect::keep_bytes) for its next connection is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::NotFlushed`] when the time was over first.
    fn flush(&self, time: Duration) -> Result<(), Error>;

    /// The service's numbers: those of all its connections, now and before. Does not block; takes longer the more
    /// connections there are: a fraction of a microsecond for each.
    fn stats(&self) -> ServiceStats;

    /// Who has left last, and why: the last 16 connections that ended, the last one first. A copy; does not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::Service;
    ///
    /// fn tell_who_left(service: &dyn Service) {
    ///     for departure in service.departures() {
    ///         println!("{} left {:?} ago: {}", departure.peer, departure.at.elapsed(), departure.reason);
    ///     }
    /// }
    /// ```
    fn departures(&self) -> Vec<Departure>;

    /// Ends the service: no more connections, a goodbye to every peer behind all that was accepted for it, and the
    /// end of every thread.
    ///
    /// Blocks until that is done, at most for the [close time-out](crate::Closing::close_timeout) and a moment,
    /// after which the peers that are left are cut off. Inside a callback, a hook, an authenticator, a transport or the
    /// logger, of whatever service, and on every other thread that a service might be waiting for, it only starts all
    /// this and returns at once: also where it is called by a destructor that happens to run there. May be called from
    /// any thread, more than once, at the same time.
    ///
    /// When it returns, in every case, a server's port is free, and whoever calls it then is refused by the system; a
    /// caller whom a hook is still being asked about is ended when that returns. (A transport of the program's own
    /// [gives back](crate::transport::Listener::stop) what it can.)
    ///
    /// A callback that is still running at the time-out is not interrupted: its connection's `on_disconnect` follows
    /// when it returns. Once the service has ended, its callbacks are dropped.
    fn close(&self);
}
