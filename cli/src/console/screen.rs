//! The whole terminal at stdout, drawn again and again, and then as it was before.
//!
//! What is drawn is on the alternate screen, which terminals put away again: when this is dropped, while the process is
//! stopped by Ctrl-Z, when a signal or a panic ends it.

use std::fmt::Write as _;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::output::STDOUT;
use super::system;
use super::terminal::COLUMNS;

/// How high a terminal is taken for that does not say.
const ROWS: usize = 24;

/// How long what is just being drawn may take before the terminal is given back all the same.
const PATIENCE: Duration = Duration::from_millis(300);

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Whether the terminal shows it.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// The screen, until this is dropped.
#[derive(Debug)]
pub(crate) struct Screen(());

impl Screen {
    /// `None` where stdout is no terminal that can.
    pub(crate) fn start() -> Option<Self> {
        if !system::follows_escapes(io::stdout()) {
            return None;
        }
        system::before_giving_back(leave);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            system::give_terminal_back();
            before(panic);
        }));
        Some(Self(()))
    }

    /// Has it put away while the process is stopped by Ctrl-Z, where no [`Keys`](super::Keys) see to that; calls `back`
    /// when it goes on.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    pub(crate) fn leaves_when_suspended(&self, back: impl FnMut(Duration) + Send + 'static) -> io::Result<()> {
        system::on_suspension(back)
    }

    /// How many columns and rows it has now.
    pub(crate) fn size() -> (usize, usize) {
        system::size(io::stdout()).unwrap_or((COLUMNS, ROWS))
    }

    /// Draws these lines, none of which is wider than the terminal; not in the background, where it is somebody else's
    /// turn, and not while the terminal still takes what was drawn before. Whether they are drawn.
    pub(crate) fn draw(&self, lines: &[String]) -> bool {
        if system::is_in_background(io::stdout()) {
            return false;
        }
        let mut text = String::new();
        let enters = !SHOWN.swap(true, Ordering::SeqCst);
        if enters {
            text.push_str(ENTER);
        }
        text.push_str("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            let end = if at + 1 < lines.len() { "\r\n" } else { "" };
            write!(text, "{line}\x1b[K{end}").expect("a String takes it");
        }
        text.push_str("\x1b[J");
        let is_drawn = STDOUT.put_if_idle(text.as_bytes());
        if enters && !is_drawn {
            SHOWN.store(false, Ordering::SeqCst);
        }
        is_drawn
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Puts it away, if it is shown; it comes back with what is drawn next.
fn leave() {
    if SHOWN.swap(false, Ordering::SeqCst) {
        STDOUT.wait_until_idle(PATIENCE);
        // By itself: the process may be about to be stopped.
        let _ = system::write_all(io::stdout(), LEAVE.as_bytes());
    }
}
