//! Tests that have to be alone in their process: they count what belongs to it, install a logger, or start other
//! processes, which have a moment's share in whatever is open. Each begins with `alone!()` and runs in a process of its
//! own.

mod accounting;
mod allocation;
mod deadlocks;
mod exhaustion;
mod exposure;
mod inbound_budget;
mod interruptions;
mod kept_memory;
mod log_flood;
mod log_lines;
mod logging;
#[cfg(feature = "metrics")]
mod metrics;
mod panic_memory;
mod pending_logs;
#[cfg(target_os = "linux")]
mod quiet_queue;
mod reconnect_resources;
mod resources;
mod several_addresses;
mod standstill;
#[cfg(target_os = "linux")]
mod thread_names;
mod threads;
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls_costs;
mod vanished;
