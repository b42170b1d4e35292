//! The outbox, the gathered broadcasts and the budget under the model checker. The stream is a [`Wire`]; a [`Peer`]
//! does for an outbox what a connection does, and runs the pump's part. Time stands still.

mod budget;
mod endings;
mod gathered;
mod intake;
mod joining;
mod peer;
mod queueing;
mod replacing;
mod wire;

use loom::thread::JoinHandle;

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("no model goes on after a panic")
}
