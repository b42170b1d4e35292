//! Framing: bytes in by chunks of any size, whole messages out.
//!
//! Everything is compared with [`oracle::split`], which says in six lines what framing means.

mod cuts;
mod encoding;
mod errors;
mod framings;
mod injection;
mod lending;
mod limits;
mod memory;
mod oracle;
mod properties;
mod remainder;
mod separators;
