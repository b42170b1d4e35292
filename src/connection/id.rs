//! What tells services and connections apart.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::sync::wide::AtomicU64;

/// Which service of this process: counted from 1, never used again. Displayed as that number, with which the names of
/// its threads begin.
///
/// # Examples
///
/// One channel for two services:
///
/// ```
/// use leads_comm::{Client, Server, callback::{self, Event}};
///
/// let (callback, events) = callback::channel(16);
/// let vehicle = Server::builder().port(0).callback(callback.clone()).build()?;
/// vehicle.start(true)?;
/// let pit = Client::connect(&format!("127.0.0.1:{}", vehicle.port()), callback)?;
/// pit.send(b"m1")?;
/// for event in events {
///     if event.service() == pit.id() {
///         assert!(!matches!(event, Event::Receive { .. }), "the vehicle has said nothing");
///     } else if let Event::Receive { message, .. } = event {
///         assert_eq!(message, b"m1");
///         break;
///     }
/// }
/// # pit.close();
/// # vehicle.close();
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u64);

impl ServiceId {
    /// That of a new service.
    pub(crate) fn next() -> Self {
        static GIVEN: AtomicU64 = AtomicU64::new(0);
        Self(GIVEN.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<ServiceId> for u64 {
    fn from(id: ServiceId) -> Self {
        id.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which connection of its service: counted from 1, never used again. Displayed as that number.
///
/// # Examples
///
/// ```
/// use leads_comm::{Client, Server, Service, callback::{self, Event}};
///
/// let (callback, events) = callback::channel(16);
/// let server = Server::builder().port(0).callback(callback).build()?;
/// server.start(true)?;
/// let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ())?;
/// let connection = events.iter().find_map(|event| match event {
///     Event::Connect { connection } => Some(connection),
///     _ => None,
/// });
/// let id = connection.unwrap().id();
/// assert_eq!(id.get(), 1);
/// // A handle, where only the id has been kept.
/// assert!(server.connection(id).is_some());
/// # client.close();
/// # server.close();
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<ConnectionId> for u64 {
    fn from(id: ConnectionId) -> Self {
        id.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
