//! One run of a check: its threads, its deadline, and what it is doing.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use parking_lot::Mutex;

use crate::failure::{Failure, Outcome, Wrong};

/// How much later than a check the caller gives up: long enough for the check to say itself which call hangs.
const GRACE: Duration = Duration::from_secs(1);

/// How soon whoever waits for a thread notices that something has gone wrong on another one.
const LOOK: Duration = Duration::from_millis(10);

/// Between two looks at something that nothing announces.
const PAUSE: Duration = Duration::from_millis(1);

/// What a check runs with. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Run(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    time: Duration,
    step: Mutex<String>,
    /// What went wrong first: what comes later may follow from it.
    first: Mutex<Option<Wrong>>,
    /// Aborted at the end, so that no thread of the check stays in them.
    streams: Mutex<Vec<Weak<dyn Stream>>>,
}

/// Runs a check on a thread of its own, and waits for it no longer than it may take.
pub(crate) fn check(
    name: &'static str,
    time: Duration,
    check: impl FnOnce(&Run) -> Outcome + Send + 'static,
) -> Result<(), Failure> {
    let run = Run(Arc::new(Inner {
        began: Instant::now(),
        time,
        step: Mutex::default(),
        first: Mutex::default(),
        streams: Mutex::default(),
    }));
    let (tell, told) = mpsc::channel();
    let outcome = spawn(name, {
        let run = run.clone();
        move || {
            let outcome = caught(|| check(&run), || run.0.step.lock().clone());
            let _ = tell.send(outcome);
            run.abort_streams();
        }
    });
    let outcome = outcome.and_then(|()| match told.recv_timeout(time.saturating_add(GRACE)) {
        Ok(outcome) => outcome,
        Err(_) => Err(Wrong::Hangs(run.0.step.lock().clone())),
    });
    outcome.map_err(|wrong| Failure::new(name, wrong, time))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Outcome {
    match thread::Builder::new().name(format!("conformance {name}")).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(Wrong::Broken(format!("no thread can be started for it: {error}"))),
    }
}

/// Works; a panic is something wrong with what is being done.
fn caught<T>(work: impl FnOnce() -> Outcome<T>, doing: impl FnOnce() -> String) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(Wrong::Broken(format!("{}: panics: {}", doing(), text(&*payload)))))
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("with something else than a text")
}

impl Run {
    /// Says what is being done on the thread of the check, in case that it does not come to an end.
    pub(crate) fn step(&self, doing: impl Into<String>) {
        *self.0.step.lock() = doing.into();
    }

    /// Takes a stream in, to be given up at the end of the check.
    pub(crate) fn adopt(&self, stream: Box<dyn Stream>) -> Arc<dyn Stream> {
        let stream: Arc<dyn Stream> = Arc::from(stream);
        self.0.streams.lock().push(Arc::downgrade(&stream));
        stream
    }

    fn abort_streams(&self) {
        let streams: Vec<_> = self.0.streams.lock().iter().filter_map(Weak::upgrade).collect();
        for stream in streams {
            let _ = stream.abort();
        }
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.0.time.saturating_sub(self.0.began.elapsed())
    }

    /// Fails when the time is over; `doing` says with what.
    pub(crate) fn in_time(&self, doing: &str) -> Outcome {
        if self.time_left().is_zero() { Err(Wrong::Hangs(doing.into())) } else { Ok(()) }
    }

    /// Looks again and again until something comes of it.
    pub(crate) fn until<T>(&self, doing: &str, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.in_time(doing)?;
            thread::sleep(PAUSE);
        }
    }

    /// Works on a thread of its own. What calls a transport may hang, so that only such threads do it.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        doing: impl Into<String>,
        work: impl FnOnce(&Run) -> Outcome<T> + Send + 'static,
    ) -> Outcome<Task<T>> {
        let doing = doing.into();
        let (tell, told) = mpsc::channel();
        let (run, said) = (self.clone(), doing.clone());
        spawn("call", move || {
            let outcome = caught(|| work(&run), || said);
            if let Err(wrong) = &outcome {
                run.0.first.lock().get_or_insert_with(|| wrong.clone());
            }
            let _ = tell.send(outcome);
        })?;
        Ok(Task { doing, run: self.clone(), told })
    }

    /// Works on a thread of its own, and waits for it.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        doing: impl Into<String>,
        work: impl FnOnce(&Run) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        self.start(doing, work)?.finish()
    }
}

/// Something that is done on a thread of its own.
pub(crate) struct Task<T> {
    doing: String,
    run: Run,
    told: Receiver<Outcome<T>>,
}

impl<T> Task<T> {
    /// Waits until it is done, or something else has gone wrong.
    pub(crate) fn finish(self) -> Outcome<T> {
        self.run.step(self.doing.clone());
        loop {
            let outcome = self.told.recv_timeout(LOOK.min(self.run.time_left()));
            if let Some(first) = self.run.0.first.lock().clone() {
                return Err(first);
            }
            match outcome {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) => self.run.in_time(&self.doing)?,
                Err(RecvTimeoutError::Disconnected) => unreachable!("its thread always tells"),
            }
        }
    }
}
