//! Says on stderr how the connections of one side of a verb with two sides go.

use std::sync::Arc;

use leads_comm::{Attempt, Callback, Connection, DisconnectReason, Error, Service};

use super::{Endpoint, Status};
use crate::console::tell;

/// Goes in front of the verb's own callback. The end of a client is the verb's to tell.
pub(crate) struct Telling {
    endpoint: Arc<Endpoint>,
    /// What somebody is called who connects to a server.
    caller: &'static str,
    /// How a client's connection goes.
    status: Option<Status>,
}

impl Telling {
    /// Of a client.
    pub(crate) fn of_client(endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), caller: "", status: Some(endpoint.status()) }
    }

    /// Of a server, to which such callers connect.
    pub(crate) fn of_server(endpoint: &Arc<Endpoint>, caller: &'static str) -> Self {
        Self { endpoint: Arc::clone(endpoint), caller, status: None }
    }
}

impl Callback for Telling {
    fn on_initialize(&self, service: &dyn Service) {
        if self.status.is_none() {
            self.endpoint.tell_listening(service);
        }
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        match &self.status {
            Some(status) => status.on_connect(service, connection),
            None => tell(format_args!("{} #{} {connection} connected", self.caller, connection.id())),
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        match &self.status {
            Some(status) => status.on_disconnect(service, connection, reason),
            None => tell(format_args!("{} #{} {connection} disconnected: {reason:#}", self.caller, connection.id())),
        }
    }

    fn on_reconnect(&self, service: &dyn Service, attempt: &Attempt) {
        if let Some(status) = &self.status {
            status.on_reconnect(service, attempt);
        }
    }

    fn on_fail(&self, service: &dyn Service, error: &Error) {
        match &self.status {
            Some(status) => status.on_fail(service, error),
            None => tell(format_args!("{error:#}")),
        }
    }
}
