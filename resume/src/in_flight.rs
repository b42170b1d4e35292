//! Which broadcasts are under way, for those who have to wait until these are over.

use std::mem;
use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::Mutex;

/// Each broadcast holds a sender of the current channel while it is under way. Who waits puts another channel in the
/// place of that one, and receives from it until its last sender is gone; broadcasts that begin later hold those of the
/// next channel, and are not waited for.
#[derive(Debug)]
pub(crate) struct InFlight {
    current: Mutex<(Sender<()>, Receiver<()>)>,
}

/// A broadcast that is under way.
#[derive(Debug)]
pub(crate) struct Flight {
    _sender: Sender<()>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::new(mpsc::channel()) }
    }

    pub(crate) fn begin(&self) -> Flight {
        Flight { _sender: self.current.lock().0.clone() }
    }

    /// Waits until all that have begun are over.
    pub(crate) fn wait_for_those_begun(&self) {
        let mut next = mpsc::channel();
        let mut current = self.current.lock();
        mem::swap(&mut *current, &mut next);
        // Those begun earlier may still be waited for by others, whom nobody else may overtake.
        let (sender, receiver) = next;
        let chained = current.0.clone();
        drop(current);
        drop(sender);
        let _ = receiver.recv();
        drop(chained);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_waits_for_those_that_have_begun_and_for_no_other() {
        let in_flight = Arc::new(InFlight::new());
        in_flight.wait_for_those_begun();
        let first = in_flight.begin();
        let waits = |in_flight: &Arc<InFlight>| {
            let (in_flight, (done, over)) = (Arc::clone(in_flight), mpsc::channel());
            thread::spawn(move || {
                in_flight.wait_for_those_begun();
                done.send(()).unwrap();
            });
            over
        };
        let earlier = waits(&in_flight);
        let later = waits(&in_flight);
        for over in [&earlier, &later] {
            assert!(over.try_recv().is_err());
        }
        drop(first);
        for over in [earlier, later] {
            over.recv_timeout(leads_comm_testing::PATIENCE).unwrap();
        }
        let second = in_flight.begin();
        let over = waits(&in_flight);
        drop(second);
        over.recv_timeout(leads_comm_testing::PATIENCE).unwrap();
    }
}
