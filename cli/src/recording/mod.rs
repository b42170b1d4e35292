//! Recordings: MCAP files of the messages that were received, and when.
//!
//! ```text
//!   readers ──▶ queue ──▶ recorder ──▶ writer: MCAP, or csv ──▶ file
//!
//!   channels    a message as a record, and back
//!   record      all the records of a message
//!   schema      what viewers are told of the records
//!   location    what a frame says of where it was, and when
//!   notes       what a recording says of itself, besides its messages
//!   reading     the messages of a file
//!   summary     what is in a file, in numbers
//!   file        the names of files; output, what is written to one; lock, that only one recorder does
//!   words       times and sizes, as they are told
//!   clock       times, which never jump
//! ```

pub(crate) mod broken;
pub(crate) mod channels;
pub(crate) mod clock;
pub(crate) mod csv;
pub(crate) mod file;
pub(crate) mod location;
pub(crate) mod lock;
pub(crate) mod notes;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod reading;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod schema;
pub(crate) mod summary;
pub(crate) mod sync;
pub(crate) mod words;
pub(crate) mod writer;

use mcap::McapError;
use mcap::records::Metadata;

use queue::Received;

/// The form in which messages are kept: what comes is made into records, which somebody else writes.
pub(crate) trait Form: Send {
    /// Whether it is kept.
    fn message(&mut self, received: &Received) -> Result<bool, McapError>;

    fn note(&mut self, note: &Metadata) -> Result<(), McapError>;

    /// How many bytes have come since [`flush`](Self::flush), about.
    fn pending(&self) -> usize;

    /// Whole records of all that has come since then.
    fn flush(&mut self) -> Result<Vec<u8>, McapError>;

    /// The last ones. Nothing may come any more.
    fn finish(&mut self) -> Result<Vec<u8>, McapError>;
}
