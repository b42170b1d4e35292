//! Clients that connect again, and calls that wait for an answer.

mod call;
mod reconnect;
