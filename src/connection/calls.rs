//! Calls: who waits for an answer, what each takes for one, and what has become of it. Knows no streams.
//!
//! The program's code that tells an answer runs on the reader, without the lock:
//!
//! ```text
//!   caller    begin ──▶ sends its request ──▶ wait ──▶ the answer, or why there is none
//!               │                               ▲
//!               ▼                               │ settled: once, and not when the caller has given up
//!   reader    matchers ──▶ takes all of them, asks one after the other, puts back those that still wait
//! ```

#[cfg(all(test, loom))]
mod model;

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Instant;

use crate::error::Error;
use crate::sync::user_code::{self, Foreign};
use crate::sync::{AtomicU64, Condvar, Mutex, Ordering};

/// The calls of one connection.
pub(crate) struct Calls {
    /// The number of the newest call, while there is one; otherwise 0. They are counted from 1.
    newest: AtomicU64,
    state: Mutex<State>,
    /// The thread that delivers what arrives.
    reader: OnceLock<ThreadId>,
}

/// A call that waits. Dropped, it is over.
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    number: u64,
    settled: Arc<Condvar>,
}

/// What tells the answer.
type IsAnswer = dyn FnMut(&[u8]) -> bool + Send;
type Outcome = Result<Vec<u8>, Error>;

struct State {
    /// How many calls there have been.
    made: u64,
    /// Whether nothing is delivered any more.
    is_over: bool,
    /// What has become of each call, by its number.
    waiting: BTreeMap<u64, Waiting>,
    /// What each takes for its answer, in the order of their numbers. None while the reader asks, but newer ones.
    matchers: Vec<Matcher>,
    /// Whether the reader may hold the matcher of a call that is over.
    has_stale: bool,
}

struct Waiting {
    outcome: Option<Outcome>,
    settled: Arc<Condvar>,
}

struct Matcher {
    number: u64,
    is_answer: Foreign<IsAnswer>,
}

impl Default for Calls {
    fn default() -> Self {
        let state = State { made: 0, is_over: false, waiting: BTreeMap::new(), matchers: Vec::new(), has_stale: false };
        Self { newest: AtomicU64::new(0), state: Mutex::new(state), reader: OnceLock::new() }
    }
}

impl Calls {
    /// The calling thread delivers what arrives, so that no call can wait on it.
    pub(crate) fn read_here(&self) {
        let _ = self.reader.set(thread::current().id());
    }

    /// Begins to wait, before the request is sent: so no answer comes too early.
    pub(crate) fn begin(&self, is_answer: impl FnMut(&[u8]) -> bool + Send + 'static) -> Result<Call<'_>, Error> {
        let is_answer = Foreign::<IsAnswer>::one_of_many("what tells the answer to a call", Box::new(is_answer));
        let is_read_here = self.reader.get() == Some(&thread::current().id());
        let settled = Arc::new(Condvar::new());
        let mut state = self.state.lock();
        if state.is_over {
            return Err(Error::Disconnected);
        }
        if is_read_here {
            return Err(Error::WouldDeadlock);
        }
        state.made += 1;
        let number = state.made;
        state.waiting.insert(number, Waiting { outcome: None, settled: Arc::clone(&settled) });
        state.matchers.push(Matcher { number, is_answer });
        self.newest.store(number, Ordering::Release);
        Ok(Call { calls: self, number, settled })
    }

    /// The number of the newest call. What has arrived before is no answer to a newer one.
    #[inline]
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Offers a message to the calls up to the one of this number, in the order in which they were made; whether one
    /// has taken it. Only the reader may.
    #[cold]
    pub(crate) fn offer(&self, newest: u64, message: &[u8]) -> bool {
        let mut matchers = mem::take(&mut self.state.lock().matchers);
        let mut is_taken = false;
        matchers.retain_mut(|Matcher { number, is_answer }| {
            if is_taken || *number > newest {
                return true;
            }
            match user_code::call(|| is_answer(message)) {
                Ok(false) => return true,
                Ok(true) => is_taken = self.settle(*number, Ok(message.to_vec())),
                Err(message) => {
                    self.settle(*number, Err(Error::CallbackPanicked { callback: "call", message }));
                }
            }
            false
        });
        // The destructors are the program's, and run without the lock.
        drop(self.put_back(matchers));
        is_taken
    }

    /// Nothing is delivered any more, so that no answer comes.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        for waiting in state.waiting.values_mut().filter(|waiting| waiting.outcome.is_none()) {
            waiting.settle(Err(Error::Disconnected));
        }
    }

    /// Tells a call what has become of it; false when it knows already, or has given up.
    fn settle(&self, number: u64, outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        let waiting = state.waiting.get_mut(&number).filter(|waiting| waiting.outcome.is_none());
        waiting.map(|waiting| waiting.settle(outcome)).is_some()
    }

    /// Keeps matchers for the next message, in front of newer ones; those of calls that are over.
    fn put_back(&self, matchers: Vec<Matcher>) -> Vec<Matcher> {
        let mut state = self.state.lock();
        let newer = mem::replace(&mut state.matchers, matchers);
        state.matchers.extend(newer);
        if !mem::take(&mut state.has_stale) {
            return Vec::new();
        }
        let all = mem::take(&mut state.matchers);
        let (kept, stale) = all.into_iter().partition(|matcher| state.waiting.contains_key(&matcher.number));
        state.matchers = kept;
        stale
    }

    /// Takes a call out that is over; its matcher, unless the reader has that.
    fn remove(&self, number: u64) -> Option<Matcher> {
        let mut state = self.state.lock();
        state.waiting.remove(&number);
        if state.waiting.is_empty() {
            self.newest.store(0, Ordering::Relaxed);
        }
        match state.matchers.binary_search_by_key(&number, |matcher| matcher.number) {
            Ok(at) => Some(state.matchers.remove(at)),
            Err(_) => {
                state.has_stale = true;
                None
            }
        }
    }
}

impl Call<'_> {
    /// Blocks until something has become of it; `None` when the deadline came first.
    pub(crate) fn wait(self, deadline: Instant) -> Option<Outcome> {
        let mut state = self.calls.state.lock();
        while !state.is_settled(self.number) {
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.end(self.number)
    }

    /// Gives up; what has become of it by then.
    pub(crate) fn give_up(self) -> Option<Outcome> {
        self.calls.state.lock().end(self.number)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        drop(self.calls.remove(self.number));
    }
}

impl State {
    fn is_settled(&self, number: u64) -> bool {
        self.waiting.get(&number).is_some_and(|waiting| waiting.outcome.is_some())
    }

    /// Ends a call in the same step in which it is looked at, so that no message is given to one that is over.
    fn end(&mut self, number: u64) -> Option<Outcome> {
        self.waiting.remove(&number)?.outcome
    }
}

impl Waiting {
    fn settle(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.settled.notify_all();
    }
}
