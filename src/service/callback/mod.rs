//! How a program listens: with an object, closures, or a channel.
//!
//! The object is what implements [`Callback`].

pub(crate) mod attempt;
mod chain;
mod channel;
mod closures;
pub(crate) mod contract;
mod latest;

pub(crate) use attempt::Attempt;
pub(crate) use chain::Chain;
pub use channel::{ChannelCallback, Event, channel};
pub use closures::{Closures, closures, on_receive};
pub(crate) use contract::Callback;
pub use latest::{LatestReceiver, Ready, latest, newest};
