//! leads-comm.

mod addresses;
pub mod callback;
mod client;
pub mod codec;
mod config;
mod connection;
mod disconnect;
mod error;
mod handle;
mod leads;
mod life;
mod outbox;
mod pump;
mod reader;
mod server;
mod service;
mod table;
mod threads;
pub mod transport;

pub use addresses::my_ip_addresses;
pub use callback::Callback;
pub use client::Client;
pub use codec::DEFAULT_SEPARATOR;
pub use config::{Builder, ClientBuilder, ClientSide, ServerBuilder, ServerSide, SlowConsumer};
pub use connection::{Connection, ConnectionId};
pub use crossbeam_channel;
pub use disconnect::{DisconnectReason, OutboundLimit, Undelivered};
pub use error::Error;
pub use handle::CloseOnDrop;
pub use leads::{create_client, create_server, start_client, start_server};
pub use server::Server;
pub use service::Service;

/// The port of LEADS, used where no other is chosen.
pub const DEFAULT_PORT: u16 = 16900;
