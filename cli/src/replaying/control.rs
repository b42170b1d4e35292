//! What can be asked of the player while it plays.

use std::time::Duration;

/// What somebody wants from the player.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Control {
    /// To end.
    Stop,
    /// To pause, or to go on.
    Pause,
    /// One message, and then a pause.
    Step,
    /// To play so many times as fast.
    Rate(f64),
    /// The process stood still for so long.
    StoodStill(Duration),
    /// Somebody has come, or gone.
    Audience,
}
