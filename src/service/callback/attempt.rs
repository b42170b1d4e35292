use std::time::Duration;

/// One more try to connect, which is about to be made: see
/// [`Callback::on_reconnect`](crate::Callback::on_reconnect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which one, from 1, since there was a connection that [was good](crate::Reconnect).
    pub number: u32,
    /// How long the client waits before it.
    pub delay: Duration,
}
