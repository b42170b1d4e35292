//! The command `leads-comm`: see the messages of a LEADS vehicle or of any `leads_comm` service, send some, keep them,
//! and play them again.
//!
//! ```text
//!   command     what can be typed; each verb knows its own options
//!   verbs       one file each: listen, send, serve, …
//!   endpoint    the options that say how to speak with the other side, made a client or a server of the library
//!   address     where that is
//!   show        how messages are printed
//!   recording   how they are kept, and read again
//!   replaying   how they are played, each when it is due
//!   converting  how another file is made of recordings
//!   viewing     what is seen of a vehicle, or of a recording, in a browser
//!   web         what browsers are answered, and the way from them to a server
//!   units       sizes and times, as they are typed
//!   numbers     what monitors say, and what Prometheus collects
//!   top         what top draws of them
//!   pace        how fast messages are sent
//!   offline     what becomes of them while the other side is gone
//!   key_by      which of them replace one another
//!   allow       which commands may go to a vehicle
//!   console     stdin, stdout, stderr, signals, exit codes
//! ```

mod address;
mod allow;
mod command;
mod console;
mod converting;
mod endpoint;
mod key_by;
mod numbers;
mod offline;
mod pace;
mod recording;
mod replaying;
mod show;
mod top;
mod units;
mod verbs;
mod viewing;
mod web;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run()
}
