use std::fmt;

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
