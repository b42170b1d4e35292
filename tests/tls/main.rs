//! TLS: who is let in and who is not, what goes through and what becomes of it when the stream is cut.

#[path = "../support/mod.rs"]
mod support;

mod pairs;
mod streams;
