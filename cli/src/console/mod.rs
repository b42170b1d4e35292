//! What surrounds the command: a shell that ignores signals for it, a terminal that is somebody else's turn, pipes that
//! are full, non-blocking, or read by nobody any more. It knows nothing of services and messages; a verb says with
//! [`on_stop`] what ends when the command has to.
//!
//! ```text
//!   begin ──▶ the verb ──▶ outcome ──▶ what waits to be printed ──▶ exit code     outcome.rs
//!
//!   stdin    read when it is this process's turn, a bounded line at a time        stdin.rs
//!            or key by key, as they are struck                                    keys.rs
//!   stdout   print waits for its reader, show leaves out                          output.rs
//!   stderr   tell, complain, and the log: leave out what nobody reads             output.rs
//!            what may be said many times a second, and is said seldom             sparing.rs
//!            a line about work that goes on, drawn again and again on a terminal  redrawn.rs
//!   the whole terminal at stdout, drawn again and again, and put away            screen.rs
//!   signals, a stdout that is of no use any more                                  stop.rs
//!   the terminal at stdout: its width, whether colours are wanted                 terminal.rs
//! ```

mod keys;
mod outcome;
mod output;
mod redrawn;
mod screen;
mod sparing;
mod stdin;
mod stop;
#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(windows, path = "system/windows.rs")]
mod system;
mod terminal;
mod token;

pub(crate) use keys::Keys;
pub(crate) use outcome::{Failure, Verbosity, begin, chain, end, fail, usage};
pub(crate) use output::{complain, print, tell, try_print};
pub(crate) use redrawn::Redrawn;
pub(crate) use screen::Screen;
pub(crate) use sparing::Sparing;
pub(crate) use stdin::Lines;
pub(crate) use stop::{hurry, on_stop, stop_when_unread};
pub(crate) use terminal::{columns, wants_color};
pub(crate) use token::read_token;
