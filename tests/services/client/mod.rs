//! Clients that connect again.

mod reconnect;
