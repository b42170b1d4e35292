//! The recipe of that name.

include!(concat!(env!("OUT_DIR"), "/Logging without surprises.rs"));
