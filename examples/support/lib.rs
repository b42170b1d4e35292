//! What the examples have in common as commands: arguments, what they print, Ctrl-C, and how they end.
//!
//! It knows nothing of services and connections; an example says with [`on_stop`] what ends when it has to. What it takes
//! to be at home in any shell, pipe and terminal is in the command `leads-comm`; the examples are about the library.

mod arguments;
mod output;
mod run;
#[cfg_attr(unix, path = "signals/unix.rs")]
#[cfg_attr(windows, path = "signals/windows.rs")]
mod signals;
mod stop;

pub use arguments::Arguments;
pub use output::{complain, follows_escapes, say, show};
pub use run::{Failure, fail, run, usage};
pub use stop::on_stop;
