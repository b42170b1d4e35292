//! Deadlocks among the library's locks, found by `parking_lot` when the tests are built for it; `docs/testing.md` has
//! the command. What would be a test that takes too long ends at once then, and says where its threads wait.

/// Looks for deadlocks from now on, until the process ends, if the tests are built for it.
pub fn watch() {
    #[cfg(leads_comm_deadlocks)]
    imp::watch();
}

#[cfg(leads_comm_deadlocks)]
mod imp {
    use std::io::{self, Write};
    use std::process;
    use std::sync::Once;
    use std::thread;
    use std::time::Duration;

    use parking_lot::deadlock::check_deadlock;

    pub(super) fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            thread::spawn(|| {
                let deadlocks = loop {
                    thread::sleep(Duration::from_millis(100));
                    let deadlocks = check_deadlock();
                    if !deadlocks.is_empty() {
                        break deadlocks;
                    }
                };
                for thread in deadlocks.iter().flatten() {
                    // Not by `eprintln!`, which is not shown before a test has ended.
                    let (thread, stack) = (thread.thread_id(), thread.backtrace());
                    let _ = writeln!(io::stderr(), "deadlock: thread {thread:?} waits\n{stack:?}");
                }
                process::abort();
            });
        });
    }
}
