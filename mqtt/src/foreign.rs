//! The program's code, and the logger: called through here, without any lock, and with its panics contained.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TARGET: &str = "leads_comm_mqtt";

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Calls; the message of a panic comes back.
pub(crate) fn call<T>(function: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(function));
    IS_INSIDE.set(before);
    result.map_err(message)
}

/// Whether this thread is in a call of the program's, so that a thread of the bridge may be waiting for it to return.
pub(crate) fn is_inside() -> bool {
    IS_INSIDE.get()
}

/// Has the logger called. A panic of it costs the line, and nothing of what the line is about.
pub(crate) fn log(level: log::Level, line: fmt::Arguments<'_>) {
    let _ = call(|| log::log!(target: TARGET, level, "{line}"));
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    // Whose destructor may panic again.
    mem::forget(panic);
    text.unwrap_or_else(|| "what it says is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_message() {
        assert_eq!(call(is_inside), Ok(true));
        assert!(!is_inside());
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let panicked: [Result<(), String>; 3] =
            [call(|| panic!("as it is")), call(|| panic!("number {}", 7)), call(|| std::panic::panic_any(7))];
        std::panic::set_hook(hook);
        let said = panicked.map(Result::unwrap_err);
        assert_eq!(said, ["as it is", "number 7", "what it says is not text"]);
        assert!(!is_inside());
    }
}
