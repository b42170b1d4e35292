//! Serial lines for [`leads_comm`]: clients of devices at serial ports.
//!
//! A client over a serial line is a client like any other, with the same callbacks, framing and limits; the address
//! that it is started with is the name of a port.
//!
//! ```no_run
//! use leads_comm::{Client, Reconnect, callback};
//! use leads_comm_serial::SerialConnector;
//!
//! let client = Client::builder()
//!     .transport(SerialConnector::new().baud_rate(115_200))
//!     // Connects again when the device has been unplugged and is plugged in again.
//!     .reconnect(Reconnect::new())
//!     .callback(callback::on_receive(|_, message| println!("{}", message.escape_ascii())))
//!     .build()?;
//! client.start("/dev/ttyUSB0", true)?;
//! client.send(b"led:1")?;
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # Identity
//!
//! Which port a device is at is often unknown, and changes. A client can state how it [recognises](Identity) its
//! device, and leave the rest to `auto`: the ports that there are and that nobody uses are opened and asked one after
//! the other. Several clients do not get into each other's way, and what one finds out serves the others: see
//! [`Ports`]. With [`Reconnect`](leads_comm::Reconnect), a device that is plugged in later is found, too:
//!
//! ```no_run
//! use leads_comm::{Client, Reconnect};
//! use leads_comm_serial::{Identity, SerialConnector};
//!
//! // Two devices, at whichever ports.
//! let clients = ["VeC", "WSC"].map(|tag| {
//!     Client::builder()
//!         .transport(SerialConnector::new().identity(Identity::new(tag)))
//!         .reconnect(Reconnect::new().at_start(true))
//!         .build()
//! });
//! for client in clients {
//!     client?.start("auto", true)?;
//! }
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # What a serial line is not
//!
//! - *It has no end.* That the program at the other end closes its port, or that the cable is pulled out of the device
//!   and not out of the computer, cannot be seen. An adapter that is unplugged can: the connection ends with
//!   [`DisconnectCause::Io`](leads_comm::DisconnectCause::Io), whose source says `the device is gone`, kind
//!   `ConnectionAborted`, whatever the system called it. A device that falls silent is noticed by
//!   [`idle_timeout`](leads_comm::ClientBuilder::idle_timeout).
//! - *It has no half that could be closed.* A client that is closed says its goodbye, and is done when the device has
//!   answered it. For a device that does not know the goodbye, it waits for all of
//!   [`drain_timeout`](leads_comm::Closing::drain_timeout): half a second unless told otherwise.
//! - *It checks nothing.* Without parity or a check in the messages themselves, what is disturbed arrives disturbed;
//!   without flow control, what comes too fast is lost. A message that lost its separator continues into the next one.
//! - *It may be slow.* What is on its way counts against [`flush_timeout`](leads_comm::Closing::flush_timeout) when the
//!   client is closed, and what waits for it against the [limits of the
//!   queue](leads_comm::ClientBuilder::max_queued_bytes): 9600 baud are about 900 bytes a second.
//!
//! A message that arrives in pieces, however late, is one message; half a message is never delivered, and one that is
//! not finished in time ends the connection
//! ([`partial_message_timeout`](leads_comm::Timeouts::partial_message_timeout)).
//!
//! # Logging
//!
//! What became of each port on which a device was looked for is logged in numbers, at the level debug and with the
//! target `leads_comm_serial`; what the device says is not.
//!
//! # Opening and closing
//!
//! A port is opened for one process alone (`flock` and `TIOCEXCL` on Unix), and what had arrived before is thrown away:
//! it is most likely the rest of a message. On Unix, a program that has a port open and does neither cannot be noticed,
//! and is disturbed: such a port is not to be among those that are [asked](Ports::with_list). Opening a port makes many
//! boards restart; [`Identity::settle`] is for that. Settings are those of the line only, so nothing is echoed or
//! translated.
//!
//! What was written is sent before the port is closed. Of a device that takes nothing, the rest is thrown away in the
//! end; for how long the system would wait otherwise is its own affair, on Linux half a minute.

mod asking;
mod connector;
mod device;
mod failure;
mod identity;
mod lease;
mod logging;
mod ports;
mod seeker;
mod settings;
mod stopping;
mod stream;

pub use connector::SerialConnector;
pub use failure::{IdentityError, Outcome, Tried};
pub use identity::Identity;
pub use ports::{Ports, available_ports};
pub use settings::{CharSize, FlowControl, Parity, StopBits};
pub use stream::SerialStream;

/// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
