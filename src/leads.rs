//! LEADS's own functions: the same words for the same things.

use std::net::Ipv6Addr;

use crate::client::Client;
use crate::error::Error;
use crate::server::Server;
use crate::service::callback::Callback;

/// The longest message either way, in bytes. LEADS has no limit, and its camera frames are 0.3 to 1.4 MB.
const MAX_LEN: usize = 16 * 1024 * 1024;

/// What may wait for one peer, in bytes: more than one of those.
const MAX_QUEUED_BYTES: usize = 2 * MAX_LEN;

/// A server for `port` (0: a free one) with LEADS's separator, `;`. The port is not taken before the start.
///
/// It receives and sends messages of up to 16 MiB, of which 32 MiB may wait for one peer, because LEADS's camera frames
/// are longer than the 1 MiB of [`Server::builder`]; all other settings are the builder's.
///
/// As in LEADS it listens on *every* address of the machine, IPv4 and IPv6, and there is no authentication: all who
/// can reach the port can talk to it, of which the start warns in the log. [`Server::builder`] listens on this machine
/// only, unless told otherwise.
///
/// # Examples
///
/// ```no_run
/// use leads_comm::{DEFAULT_PORT, callback, create_server, start_server};
///
/// let print = callback::on_receive(|connection, message| println!("{connection}: {}", message.escape_ascii()));
/// let server = start_server(create_server(DEFAULT_PORT, print), true)?;
/// server.broadcast(b"hello")?;
/// # Ok::<(), leads_comm::Error>(())
/// ```
pub fn create_server(port: u16, callback: impl Callback) -> Server {
    let builder = Server::builder().bind(Ipv6Addr::UNSPECIFIED).port(port).callback(callback);
    let builder = builder.max_received_len(MAX_LEN).max_sent_len(MAX_LEN).max_queued_bytes(MAX_QUEUED_BYTES);
    builder.build().expect("the settings fit together")
}

/// Starts a server in a new thread (`parallel`), or runs it on this one until it is closed; gives it back.
///
/// # Errors
///
/// Those of [`Server::start`].
pub fn start_server(server: Server, parallel: bool) -> Result<Server, Error> {
    server.start(parallel)?;
    Ok(server)
}

/// A client for a server's `port`, with LEADS's separator, `;`. Its messages may be as long as those of
/// [`create_server`].
pub fn create_client(port: u16, callback: impl Callback) -> Client {
    let builder = Client::builder().port(port).callback(callback);
    let builder = builder.max_received_len(MAX_LEN).max_sent_len(MAX_LEN).max_queued_bytes(MAX_QUEUED_BYTES);
    builder.build().expect("the settings fit together")
}

/// Connects a client to `server_address`, a host name or an IP address, and receives in a new thread (`parallel`), or
/// on this one until the connection ends; gives the client back.
///
/// # Errors
///
/// Those of [`Client::start`].
///
/// # Examples
///
/// ```no_run
/// use leads_comm::{DEFAULT_PORT, callback, create_client, start_client};
///
/// let print = callback::on_receive(|_, message| println!("{}", message.escape_ascii()));
/// let client = start_client("vehicle.local", create_client(DEFAULT_PORT, print), true)?;
/// client.send(b"time_lap")?;
/// # Ok::<(), leads_comm::Error>(())
/// ```
pub fn start_client(server_address: &str, client: Client, parallel: bool) -> Result<Client, Error> {
    client.start(server_address, parallel)?;
    Ok(client)
}

/// Compiles the program of the page for those who come from LEADS.
#[cfg(doctest)]
#[doc = include_str!("../docs/leads.md")]
struct ComingFromLeads;
