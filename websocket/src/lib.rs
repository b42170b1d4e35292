//! WebSockets for [`leads_comm`]: a browser is a client of a server like any other, with the same limits, policies and
//! counters.

mod access;
mod connector;
mod error;
mod frames;
mod incoming;
mod listener;
mod opening;
mod outgoing;
mod settings;
mod stream;
mod upgrade;

pub use access::{Access, Stranger};
pub use connector::WebSocketConnector;
pub use error::Error;
pub use listener::WebSocketListener;
pub use settings::Settings;
pub use stream::WebSocketStream;
pub use upgrade::{NoUpgrade, Upgrade};
