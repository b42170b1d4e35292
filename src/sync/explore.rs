//! What the model checks share. Each runs one small scenario of the concurrent core under a model checker, in every
//! order of its threads' steps, or in every order with a bounded number of preemptions. `.ci/model` runs them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::model::Builder;

use crate::sync::be_late;

/// How many steps one execution may have: more is taken for a loop that does not end.
const MOST_STEPS: usize = 2_000;

/// Runs `model` in every order, with at most so many preemptions if `preemptions` says so.
pub(crate) fn explore(name: &str, preemptions: impl Into<Option<usize>>, model: impl Fn() + Send + Sync + 'static) {
    be_late(false);
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions.into();
    builder.max_branches = MOST_STEPS;
    let begun = Instant::now();
    let count = Arc::new(AtomicUsize::new(0));
    builder.check({
        let count = Arc::clone(&count);
        move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        }
    });
    let count = count.load(Ordering::Relaxed);
    let bound = builder.preemption_bound.map_or("all".to_owned(), |most| format!("at most {most} preemptions"));
    println!("model {name}: {count} interleavings, {bound}, {:.1} s", begun.elapsed().as_secs_f32());
}
