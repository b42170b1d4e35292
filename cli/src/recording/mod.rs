//! Recordings: MCAP files of the messages that were received, and when.
//!
//! ```text
//!   channels    a message as a record, and back
//!   schema      what viewers are told of the records
//!   location    what a frame says of where it was, and when
//!   notes       what a recording says of itself, besides its messages
//!   reading     the messages of a file
//!   summary     what is in a file, in numbers
//!   words       times and sizes, as they are told
//! ```

pub(crate) mod channels;
pub(crate) mod location;
pub(crate) mod notes;
pub(crate) mod reading;
pub(crate) mod schema;
pub(crate) mod summary;
pub(crate) mod words;
