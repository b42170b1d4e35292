//! How a client's connection goes, said on stderr.

use std::sync::Arc;
use std::time::Duration;

use leads_comm::{Attempt, Callback, Connection, DisconnectCause, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::address::Address;
use crate::console::tell;

/// What is waited no longer than this is no wait to tell of.
const MOMENT: Duration = Duration::from_millis(50);

/// Says that a client is connected, and why and when it connects again. Goes in front of a verb's own callback, as in
/// `(endpoint.status(), callback)`. The last end is the verb's to tell, by [`Status::cause`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// What each line begins with.
    label: &'static str,
    /// Why there is no connection.
    cause: Arc<Mutex<String>>,
    /// Why there was none when that was last told.
    told: Arc<Mutex<String>>,
    hints: Hints,
}

/// What may be wrong when a server does not say what is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints {
    pub(super) has_token: bool,
    /// Whether it is a stream that could have TLS, and has not.
    pub(super) is_plain: bool,
}

impl Status {
    pub(super) fn new(label: &'static str, hints: Hints) -> Self {
        Self { label, hints, ..Self::default() }
    }

    /// Why there is no connection, in one line.
    pub(crate) fn cause(&self) -> String {
        self.cause.lock().clone()
    }

    fn note(&self, cause: String) {
        *self.cause.lock() = cause;
    }
}

impl Hints {
    /// What a server may want that does not let anybody in, and cannot say why.
    fn wanted(self) -> &'static str {
        match (self.has_token, self.is_plain) {
            (false, false) => " (it may be full, or want a token)",
            (false, true) => " (it may be full, or want a token or TLS)",
            (true, false) => " (it may be full, or want another token)",
            (true, true) => " (it may be full, or want another token or TLS)",
        }
    }
}

impl Callback for Status {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        tell(format_args!("{}connected to {connection}", self.label));
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let is_silent = || connection.stats().traffic.received.messages == 0;
        let hint = match reason.cause {
            DisconnectCause::NotLetIn => self.hints.wanted(),
            DisconnectCause::PeerClosed | DisconnectCause::Io { .. } if self.hints.is_plain && is_silent() => {
                " (it may want TLS)"
            }
            _ => "",
        };
        self.note(format!("disconnected: {reason:#}{hint}"));
    }

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        let when = match attempt.delay {
            delay if delay < MOMENT => String::new(),
            delay => format!(" in {:.1} s", delay.as_secs_f64()),
        };
        let (label, cause) = (self.label, self.cause());
        // What has been told is not told with each attempt.
        if attempt.number > 1 && *self.told.lock() == cause {
            return tell(format_args!("{label}attempt {}{when}", attempt.number));
        }
        tell(format_args!("{label}{cause}; connecting again{when}"));
        *self.told.lock() = cause;
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        let hint = if matches!(error, Error::NotLetIn { .. }) { self.hints.wanted() } else { "" };
        self.note(format!("{error:#}{hint}"));
    }
}

/// Says where a server listens, and whether it lets in everybody.
pub(super) fn tell_listening(label: &str, address: &Address, is_open: bool, service: &dyn Service) {
    let Some(local) = service.local_addr() else { return tell(format_args!("{label}listening on {address}")) };
    let tls = matches!(address, Address::Tcp { tls: true, .. });
    tell(format_args!("{label}listening on {}{local}", if tls { "tls://" } else { "" }));
    if is_open && !local.ip().to_canonical().is_loopback() {
        tell("everybody who reaches this port is let in: --token-file or --tls-ca would ask who it is");
    }
}
