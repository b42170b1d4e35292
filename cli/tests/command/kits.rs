//! What others have written in Python, and `cli/tests/tools/fetch.py` has fetched.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the checkout is.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A Python that sees the modules of a kit; `None` where that has not been fetched.
pub(crate) fn python(kit: &str) -> Option<Command> {
    let modules = root().join("target").join(kit);
    let Ok(python) = fs::read_to_string(modules.join("python")) else {
        leads_comm_testing::skipped(format_args!(
            "{} is not there; cli/tests/tools/fetch.py gets it",
            modules.display()
        ));
        return None;
    };
    if cfg!(windows) {
        leads_comm_testing::skipped("what others have written was fetched for a Python of this checkout's system");
        return None;
    }
    let mut command = Command::new(python.trim());
    command.env("PYTHONPATH", modules);
    Some(command)
}
