//! The budget: who waits for room in it is woken.

use std::sync::Arc;

use loom::thread;

use super::join;
use crate::connection::outbox::{Budget, Purpose};
use crate::sync::explore::explore;
use crate::sync::now;

fn budget(used: usize) -> Arc<Budget> {
    let budget = Arc::new(Budget::new(100));
    assert!(budget.take(used, Purpose::Queue));
    budget
}

#[test]
fn budget_wait() {
    explore("budget_wait", None, || {
        let budget = budget(100);
        let givers = [50, 50].map(|bytes| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.give_back(bytes))
        });
        assert!(budget.wait(80, now()));
        givers.into_iter().for_each(join);
        assert!(budget.take(100, Purpose::Queue), "the budget has not been given back");
    });
}

/// Somebody who asks for too much meanwhile does not keep the others waiting.
#[test]
fn budget_wait_beside_a_refusal() {
    explore("budget_wait_beside_a_refusal", None, || {
        let budget = budget(100);
        let [giver, taker] = [Budget::give_60, Budget::ask_too_much].map(|work| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || work(&budget))
        });
        assert!(budget.wait(50, now()));
        join(giver);
        join(taker);
    });
}

/// What is refused for want of room is what has none, whichever thread asks for too much at the same time.
#[test]
fn budget_take() {
    explore("budget_take", None, || {
        let budget = budget(20);
        let taker = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.ask_too_much())
        };
        assert!(budget.take(50, Purpose::Queue), "refused although there was room");
        join(taker);
    });
}

impl Budget {
    fn give_60(&self) {
        self.give_back(60);
    }

    fn ask_too_much(&self) {
        assert!(!self.take(101, Purpose::Queue));
    }
}
