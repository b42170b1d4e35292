//! Whether strangers may come in by accident.

use std::net::SocketAddr;

use super::builder::{ListenerSource, ServerSide};
use crate::settings::Settings;
use crate::sync::user_code::warn;

/// Whether every caller becomes a connection without being asked anything. Every way of keeping strangers
/// out has its line here. A transport that the program has made is its own affair.
pub(crate) fn lets_everybody_in(settings: &Settings, side: &ServerSide) -> bool {
    #[cfg(feature = "tls")]
    if side.tls.is_some() {
        return false;
    }
    !matches!(side.source, ListenerSource::Transport(_))
        && settings.token.is_none()
        && side.admission.authenticator.is_none()
        && side.admission.admit.is_none()
}

/// Warns of a server that lets everybody in and listens on every address of the machine.
pub(crate) fn warn_if_everywhere(service: &str, local_addr: Option<SocketAddr>) {
    if local_addr.is_some_and(|address| address.ip().to_canonical().is_unspecified()) {
        warn!(
            "{service} listens on every address of this machine, and whoever reaches one can talk to it: bind the \
             address that is meant, or say who may connect, with `tls`, `token`, `authenticate` or `admit`"
        );
    }
}
