//! Stdout: a table that is refreshed in place on a terminal, plain lines anywhere else.

use std::fmt::Write as _;
use std::time::Duration;

use support::{follows_escapes, say, show};

/// What there is to show.
pub(crate) struct Status {
    /// On a terminal. Always as many lines, and none longer than a terminal is wide.
    pub(crate) table: Vec<String>,
    /// Elsewhere.
    pub(crate) line: String,
}

pub(crate) struct Screen {
    terminal: bool,
    /// The table as it stands above the cursor.
    table: Vec<String>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { terminal: follows_escapes(), table: Vec::new() }
    }

    /// How often a status is worth showing.
    pub(crate) fn interval(&self) -> Duration {
        if self.terminal { Duration::from_millis(250) } else { Duration::from_secs(1) }
    }

    /// Shows how things are now, in place of how they were.
    pub(crate) fn show(&mut self, status: Status) {
        if !self.terminal {
            return say(status.line);
        }
        let above = self.table.len();
        self.table = status.table;
        let mut text = String::new();
        if above > 0 {
            // Back to where it was afterwards: somebody may be typing a command below the table.
            let _ = write!(text, "\x1b7\x1b[{above}A\r");
        }
        self.draw(&mut text);
        if above > 0 {
            text.push_str("\x1b8");
        }
        show(text);
    }

    /// Prints a line that stays, above the table.
    pub(crate) fn say(&mut self, line: &str) {
        self.insert(line, self.table.len());
    }

    /// Prints what has become of a line typed: the cursor is one line further then.
    pub(crate) fn answer(&mut self, line: &str) {
        self.insert(line, self.table.len() + 1);
    }

    fn insert(&self, line: &str, above: usize) {
        let mut text = String::new();
        if !self.table.is_empty() {
            let _ = write!(text, "\x1b[{above}A\r\x1b[J");
        }
        let _ = writeln!(text, "{line}");
        self.draw(&mut text);
        show(text);
    }

    /// Takes the table away.
    pub(crate) fn clear(&mut self) {
        let above = self.table.len();
        self.table.clear();
        if above > 0 {
            show(format_args!("\x1b[{above}A\r\x1b[J"));
        }
    }

    fn draw(&self, text: &mut String) {
        for line in &self.table {
            let _ = writeln!(text, "{line}\x1b[K");
        }
    }
}
