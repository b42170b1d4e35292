//! How a program is started that was built with the tests, where this machine cannot run it by itself.
//!
//! Cargo starts the test programs with the runner of their target, such as an emulator of its processor, and tells them
//! nothing of it. What a test starts itself needs it as well: so `LEADS_COMM_RUNNER` has to name it too, with its
//! arguments, as in `qemu-aarch64 -L /usr/aarch64-linux-gnu`.

use std::env;
use std::ffi::OsString;
use std::process::Command;

/// The environment variable that names the runner.
const RUNNER: &str = "LEADS_COMM_RUNNER";

/// The words of a command that starts such a program.
pub fn words(program: impl Into<OsString>) -> Vec<OsString> {
    let runner = env::var(RUNNER).unwrap_or_default();
    runner.split_whitespace().map(OsString::from).chain([program.into()]).collect()
}

/// That command.
pub fn command(program: impl Into<OsString>) -> Command {
    let words = words(program);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}
