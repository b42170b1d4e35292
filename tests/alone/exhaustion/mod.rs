//! Servers in a process that runs out of descriptors or threads, whose accept fails in every way that the system has,
//! that are called by more than they have room for, and that start where another one was.
//!
//! `cargo test --release --test alone -- exhaustion:: --ignored --nocapture --test-threads=1` runs the long forms.

#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod errors;
mod floods;
mod restarts;
mod server_process;
#[cfg(unix)]
mod starting;
#[cfg(target_os = "linux")]
mod threads;

use std::time::Duration;

#[test]
#[ignore = "what the other tests run in a process of its own"]
fn server_process() {
    server_process::be_server();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
