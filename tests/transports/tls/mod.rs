//! TLS: who is let in and who is not, what goes through and what becomes of it when the stream is cut.

#![allow(unreachable_pub, reason = "the modules share what they have")]

mod conformance;
mod files;
mod pairs;
mod services;
mod streams;
mod who;
