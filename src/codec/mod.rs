//! Framing without I/O: bytes on one side, whole messages on the other.
//!
//! A stream is a sequence of messages, which a [`Framing`] tells apart: each ends with a separator, or begins with its
//! length; nothing is escaped. This module knows that rule and nothing else: no sockets, no threads, no clock. A
//! program with a protocol or a stream of its own can use it alone.
//!
//! ```text
//!  chunks:     "a;b"        "cd;dis"        "connect;"
//!                 │             │                │
//!  Decoder ───────┴─────────────┴────────────────┴──────▶  "a"   "bcd"   "disconnect"
//! ```
//!
//! The message [`GOODBYE`] is reserved: it says that the sender is about to close. [`encode`] refuses it, and a
//! [`Framing`] that could not carry it cannot be built.
//!
//! # Examples
//!
//! ```
//! use leads_comm::codec::{Decoder, Framing, Separator, encode};
//!
//! let framing = Framing::from(Separator::new("end;")?);
//! let mut stream = encode(b"frame 0", &framing)?;
//! stream.extend(encode(b"frame 1", &framing)?);
//!
//! let mut decoder = Decoder::new(framing, 1024);
//! let mut messages = decoder.decode(&stream);
//! assert_eq!(messages.next_message()?, Some(&b"frame 0"[..]));
//! assert_eq!(messages.next_message()?, Some(&b"frame 1"[..]));
//! assert_eq!(messages.next_message()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffer;
#[cfg(all(test, not(loom)))]
mod cost;
mod custom;
mod decoder;
mod encoder;
mod error;
mod framing;
mod pieces;
pub(crate) mod separator;

pub use custom::{Custom, CustomFraming, Frame, FramingError};
pub(crate) use decoder::Lent;
pub use decoder::{Decoder, Messages};
pub use encoder::{check, encode, encode_into};
pub use error::{DecodeError, EncodeError};
pub use framing::Framing;
pub(crate) use pieces::Pieces;
pub use separator::{MAX_SEPARATOR_LEN, Separator, SeparatorError};

/// The message that announces a close: the side that closes sends it first, the other answers with its own.
///
/// Only a whole message equal to it is a goodbye; inside a longer message it is data.
pub const GOODBYE: &[u8] = b"disconnect";
