//! Opens a page in whatever browser the system has.

use std::io;
use std::process::{Command, Stdio};
use std::thread;

use crate::console::complain;

/// Asks the system to show a page, and says so where it cannot; waits for nothing.
pub(crate) fn open(url: &str) {
    let mut opener = opener(url);
    opener.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let name = opener.get_program().to_string_lossy().into_owned();
    let open = move || {
        let outcome = opener.status();
        let why = match outcome {
            Ok(status) if status.success() => return,
            Ok(status) => format!("{name}: {status}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => format!("there is no {name}"),
            Err(error) => format!("{name}: {error}"),
        };
        complain(format_args!("leads-comm: no browser could be opened: {why}"));
    };
    // Nobody waits for it: some openers stay as long as the browser does.
    let _ = thread::Builder::new().name("opener".into()).spawn(open);
}

#[cfg(windows)]
fn opener(url: &str) -> Command {
    let mut opener = Command::new("rundll32");
    opener.args(["url.dll,FileProtocolHandler", url]);
    opener
}

#[cfg(not(windows))]
fn opener(url: &str) -> Command {
    let mut opener = Command::new(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    opener.arg(url);
    opener
}
