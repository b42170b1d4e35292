//! What the examples have in common as commands: arguments, streams, signals, and how they end.
//!
//! It knows what surrounds a command: a shell that ignores signals for it, a terminal that is somebody else's turn,
//! pipes that are full, non-blocking, or read by nobody any more. It knows nothing of services and connections; an
//! example says with [`on_stop`] what ends when the command has to.
//!
//! ```text
//!   run ──▶ arguments ──▶ the example ──▶ outcome ──▶ what waits to be printed ──▶ exit code
//!
//!   stdin    read when it is this process's turn, a bounded line at a time        stdin.rs
//!   stdout   print waits for whoever reads it, show leaves out                    output.rs
//!   stderr   complain, and the log: leave out what nobody reads                   output.rs
//!   signals, a stdout that is of no use any more                                  stop.rs
//! ```

mod arguments;
mod output;
mod run;
mod stdin;
mod stop;
#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(not(unix), path = "system/other.rs")]
mod system;
mod token;

pub use arguments::Arguments;
pub use output::{complain, is_all_printed, print, say, show};
pub use run::{Failure, fail, run, usage};
pub use stdin::{Line, Lines, TooLong};
pub use stop::{on_stop, stop_when_unread};
pub use system::columns;
pub use token::read_token;
