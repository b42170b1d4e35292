//! The terminal at stdout, where there is one.

use std::env;
use std::io::{self, IsTerminal};

use super::system;

/// How wide a terminal is taken for that does not say.
pub(super) const COLUMNS: usize = 80;

/// How wide the terminal at stdout is now; `None` where stdout is no terminal.
pub(crate) fn columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| system::columns(io::stdout()).unwrap_or(COLUMNS))
}

/// Whether colours are wanted on stdout: on a terminal, unless somebody has said no.
pub(crate) fn wants_color(no_color: bool) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !no_color && !is_set("NO_COLOR") && system::follows_escapes(io::stdout())
}
