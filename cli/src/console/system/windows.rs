//! Windows.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Read, Write};
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
use winapi_util::HandleRef;
use winapi_util::console::{mode, screen_buffer_info, set_mode};

/// Modes of a console's input: a line at a time, with what is typed shown; keys that are no characters as escapes.
const ENABLE_LINE_INPUT: u32 = 0x0002;
const ENABLE_ECHO_INPUT: u32 = 0x0004;
const ENABLE_VIRTUAL_TERMINAL_INPUT: u32 = 0x0200;

/// A mode of a console's output: escapes are followed, and not shown.
const ENABLE_VIRTUAL_TERMINAL_PROCESSING: u32 = 0x0004;

/// What a process ends with that Ctrl-C ends: `STATUS_CONTROL_C_EXIT`.
const CONTROL_C_EXIT: u32 = 0xc000_013a;

/// How the console at stdin was set before it was taken.
static BEFORE: Mutex<Option<u32>> = Mutex::new(None);

/// What comes before the console is given back.
static FIRST: OnceLock<fn()> = OnceLock::new();

/// A stream that may be a console.
pub(crate) trait Stream: IsTerminal {
    fn handle(&self) -> HandleRef;
}

impl Stream for io::Stdout {
    fn handle(&self) -> HandleRef {
        HandleRef::stdout()
    }
}

impl Stream for io::Stderr {
    fn handle(&self) -> HandleRef {
        HandleRef::stderr()
    }
}

pub(crate) fn read_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    io::stdin().read(buffer)
}

/// Writes all of it, and blocks as long as that takes. A console has characters and no bytes: what is none is shown as
/// one that stands for it.
pub(crate) fn write_all(mut stream: impl Write + Stream, bytes: &[u8]) -> io::Result<()> {
    match std::str::from_utf8(bytes) {
        Err(_) if stream.is_terminal() => stream.write_all(String::from_utf8_lossy(bytes).as_bytes())?,
        _ => stream.write_all(bytes)?,
    }
    stream.flush()
}

/// Returns at once: nothing tells before something is written.
pub(crate) fn wait_for_hang_up() -> bool {
    false
}

/// Calls `stop` for each Ctrl-C and Ctrl-Break, and when the console is closed or the system shut down, on one thread,
/// until it says that the process is to end. Ctrl-C stays ignored where it was when the process was started.
///
/// A process whose console is closed is let live for some seconds more, as long as nobody returns from handling that:
/// `tokio` does not. That somebody logs off is told to services alone, whom it does not concern.
pub(crate) fn on_signals(mut stop: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let (mut c, mut pause, mut close, mut shutdown) = (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?);
    let handle = move || {
        loop {
            wait_for(|context| {
                let all = [
                    c.poll_recv(context),
                    pause.poll_recv(context),
                    close.poll_recv(context),
                    shutdown.poll_recv(context),
                ];
                all.iter().any(Poll::is_ready)
            });
            if stop() {
                give_terminal_back();
                process::exit(CONTROL_C_EXIT as i32);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle)?;
    Ok(())
}

/// Blocks until it is so.
fn wait_for(mut is_so: impl FnMut(&mut Context<'_>) -> bool) {
    struct Waiting(Thread);

    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    while !is_so(&mut Context::from_waker(&waker)) {
        thread::park();
    }
}

/// Whether the terminal at this stream follows escapes: a console that was told to, which those before Windows 10 cannot
/// be, or one of another system's making.
pub(crate) fn follows_escapes(stream: impl Stream) -> bool {
    let term = env::var_os("TERM");
    if term.as_deref() == Some(OsStr::new("dumb")) || !stream.is_terminal() {
        return false;
    }
    match mode(stream.handle()) {
        Ok(mode) if mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 => true,
        Ok(mode) => set_mode(stream.handle(), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING).is_ok(),
        Err(_) => term.is_some(),
    }
}

/// How wide the terminal at this stream is; `None` where it does not say.
pub(crate) fn columns(stream: impl Stream) -> Option<usize> {
    size(stream).map(|(columns, _)| columns)
}

/// How many columns and rows the terminal at this stream has; `None` where it does not say.
pub(crate) fn size(stream: impl Stream) -> Option<(usize, usize)> {
    let window = screen_buffer_info(stream.handle()).ok()?.window_rect();
    let length = |first: i16, last: i16| usize::try_from(i32::from(last) - i32::from(first) + 1).ok();
    let (columns, rows) = (length(window.left, window.right)?, length(window.top, window.bottom)?);
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// False: consoles have no jobs.
pub(crate) fn is_in_background(_: impl Stream) -> bool {
    false
}

/// Lets the console at stdin give each key as it is struck, and not show it; Ctrl-C stays an event. False where there is
/// none.
pub(crate) fn take_terminal() -> bool {
    let Ok(before) = mode(HandleRef::stdin()) else { return false };
    let keys = before & !(ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT);
    let mut kept = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    // Without arrows where it cannot tell them.
    let is_taken = set_mode(HandleRef::stdin(), keys | ENABLE_VIRTUAL_TERMINAL_INPUT)
        .or_else(|_| set_mode(HandleRef::stdin(), keys))
        .is_ok();
    if is_taken {
        kept.get_or_insert(before);
    }
    is_taken
}

/// Has this called before the terminal is given back.
pub(crate) fn before_giving_back(first: fn()) {
    FIRST.get_or_init(|| first);
}

/// Sets the console as it was before it was taken, if it was.
pub(crate) fn give_terminal_back() {
    if let Some(first) = FIRST.get() {
        first();
    }
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = set_mode(HandleRef::stdin(), before);
    }
}

/// Nothing: no process is stopped by a key.
pub(crate) fn on_suspension(_: impl FnMut(Duration) + Send + 'static) -> io::Result<()> {
    Ok(())
}
