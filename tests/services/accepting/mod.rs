//! Who is let in, and who is not.

#![allow(clippy::module_inception, reason = "the suite of this name is one of several")]

mod accepting;
mod delivery_for;
mod pending;
