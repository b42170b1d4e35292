//! The recipe of that name.

include!(concat!(env!("OUT_DIR"), "/A socket from systemd.rs"));
