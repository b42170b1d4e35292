//! Looks whether messages come where bytes do: with a wrong separator, a peer that talks would look like one that says
//! nothing.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::{Callback, Connection, DisconnectCause, DisconnectReason, Service};
use parking_lot::Mutex;

use crate::console::tell;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// After how many looks at bytes without a message it is told.
const LOOKS: u32 = 2;

/// Says once of each connection that bytes come on it, but no whole message: while it lasts, or when it is ended here.
/// Goes in front of a verb's own callback.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// What is asked then.
    question: Arc<str>,
    watched: Arc<Mutex<Watched>>,
}

/// The connections on which no message has come yet.
#[derive(Debug, Default)]
struct Watched {
    connections: Vec<(Connection, u32)>,
    /// Whether a thread looks at them. It ends when there are none.
    has_thread: bool,
}

impl Watch {
    pub(super) fn new(question: String) -> Self {
        Self { question: question.into(), watched: Arc::default() }
    }

    fn look(&self) {
        loop {
            thread::sleep(EVERY);
            let mut suspects = Vec::new();
            let mut watched = self.watched.lock();
            watched.connections.retain_mut(|(connection, looks)| match come(connection) {
                Come::Nothing => true,
                Come::Part => {
                    *looks += 1;
                    if *looks > LOOKS {
                        suspects.push(connection.clone());
                    }
                    *looks <= LOOKS
                }
                Come::Message => false,
            });
            watched.has_thread = !watched.connections.is_empty();
            let ends = !watched.has_thread;
            drop(watched);
            for peer in suspects {
                tell(format_args!("bytes come from {peer}, but no whole message: {}", self.question));
            }
            if ends {
                return;
            }
        }
    }
}

impl Callback for Watch {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let mut watched = self.watched.lock();
        watched.connections.push((connection.clone(), 0));
        if !watched.has_thread {
            let this = self.clone();
            // A machine without threads has other troubles to tell.
            watched.has_thread = thread::Builder::new().name("watch".into()).spawn(move || this.look()).is_ok();
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let mut watched = self.watched.lock();
        let place = watched.connections.iter().position(|(watched, _)| watched == connection);
        let looks = place.map_or(0, |place| watched.connections.swap_remove(place).1);
        drop(watched);
        // Ends that others make are told, with what is discarded.
        let is_ours = matches!(reason.cause, DisconnectCause::LocalClose | DisconnectCause::ServiceClosed);
        // What has come since the last look may be a goodbye.
        if is_ours && looks > 0 && come(connection) == Come::Part {
            tell(format_args!("bytes came from {connection}, but no whole message: {}", self.question));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    Nothing,
    /// Something of a first message.
    Part,
    Message,
}

/// What has come on a connection.
fn come(connection: &Connection) -> Come {
    let traffic = connection.stats().traffic;
    match (traffic.received.messages, traffic.last_received) {
        (0, None) => Come::Nothing,
        (0, Some(_)) => Come::Part,
        _ => Come::Message,
    }
}
