//! LEADS itself, in Python: its processes run a script that speaks to the runner like the others.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::process::said;

pub(super) const NAME: &str = "leads";

/// Where the module is: a directory that has `leads/comm` in it.
const VARIABLE: &str = "LEADS_PATH";

const SCRIPT: &str = include_str!("leads.py");

/// The beginning of a command, which lacks the task and the port.
pub(super) fn command() -> io::Result<Command> {
    let path = env::var_os(VARIABLE).unwrap_or_default();
    let mut command = Command::new("python3");
    command.arg("-c").arg(SCRIPT).env("PYTHONPATH", PathBuf::from(path)).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// Why it cannot be measured. Tried once.
pub(super) fn unavailable() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(try_it).clone()
}

fn try_it() -> Option<String> {
    if env::var_os(VARIABLE).is_none() {
        return Some(format!("{VARIABLE} does not say where the Python module is (README.md has the recipe)"));
    }
    let output = command().and_then(|mut command| command.arg("--try").stdin(Stdio::null()).output());
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Some(format!("the module cannot be used: {}", complaint.lines().last().unwrap_or("no reason given")))
        }
        Err(error) => Some(format!("python3 cannot be started: {error}")),
    }
}

pub(super) fn version() -> String {
    said("python3", &["--version"])
}
