//! What lies between being admitted and being a connection: handshakes, the first message, and who is turned away.

mod accounts;
mod authenticators;
mod failures;
mod handshakes;
mod letting_in;
mod ours;
mod tokens;

use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Error, RefusalCause};
use leads_comm_testing::*;

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_secs(600);

/// Why the next caller was refused.
fn refused(events: &Receiver<Event>) -> RefusalCause {
    find(events, |event| match event {
        Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
        Event::Connect { connection } => panic!("let in: {connection:?}"),
        _ => None,
    })
}

/// That nobody was heard of but the service itself.
fn assert_unheard(events: &Receiver<Event>) {
    let heard: Vec<_> = events.try_iter().filter(|event| !matches!(event, Event::Initialize { .. })).collect();
    assert!(heard.is_empty(), "{heard:?}");
}

fn assert_reads(raw: Raw, bytes: &[u8]) {
    let (read, _) = raw.read_to_end();
    assert_eq!(read.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}
