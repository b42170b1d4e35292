use std::fmt;
use std::time::Duration;

use super::Builder;
use crate::transport::Connector;

/// What only a client is told.
pub struct ClientSide {
    pub(crate) connect_timeout: Duration,
    /// TCP where there is none.
    pub(crate) connector: Option<Box<dyn Connector>>,
}

impl Builder<ClientSide> {
    /// How long each address of the server is given to answer. More than 0. Default 5 s.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.side.connect_timeout = time;
        self
    }

    /// Connects over another transport instead of TCP.
    pub fn transport(mut self, connector: impl Connector) -> Self {
        self.side.connector = Some(Box::new(connector));
        self
    }
}

impl Default for ClientSide {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(5), connector: None }
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSide").field("connect_timeout", &self.connect_timeout).finish_non_exhaustive()
    }
}
