//! Calls under the model checker: callers, the reader that answers them, and what ends them.

use std::sync::{Arc, Mutex as PlainMutex};

use loom::thread::{self, JoinHandle};

use super::{Calls, Outcome};
use crate::error::Error;
use crate::sync::explore::explore;
use crate::sync::{Condvar, Mutex, be_late, now};

/// A connection whose peer answers every request with itself.
#[derive(Default)]
struct Wire {
    calls: Calls,
    /// What the peer has been sent, and has not answered.
    requests: Mutex<Vec<u8>>,
    sent: Condvar,
    /// What no call has taken.
    delivered: PlainMutex<Vec<u8>>,
}

impl Wire {
    /// Calls for a request; what has become of it. `kept` is held by what tells its answer.
    fn call(self: &Arc<Self>, request: u8, kept: &Arc<()>) -> JoinHandle<Option<Outcome>> {
        let (wire, held) = (Arc::clone(self), Arc::clone(kept));
        thread::spawn(move || {
            let is_answer = move |message: &[u8]| Arc::strong_count(&held) > 0 && message == [request];
            let call = wire.calls.begin(is_answer);
            // Also where it is refused, so that the reader need not know.
            wire.requests.lock().push(request);
            wire.sent.notify_all();
            call.map_or_else(|error| Some(Err(error)), |call| call.wait(now()))
        })
    }

    /// The reader's part: the next answer, when there is one. The newest first, for they may come in any order.
    fn read(&self) {
        let mut requests = self.requests.lock();
        while requests.is_empty() {
            self.sent.wait(&mut requests);
        }
        let answer = requests.pop().expect("there is one");
        drop(requests);
        let newest = self.calls.newest();
        if newest == 0 || !self.calls.offer(newest, &[answer]) {
            self.delivered.lock().unwrap().push(answer);
        }
    }

    /// Each message went to one place.
    fn settle(&self, request: u8, outcome: Option<Outcome>) {
        let delivered = self.delivered.lock().unwrap().iter().filter(|message| **message == request).count();
        match outcome {
            Some(Ok(answer)) => {
                assert_eq!(answer, [request]);
                assert_eq!(delivered, 0, "delivered, and given to its call");
            }
            None | Some(Err(Error::Disconnected)) => assert_eq!(delivered, 1, "given to nobody"),
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("no model goes on after a panic")
}

/// Whatever begins meanwhile, each call has its own answer in the end.
#[test]
fn two_calls() {
    explore("two_calls", 3, || {
        let (wire, kept) = (Arc::<Wire>::default(), Arc::new(()));
        let callers = [1, 2].map(|request| wire.call(request, &kept));
        wire.read();
        wire.read();
        for (request, caller) in [1, 2].into_iter().zip(callers) {
            let outcome = join(caller);
            assert!(matches!(outcome, Some(Ok(_))), "the answer has come, and the call does not have it");
            wire.settle(request, outcome);
        }
        assert_eq!(Arc::strong_count(&kept), 1, "what tells an answer is kept");
        assert_eq!(wire.calls.newest(), 0, "a call is kept");
    });
}

/// The end comes while a call begins, sends, waits or is answered.
#[test]
fn answer_and_end() {
    explore("answer_and_end", 4, || {
        let (wire, kept) = (Arc::<Wire>::default(), Arc::new(()));
        let caller = wire.call(1, &kept);
        let ender = thread::spawn({
            let wire = Arc::clone(&wire);
            move || wire.calls.end()
        });
        wire.read();
        join(ender);
        let outcome = join(caller);
        assert!(outcome.is_some(), "nobody was late");
        wire.settle(1, outcome);
        assert_eq!(Arc::strong_count(&kept), 1, "what tells an answer is kept");
    });
}

/// Nobody answers any more: a call that begins with the end, or behind it, does not wait.
#[test]
fn begin_and_end() {
    explore("begin_and_end", None, || {
        let wire = Arc::<Wire>::default();
        let caller = wire.call(1, &Arc::new(()));
        wire.calls.end();
        assert!(matches!(join(caller), Some(Err(Error::Disconnected))));
    });
}

/// The time is over while it is asked about a message, or another call begins or is.
#[test]
fn answer_and_time_out() {
    explore("answer_and_time_out", 3, || {
        be_late(true);
        let (wire, kept) = (Arc::<Wire>::default(), Arc::new(()));
        let callers = [1, 2].map(|request| wire.call(request, &kept));
        wire.read();
        wire.read();
        for (request, caller) in [1, 2].into_iter().zip(callers) {
            wire.settle(request, join(caller));
        }
        assert_eq!(Arc::strong_count(&kept), 1, "what tells an answer is kept");
    });
}
