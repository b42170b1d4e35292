//! The one door to code that is not the library's own: callbacks, hooks, authenticators, transports, the logger, and
//! the destructors of what the program gave. What happens behind it costs nobody else anything: a panic is contained,
//! and the thread is known to be inside, so that it waits for no service. A thread that goes through it holds no lock.
//!
//! The log macros below have the names, and take what those of the crate `log` take. What they write is one line,
//! whatever is in it.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use log::Level;

thread_local! {
    /// How often this thread is inside: a callback may start a service that runs here, with callbacks of its own.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread is inside the logger.
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread may be what a service waits for, because it runs the program's code for it, or serves it
/// in another way; and so must not wait for a service itself.
pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
}

/// As long as this lives, its thread is inside.
pub(crate) struct Inside {
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Inside {
    pub(crate) fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self { _not_send: PhantomData }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Runs the program's code; a panic comes back as its message.
pub(crate) fn call<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    let _inside = Inside::enter();
    contain(code)
}

/// Runs a part of the library on which others rely; a panic, which is a defect, comes back as its message. A model is
/// to fail of it.
pub(crate) fn survive<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    if cfg!(loom) { Ok(work()) } else { contain(work) }
}

fn contain<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let message = panic_message(&*payload);
        let_go(payload);
        message
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(not text)".to_owned()
    }
}

/// Lets go of what a panic carried: text, nearly always. Dropping anything else may panic again, and it is left alone.
fn let_go(payload: Box<dyn Any + Send>) {
    if !payload.is::<&str>() && !payload.is::<String>() {
        mem::forget(payload);
    }
}

/// Makes several calls although one of them may panic: that is passed on when all have been made. Of several panics the
/// first is.
#[derive(Default)]
pub(crate) struct Calls {
    panic: Option<Box<dyn Any + Send>>,
}

impl Calls {
    pub(crate) fn make(&mut self, call: impl FnOnce()) {
        match catch_unwind(AssertUnwindSafe(call)) {
            Err(payload) if self.panic.is_none() => self.panic = Some(payload),
            Err(payload) => let_go(payload),
            Ok(()) => {}
        }
    }

    pub(crate) fn finish(self) {
        if let Some(payload) = self.panic {
            resume_unwind(payload);
        }
    }
}

/// Something that the program gave, to be owned in no other way: whichever thread is the last to let it go, its
/// destructor runs behind the door.
pub(crate) struct Foreign<T: ?Sized> {
    /// Gone only while it is dropped.
    inner: Option<Box<T>>,
    what: &'static str,
    /// At which a panic of its destructor is logged.
    level: Level,
}

impl<T: ?Sized> Foreign<T> {
    pub(crate) fn new(what: &'static str, inner: Box<T>) -> Self {
        Self { inner: Some(inner), what, level: Level::Error }
    }

    /// One of as many as peers like to have, who must not flood the log.
    pub(crate) fn one_of_many(what: &'static str, inner: Box<T>) -> Self {
        Self { inner: Some(inner), what, level: Level::Debug }
    }
}

impl<T: ?Sized> Deref for Foreign<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_deref().expect("nobody uses what is being dropped")
    }
}

impl<T: ?Sized> DerefMut for Foreign<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_deref_mut().expect("nobody uses what is being dropped")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Drop for Foreign<T> {
    fn drop(&mut self) {
        let inner = self.inner.take();
        if let Err(message) = call(|| drop(inner)) {
            log!(self.level, "dropping {} panicked: {message}", self.what);
        }
    }
}

/// Whether lines of this level are wanted at all. The logger, which may want fewer, is not asked.
#[inline]
pub(crate) fn is_logged(level: Level) -> bool {
    level <= log::STATIC_MAX_LEVEL && level <= log::max_level()
}

/// Has the logger called by `line`. What the library has to say while the logger calls it is left out: it would have to
/// be said about that as well, and so on.
#[cold]
pub(crate) fn write_line(line: impl FnOnce()) {
    if !LOGGING.replace(true) {
        let _ = call(line);
        LOGGING.set(false);
    }
}

macro_rules! log_line {
    ($level:expr, $($arg:tt)+) => {{
        let level = $level;
        if $crate::sync::user_code::is_logged(level) {
            let line = |line: ::std::fmt::Arguments<'_>| ::log::log!(level, "{}", $crate::error::OneLine(line));
            $crate::sync::user_code::write_line(|| line(::std::format_args!($($arg)+)));
        }
    }};
}

macro_rules! error_line {
    ($($arg:tt)+) => { $crate::sync::user_code::log!(::log::Level::Error, $($arg)+) };
}

macro_rules! warn_line {
    ($($arg:tt)+) => { $crate::sync::user_code::log!(::log::Level::Warn, $($arg)+) };
}

macro_rules! info_line {
    ($($arg:tt)+) => { $crate::sync::user_code::log!(::log::Level::Info, $($arg)+) };
}

macro_rules! debug_line {
    ($($arg:tt)+) => { $crate::sync::user_code::log!(::log::Level::Debug, $($arg)+) };
}

macro_rules! trace_line {
    ($($arg:tt)+) => { $crate::sync::user_code::log!(::log::Level::Trace, $($arg)+) };
}

macro_rules! is_line_wanted {
    ($level:expr) => {
        $crate::sync::user_code::is_logged($level)
    };
}

pub(crate) use {
    debug_line as debug, error_line as error, info_line as info, is_line_wanted as log_enabled, log_line as log,
    trace_line as trace, warn_line as warn,
};
