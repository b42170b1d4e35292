//! What peers send.

mod floods;
mod time_outs;
mod wire;
