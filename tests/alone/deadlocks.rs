//! The search for deadlocks finds one: else its silence in the other suites would mean nothing.
#![cfg(leads_comm_deadlocks)]

use std::env;
use std::sync::{Arc, Barrier};
use std::thread;

use leads_comm_testing::{PATIENCE, alone, deadlocks, in_time, runner};
use parking_lot::Mutex;

#[test]
fn a_deadlock_is_found() {
    alone!();
    let mut child = runner::command(env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "deadlocks::two_locks_in_two_orders"]);
    let output = in_time("the search", move || child.output().unwrap());
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("deadlock: thread").count(), 2, "{told}");
}

#[test]
#[ignore = "started by the other"]
fn two_locks_in_two_orders() {
    deadlocks::watch();
    let locks = Arc::new((Mutex::new(()), Mutex::new(())));
    let both_hold_one = Arc::new(Barrier::new(2));
    thread::spawn({
        let (locks, both_hold_one) = (Arc::clone(&locks), Arc::clone(&both_hold_one));
        move || {
            let _second = locks.1.lock();
            both_hold_one.wait();
            let _first = locks.0.lock();
        }
    });
    thread::spawn(move || {
        let _first = locks.0.lock();
        both_hold_one.wait();
        let _second = locks.1.lock();
    });
    thread::sleep(PATIENCE);
}
