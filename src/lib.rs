#![doc = include_str!("../docs/guide.md")]

#[cfg(not(any(unix, windows)))]
compile_error!("leads-comm needs the sockets of Unix or of Windows");

// From the top of the stack to its bottom: a module uses those below it, and none above.

// LEADS's functions.
mod leads;
pub use leads::{create_client, create_server, start_client, start_server};
mod addresses;
pub use addresses::my_ip_addresses;

// The two sides, and what they have in common.
mod server;
pub use server::{BindAddress, Monitor, MonitorBuilder, Server, ServerBuilder};
mod client;
pub use client::{Client, ClientBuilder};
mod service;
#[cfg(feature = "metrics")]
pub use service::metrics;
pub use service::{CloseOnDrop, Departure, Service};

// What tells the program of everything.
/// The crate whose channels [`callback::channel`] gives out.
pub use crossbeam_channel;
pub use service::callback::{self, attempt::Attempt, contract::Callback};

// Who may connect, and one connection.
mod admission;
pub use admission::{Authenticator, Caller};
mod connection;
pub use connection::{Connection, ConnectionId, ServiceId, answer};

// What a service is told.
mod settings;
pub use settings::{
    Closing, DEFAULT_PORT, Delivery, MemoryLimits, Reconnect, SlowConsumer, Snapshot, Timeouts, key, key::Key,
};

// What carries the bytes; locks, clocks and threads, and how the program's code is called.
mod sync;
pub mod transport;

// What goes wrong, what has gone through, and what a message is. These know nothing of the rest.
mod error;
pub use error::{
    DenialCause, Denied, DisconnectCause, DisconnectReason, Error, OutboundLimit, RefusalCause, Report, Undelivered,
};
pub mod stats;
pub use stats::kind::{DisconnectKind, RefusalKind};
pub mod codec;
pub use codec::separator::DEFAULT_SEPARATOR;

/// Compiles and runs the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
