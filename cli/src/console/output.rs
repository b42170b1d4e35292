//! Stdout and stderr: what is printed waits in memory, bounded, and a thread of its own writes it.
//!
//! So nobody is held up by a stream that takes nothing, unless they ask to be: callbacks and the library's own threads
//! tell what they have to tell, and go on.
//!
//! ```text
//!   print ─── waits for room ──────┐
//!                                  └─▶ bytes that wait ──▶ writer ──▶ stdout
//!   tell, complain, the log: leave out, count ─▶ the same ──▶ writer ──▶ stderr
//! ```

use std::fmt::Display;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::system;

/// How many bytes may wait, those that are just being written included: a few hundred lines.
const ROOM: usize = 64 * 1024;

/// How long a stream may take nothing of what waits, once the command has to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes away what is behind the cursor, on that line of a terminal.
const ERASE: &str = "\x1b[K";

pub(crate) static STDOUT: Output = Output::new(|bytes| system::write_all(io::stdout(), bytes));
static QUIET: AtomicBool = AtomicBool::new(false);
/// Whether the last line of stderr is one that is drawn again and again.
static DRAWN: AtomicBool = AtomicBool::new(false);
pub(crate) static STDERR: Output = Output::new(|bytes| system::write_all(io::stderr(), bytes));

/// Prints these bytes on stdout, one behind the other and nothing in between. Blocks while more waits than may.
///
/// That stdout takes no more stops the command, see [`on_stop`](super::on_stop), and decides about its exit code.
pub(crate) fn print(parts: &[&[u8]]) {
    try_print(parts);
}

/// The same; whether stdout takes them, as far as is known by now.
pub(crate) fn try_print(parts: &[&[u8]]) -> bool {
    STDOUT.put(&parts.concat(), true)
}

/// Says a line about what happens, on stderr, unless nobody wants to know ([`be_quiet`]).
pub(crate) fn tell(line: impl Display) {
    if !is_quiet() {
        complain(line);
    }
}

/// Whether [`tell`] is silent.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether [`tell`] is silent from here on.
pub(crate) fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints a line on stderr, unless more waits than may: then it is left out, and how many were is said later.
pub(crate) fn complain(line: impl Display) {
    erase();
    STDERR.put(format!("{line}\n").as_bytes(), false);
}

/// Draws a line on the terminal at stderr, in place of the one that was drawn before; others go above it.
pub(crate) fn draw(line: impl Display) {
    DRAWN.store(true, Ordering::Relaxed);
    STDERR.put(format!("\r{line}{ERASE}").as_bytes(), false);
}

/// Takes away the line that was drawn.
pub(crate) fn erase() {
    if DRAWN.swap(false, Ordering::Relaxed) {
        STDERR.put(format!("\r{ERASE}").as_bytes(), false);
    }
}

/// Who is called when stdout takes no more.
static STDOUT_FAILS: OnceLock<fn()> = OnceLock::new();

/// Calls this as soon as stdout takes no more; also when that was so before.
pub(crate) fn when_stdout_fails(call: fn()) {
    STDOUT_FAILS.get_or_init(|| call);
    if STDOUT.lock().failed.is_some() {
        call();
    }
}

/// A stream, and what waits for it.
pub(crate) struct Output {
    write: fn(&[u8]) -> io::Result<()>,
    state: Mutex<State>,
    /// Something waits, or has been written, or the command has to end.
    changed: Condvar,
}

struct State {
    has_writer: bool,
    waiting: Vec<u8>,
    /// How many bytes are just being written.
    writing: usize,
    /// How many lines nobody waited for.
    left_out: u64,
    /// How many bytes were waited for in vain.
    given_up: usize,
    /// Why the stream takes no more.
    failed: Option<io::Error>,
    /// Until when anybody waits for it.
    deadline: Option<Instant>,
}

impl Output {
    const fn new(write: fn(&[u8]) -> io::Result<()>) -> Self {
        let state = State {
            has_writer: false,
            waiting: Vec::new(),
            writing: 0,
            left_out: 0,
            given_up: 0,
            failed: None,
            deadline: None,
        };
        Self { write, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn put(&'static self, bytes: &[u8], waits: bool) -> bool {
        let mut state = self.lock();
        if waits {
            state = self.wait_while(state, |state| !state.has_room(bytes.len()));
        }
        if state.failed.is_some() {
            return false;
        }
        if !state.has_room(bytes.len()) {
            match waits {
                true => state.given_up += bytes.len(),
                false => state.left_out += 1,
            }
            return false;
        }
        state.waiting.extend_from_slice(bytes);
        if !mem::replace(&mut state.has_writer, true) {
            thread::spawn(|| self.write_what_waits());
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Has these bytes written, unless something is still being written; whether it has.
    pub(super) fn put_if_idle(&'static self, bytes: &[u8]) -> bool {
        self.lock().unwritten() == 0 && self.put(bytes, false)
    }

    /// Waits until nothing is being written, at most for `time`.
    pub(super) fn wait_until_idle(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while state.unwritten() > 0 && state.failed.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The writer: until the stream takes no more, or the process ends.
    fn write_what_waits(&self) {
        let mut state = self.lock();
        loop {
            while state.waiting.is_empty() && state.left_out == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let mut bytes = mem::take(&mut state.waiting);
            // Behind what waited while there was no room.
            bytes.extend_from_slice(&left_out(mem::take(&mut state.left_out)));
            state.writing = bytes.len();
            for part in bytes.chunks(ROOM) {
                drop(state);
                let written = (self.write)(part);
                state = self.lock();
                state.writing -= part.len();
                // Slow as it may be, somebody reads.
                state.deadline = state.deadline.map(|_| Instant::now() + LAST_WORDS);
                if let Err(error) = written {
                    state.writing = 0;
                    drop(state);
                    return self.fail(error);
                }
            }
            self.changed.notify_all();
        }
    }

    /// The stream is of no use any more. For stdout that ends the command.
    pub(crate) fn fail(&self, error: io::Error) {
        self.lock().failed.get_or_insert(error);
        self.changed.notify_all();
        if let (true, Some(call)) = (std::ptr::eq(self, &STDOUT), STDOUT_FAILS.get()) {
            call();
        }
    }

    /// The command has to end: nobody waits for this stream for long any more.
    pub(crate) fn hurry(&self) {
        self.lock().deadline.get_or_insert_with(|| Instant::now() + LAST_WORDS);
        self.changed.notify_all();
    }

    /// Waits until all is written, as long as the command need not end; how many bytes were not.
    pub(crate) fn finish(&self) -> io::Result<usize> {
        let mut state = self.lock();
        // What was printed in the end has time as well.
        state.deadline = state.deadline.map(|_| Instant::now() + LAST_WORDS);
        let mut state = self.wait_while(state, |state| state.unwritten() > 0);
        match state.failed.take() {
            Some(error) => Err(error),
            None => Ok(state.unwritten() + state.given_up),
        }
    }

    /// Waits while `condition` holds, unless the stream has failed, or the command has to end and this takes too long.
    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while condition(&state) && state.failed.is_none() {
            state = match state.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn unwritten(&self) -> usize {
        self.waiting.len() + self.writing
    }

    /// Something that is longer than all the room fits when nothing else waits.
    fn has_room(&self, len: usize) -> bool {
        self.unwritten() == 0 || self.unwritten() + len <= ROOM
    }
}

/// What is said about lines that were left out.
fn left_out(lines: u64) -> Vec<u8> {
    match lines {
        0 => Vec::new(),
        1 => b"(1 line was left out: nobody read it)\n".into(),
        _ => format!("({lines} lines were left out: nobody read them)\n").into(),
    }
}

/// The log, which the library's threads write.
pub(crate) struct Log;

impl Write for Log {
    /// A record at a time.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        erase();
        STDERR.put(record, false);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
