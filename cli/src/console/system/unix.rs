//! Unix.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

/// How often a process in the background looks whether it has come to the foreground, once something has been typed.
const TURN: Duration = Duration::from_millis(250);

/// How the terminal at stdin was set before it was taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// What comes before the terminal is given back.
static FIRST: OnceLock<fn()> = OnceLock::new();

/// Reads from stdin, whatever state it is in.
///
/// Another process may have made it non-blocking, since that is a property of what they share. And what is typed is not
/// for a process in the background: one that reads all the same is stopped by the system, all of it. Nothing tells a
/// process that it comes to the foreground, so it looks now and then.
pub(crate) fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    let stdin = io::stdin();
    loop {
        wait_for(&stdin, PollFlags::IN)?;
        if tcgetpgrp(&stdin).is_ok() && !has_turn() {
            thread::sleep(TURN);
            continue;
        }
        match rustix::io::read(&stdin, &mut *buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nothing to read from, which is how `nohup` leaves it.
            Err(Errno::BADF) => return Ok(0),
            outcome => return Ok(outcome?),
        }
    }
}

/// Writes all of it, and blocks as long as that takes; also where the stream does not.
pub(crate) fn write_all(stream: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(&stream, PollFlags::OUT)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Blocks until nobody reads stdout any more; returns at once where that cannot be seen before something is written.
///
/// On a terminal, its end is told by a signal, which may be ignored.
pub(crate) fn wait_for_hang_up() -> bool {
    let stdout = io::stdout();
    if isatty(&stdout) {
        return false;
    }
    loop {
        let mut streams = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut streams, None) {
            Err(Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return streams[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
        }
    }
}

fn wait_for(stream: impl AsFd, event: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(&stream, event)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Calls `stop` for each SIGINT, SIGTERM and SIGHUP, on one thread, until it says that the signal is to have its way:
/// then the process ends as by a signal that nobody handles. Those that were ignored when the process was started stay
/// so, as far as that can be seen, which is on Linux: the shell, or `nohup`, has decided about them.
pub(crate) fn on_signals(mut stop: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)))?;
    let handle = move || {
        for signal in signals.forever() {
            if stop() {
                give_terminal_back();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle)?;
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit for each signal, from 1.
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Whether the terminal at this stream, if it is one, follows escapes.
pub(crate) fn follows_escapes(stream: impl IsTerminal) -> bool {
    env::var_os("TERM").is_some_and(|term| term != OsStr::new("dumb")) && stream.is_terminal()
}

/// How wide the terminal at this stream is; `None` where it does not say.
pub(crate) fn columns(stream: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// How many columns and rows the terminal at this stream has; `None` where it does not say.
pub(crate) fn size(stream: impl AsFd) -> Option<(usize, usize)> {
    let size = tcgetwinsize(stream).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

/// Whether stdin is a terminal that is this process's turn.
fn has_turn() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

/// Whether the terminal at this stream is somebody else's turn.
pub(crate) fn is_in_background(stream: impl AsFd) -> bool {
    // Of a terminal that is not this session's, nobody has the turn.
    tcgetpgrp(stream).is_ok_and(|foreground| foreground != rustix::process::getpgrp())
}

/// Lets the terminal at stdin give each key as it is struck, and not show it; Ctrl-C and Ctrl-Z stay signals. False
/// where there is none, or it is somebody else's turn, who would not have it set.
pub(crate) fn take_terminal() -> bool {
    if !has_turn() {
        return false;
    }
    let Ok(before) = tcgetattr(io::stdin()) else { return false };
    let mut keys = before.clone();
    keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    keys.special_codes[SpecialCodeIndex::VMIN] = 1;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    let mut kept = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = tcsetattr(io::stdin(), OptionalActions::Now, &keys).is_ok();
    if is_taken {
        kept.get_or_insert(before);
    }
    is_taken
}

/// Has this called before the terminal is given back.
pub(crate) fn before_giving_back(first: fn()) {
    FIRST.get_or_init(|| first);
}

/// Sets the terminal as it was before it was taken, if it was.
pub(crate) fn give_terminal_back() {
    if let Some(first) = FIRST.get() {
        first();
    }
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| has_turn()) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Gives the terminal back while the process is stopped by Ctrl-Z, or when it is ended by Ctrl-\\; calls `stood_still`
/// when it goes on.
pub(crate) fn on_suspension(mut stood_still: impl FnMut(Duration) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTSTP, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal)))?;
    let handle = move || {
        for signal in signals.forever() {
            give_terminal_back();
            let stopped = Instant::now();
            // Returns when the process goes on.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            take_terminal();
            stood_still(stopped.elapsed());
        }
    };
    thread::Builder::new().name("suspension".into()).spawn(handle)?;
    Ok(())
}
