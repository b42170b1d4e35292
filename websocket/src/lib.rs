//! WebSockets for [`leads_comm`]: a browser is a client of a server like any other, with the same limits, policies and
//! counters.
//!
//! ```no_run
//! use leads_comm::codec::Framing;
//! use leads_comm::{Delivery, Server, callback};
//! use leads_comm_websocket::WebSocketListener;
//!
//! let server = Server::builder()
//!     .transport(WebSocketListener::bind("127.0.0.1:8765".parse()?)?)
//!     .framing(Framing::Length)
//!     // A tab in the background has the newest state when it comes back, and holds up nobody meanwhile.
//!     .key(leads_comm::key::json_field("type"))
//!     .delivery(Delivery::new().conflate(true))
//!     .callback(callback::on_receive(|connection, message| println!("{connection}: {}", message.escape_ascii())))
//!     .build()?;
//! server.start(true)?;
//! server.broadcast(br#"{"type": "state", "speed": 12.5}"#)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```js
//! const socket = new WebSocket("ws://127.0.0.1:8765/");
//! socket.onmessage = (event) => show(JSON.parse(event.data).speed);
//! socket.onclose = (event) => console.log(event.code);
//! ```
//!
//! The frames are those of the crate `tungstenite`, requests are read by `httparse`, and the service sees none of it:
//! this is a layer below its messages.
//!
//! # Messages
//!
//! The service has the framing [by length](leads_comm::codec::Framing::Length), so that a message may be any bytes; on
//! the line each is one message of the WebSocket. What is sent is text when it begins with `{` or `[`, and binary
//! otherwise, unless [`Settings::text`] says something else; what is received may be either, and in any number of
//! frames. It is written on the thread that sends it, and a long one from where it lies.
//!
//! # The goodbye
//!
//! The goodbye of the service is the Close of the WebSocket, both ways:
//!
//! | What happens | Close | What the service is told |
//! |---|---|---|
//! | the service, or a connection, is closed here | 1000 | as ever |
//! | the peer says Close | the same back; 1002 where it is none that may be said | [`PeerGoodbye`] |
//! | a server refuses a caller behind the handshake, because of its token for instance | 1013 | a client of this crate: [`NotLetIn`] |
//! | a message is longer than [`max_received_len`](Settings::max_received_len) | 1009 | [`Io`], with [`Error::TooLong`] |
//! | what arrives is no WebSocket; text is not UTF-8 | 1002; 1007 | [`Io`], with [`Error::Malformed`] |
//! | the stream ends without Close | | [`Truncated`] |
//! | a connection is aborted here, or ended for being slow | none: browsers show 1006 | as ever |
//!
//! What a peer sends behind its Close is ignored, and nothing is sent behind our own. A message that says `disconnect`
//! is the goodbye here as everywhere.
//!
//! A server that is full refuses callers before the handshake, with status 503; so are those refused that
//! [`WebSocketListener`] does not let in, with a status that says why. Where a stream can only be written by blocking, as
//! TCP elsewhere than on Unix, one for whom there is no room, or whose token is wrong, is not told, as over TCP itself:
//! its stream ends.
//!
//! # Silence
//!
//! No pings are sent. A peer that has vanished is noticed by the stream below, over TCP by its keepalive, within
//! [`dead_peer_timeout`](leads_comm::Timeouts::dead_peer_timeout); one that reads too slowly is settled by the policy
//! of its connection. A proxy that ends silent WebSockets wants a message now and then.
//!
//! Pings of the peer are answered at once, between two messages. They are no messages: they do not put off
//! [`idle_timeout`](leads_comm::ServerBuilder::idle_timeout). While the line takes nothing, only the newest is kept,
//! and its answer goes with the next message, or with the answer to the next ping. Where a stream can only be written by
//! blocking, as TCP elsewhere than on Unix, all answers go with the next message: nobody reads for a connection whose
//! reader is kept waiting.
//!
//! # Who may ask
//!
//! Every page that a browser shows may open a WebSocket to any address that the browser reaches, this machine's own
//! among them. So the listener looks at the page's origin and at the host that it asked for: see [`Access`].
//!
//! # What it costs
//!
//! A connection on which nothing moves takes some 8 KiB more than over TCP (19 instead of 11). One on which something
//! does holds the message that has not arrived whole, and for a peer that takes nothing the rest of one frame, a few
//! KiB (up to 32 in a client): what has not begun can still be dropped, or replaced by something newer.
//!
//! The repository's bench `cost` has measured on two busy cores: messages of 30 bytes go out at half the rate of plain
//! TCP (7.7 million a second), those of 300 bytes and pictures of 100 KiB as fast as there (1.9 million; 1.5 GiB/s).
//!
//! Compression (`permessage-deflate`) is not offered.
//!
//! # Logging
//!
//! This crate logs nothing. `tungstenite` does: **at the level trace, the bytes of messages**, and at debug the reasons
//! that peers give with their Close. A program that turns on such levels for all of its crates leaves that one out.
//!
//! [`PeerGoodbye`]: leads_comm::DisconnectCause::PeerGoodbye
//! [`NotLetIn`]: leads_comm::DisconnectCause::NotLetIn
//! [`Io`]: leads_comm::DisconnectCause::Io
//! [`Truncated`]: leads_comm::DisconnectCause::Truncated

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

/// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
