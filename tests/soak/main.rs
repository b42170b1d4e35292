//! One server under everything that peers do, all at once, for as long as one likes.
//!
//! Clients come and go, some of them processes of their own: they behave, flood, drip, stall, are stopped, are killed,
//! send what is no message, and end in every way there is ([the parts](words::Role)). Meanwhile all that is promised is
//! checked by those whom it concerns:
//!
//! - Each connection has one `on_connect` and one `on_disconnect`, in this order, on one thread, and nothing after it.
//! - Whatever arrives is whole, and each sender's messages arrive in order, each of them once.
//! - Whoever behaves is never ended, and gets every broadcast between its `on_connect` and its end.
//! - Whoever comes has the last message of each state before anything else, and every later one.
//! - A viewer misses only what it has asked to miss, in numbers that add up, and no state goes back in time.
//! - Every end has a reason, and one that fits the part that the peer has played.
//! - As many connections are counted as have been opened and not ended.
//! - Memory is bounded at any time; threads and descriptors are in the end what they were at the start.
//! - The server answers at any time.
//!
//! What is found goes into a [report](report::Report); any violation makes the run fail. How to run it is in
//! [`options::USAGE`].

#![allow(unreachable_pub, reason = "the modules are those of one program")]

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod director;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
mod tally;
#[cfg(target_os = "linux")]
mod viewers;
#[cfg(target_os = "linux")]
mod words;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    use options::Task;

    match options::parse() {
        Ok(Task::Soak(options)) => director::main(&options),
        Ok(Task::Child(options)) => ExitCode::from(u8::from(!process::main(&options))),
        Ok(Task::Say(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    leads_comm_testing::skipped("the soak looks into /proc");
}
