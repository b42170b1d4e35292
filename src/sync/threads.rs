//! The threads of a service: named, and counted until they end. None is ever joined, and on none does anything wait for
//! a service, so none can wait for itself.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::sync::user_code::Inside;

/// Counts the threads that it starts. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads {
    counter: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    alive: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    /// Starts a thread that counts from now until it has dropped all that `run` holds.
    pub(crate) fn spawn(
        &self,
        name: String,
        stack_size: usize,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        self.try_spawn(&name, stack_size, run).map_err(|source| spawn_error(name, source))
    }

    /// The same, for whom the system's own error is enough.
    pub(crate) fn try_spawn(
        &self,
        name: &str,
        stack_size: usize,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        *self.counter.alive.lock() += 1;
        let counted = Counted(Arc::clone(&self.counter));
        try_start(name, stack_size, move || {
            let _counted = counted;
            run();
        })
    }

    /// Blocks until none is alive; false when the deadline came first.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut alive = self.counter.alive.lock();
        while *alive > 0 {
            if self.counter.ended.wait_until(&mut alive, deadline).timed_out() {
                return *alive == 0;
            }
        }
        true
    }
}

struct Counted(Arc<Counter>);

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.alive.lock() -= 1;
        self.0.ended.notify_all();
    }
}

/// Starts a thread that nobody counts: for a service's own, whose end the service announces by itself.
pub(crate) fn start(name: String, stack_size: usize, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    try_start(&name, stack_size, run).map_err(|source| spawn_error(name, source))
}

fn try_start(name: &str, stack_size: usize, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A thread's name may not contain it, and a peer's may.
    let name = name.replace('\0', " ");
    let run = move || {
        // For its whole life, and that of what is dropped at its end.
        mem::forget(Inside::enter());
        run();
    };
    thread::Builder::new().name(name).stack_size(stack_size).spawn(run).map(drop)
}

pub(crate) fn spawn_error(name: String, source: io::Error) -> Error {
    Error::SpawnThread { name, source: Arc::new(source) }
}
