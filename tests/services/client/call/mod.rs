//! A call that waits: what answers it, and what it is told when nothing does.

mod answers;
mod callbacks;
mod ends;

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use leads_comm::{Connection, Error};
use leads_comm_testing::*;

/// Calls on a thread of its own, and waits until the peer, which tells its events, has the request.
fn call_in_background(
    connection: &Connection,
    request: &'static [u8],
    is_answer: impl FnMut(&[u8]) -> bool + Send + 'static,
    peer: &leads_comm::crossbeam_channel::Receiver<leads_comm::callback::Event>,
) -> Receiver<Result<Vec<u8>, Error>> {
    let (result, told) = mpsc::channel();
    let connection = connection.clone();
    thread::spawn(move || {
        let _ = result.send(connection.call(request, is_answer, Duration::MAX));
    });
    assert_eq!(received(peer), request);
    told
}

fn result(told: &Receiver<Result<Vec<u8>, Error>>) -> Result<Vec<u8>, Error> {
    told.recv_timeout(PATIENCE).expect("the call does not return")
}
