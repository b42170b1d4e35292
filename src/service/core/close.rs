//! How a service ends: whichever thread begins it, the service's own thread sees everything out.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use super::Core;
use crate::connection::link::Link;
use crate::error::{DisconnectCause, Error};
use crate::service::callback::Chain;
use crate::service::offline_queue::OfflineQueue;
use crate::stats::Volume;
use crate::sync::user_code::{self, info, warn};

/// What each step past the close time-out may take: cutting connections off, ending the pump, telling the closer.
pub(super) const CLOSE_GRACE: Duration = Duration::from_millis(30);

impl Core {
    /// Begins the end: from now on no connection is added, and those that are there say goodbye.
    pub(super) fn begin_close(&self) {
        if !self.lifecycle.begin_close(self.settings().close_deadline()) {
            return;
        }
        if let Some(offline_queue) = &self.offline_queue {
            offline_queue.close();
        }
        let _ = user_code::survive(|| self.handshakes.close());
        if self.lifecycle.is_over() {
            // It has never run, so that nothing else ends it.
            self.tell_of_the_end();
            return self.drop_callbacks();
        }
        self.end_all(|link| {
            link.close(DisconnectCause::ServiceClosed);
        });
    }

    /// The last act of the service's own thread: sees every other thread out, by force when the time is over.
    pub(crate) fn finish(&self) {
        self.rely_on(|| self.wait_for_threads());
        self.engine.pump.stop();
        let by = self.lifecycle.closing_by().unwrap_or_else(Instant::now);
        self.pump_thread.wait_for_end(by + 2 * CLOSE_GRACE);
        self.engine.log_limits.say_all();
        info!("{} closed", self.lifecycle.name());
        self.tell_of_the_end();
        self.lifecycle.end();
        // Last, because what they do when they are dropped may wait for this service.
        self.drop_callbacks();
    }

    /// Tells those who asked for it.
    fn tell_of_the_end(&self) {
        let told = mem::take(&mut *self.told_of_end.lock());
        let _ = user_code::survive(|| drop(told));
    }

    fn wait_for_threads(&self) {
        self.begin_close();
        self.report_unsent();
        let by = self.lifecycle.closing_by().unwrap_or_else(Instant::now);
        if !self.threads().wait_for_end(by) {
            let left = self.table.snapshot().connections;
            warn!("{}: the close time-out is over for {} connections", self.lifecycle.name(), left.len());
            self.end_all(|link| {
                link.abort(DisconnectCause::LocalAbort);
            });
            // Those whose callback is still running end when it returns.
            self.threads().wait_for_end(by + CLOSE_GRACE);
        }
    }

    /// Tells what a client kept for a connection that never came.
    fn report_unsent(&self) {
        let Volume { messages, bytes } = self.offline_queue.as_ref().map(OfflineQueue::end).unwrap_or_default();
        if messages > 0 {
            self.fail(&*self.callback(), &Error::Unsent { messages, bytes });
        }
    }

    /// Does, on the calling thread, what the service cannot go on without. If that panics, by a defect of the library,
    /// the service ends with that as its reason: at once for its connections.
    pub(crate) fn rely_on(&self, work: impl FnOnce()) {
        if let Err(message) = user_code::survive(work) {
            self.break_down(&message);
        }
    }

    /// The calling thread cannot do any more what the service cannot go on without: that is over.
    pub(super) fn break_down(&self, message: &str) {
        self.end_all(|link| {
            link.abort(DisconnectCause::ServiceFailed { message: message.to_owned() });
        });
        let name = thread::current().name().unwrap_or("a thread without a name").to_owned();
        // Before the end, with which the callbacks go.
        self.fail(&*self.callback(), &Error::ServiceFailed { name, message: message.to_owned() });
        self.begin_close();
    }

    /// Lets no more connections come, and ends those that there are; one of them for which that goes wrong keeps no
    /// other one.
    fn end_all(&self, end: impl Fn(&Link)) {
        for connection in self.table.close().connections.iter() {
            let _ = user_code::survive(|| end(connection.link()));
        }
    }

    /// Lets the callbacks go, which may well hold handles of this service.
    fn drop_callbacks(&self) {
        self.replace_callback(Chain::default());
        self.admission.drop_hooks();
        self.handshakes.drop_authenticator();
    }

    /// Waits until the service has ended, at most until `deadline`; whether it has. Where it might be what it waits
    /// for, it only looks.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if user_code::is_inside() { self.lifecycle.is_over() } else { self.lifecycle.wait(deadline) }
    }
}
