//! The conformance peer: a scripted raw socket that talks to the library, a server in one run and a client in the next,
//! and checks every byte that comes back and everything that the callback is told.
//!
//! `docs/conformance.md` says what the groups show and how to use this for another implementation. [`case`] is the
//! language of the scripts; the cases are in [`groups`].
//!
//! ```text
//! cargo test --test conformance                                    all cases, in both roles
//! cargo test --test conformance -- 4.2 empty                       those whose id or name holds one of these
//! cargo test --test conformance -- --list                          their ids, names and roles
//! cargo test --test conformance -- --verbose                       with a line for each case
//! cargo test --test conformance -- --repeat 20                     each so many times
//! cargo test --test conformance -- --over tcp                      over TCP, and not over Unix sockets as well
//! cargo test --test conformance -- --against 127.0.0.1:16900       with another server, one that echoes
//! ```

mod against;
mod arguments;
mod case;
mod driver;
mod end;
mod group;
mod groups;
mod ours;
mod over;
mod peer;
mod report;
mod show;
mod tap;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use arguments::Arguments;
use case::{Case, Role};
use group::Group;
use report::Report;

/// How long anything may take before a case gives up, once it is set.
static PATIENCE: OnceLock<Duration> = OnceLock::new();

fn patience() -> Duration {
    *PATIENCE.get().expect("main sets it before any case runs")
}

/// One case in one role.
type Run<'a> = (&'a Case, Role);

/// In bytes: that of the first thread of Linux. Windows gives it less than it takes to make all the scripts.
const STACK: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let main = thread::Builder::new().name("main".to_owned()).stack_size(STACK).spawn(run_all);
    main.expect("there is memory").join().unwrap_or(ExitCode::FAILURE)
}

fn run_all() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("conformance: {error}");
            return ExitCode::FAILURE;
        }
    };
    let groups = groups::all();
    if arguments.list {
        report::list(&wanted(&groups, &arguments).collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    PATIENCE.get_or_init(|| arguments.patience);
    leads_comm_testing::expect_panics_in_callbacks();
    let mut has_failures = false;
    for over in &arguments.over {
        over.choose();
        let runs: Vec<Run<'_>> = wanted(&groups, &arguments).filter(|(case, _)| over.suits(case)).collect();
        let report = run(&groups, &runs, &arguments);
        if arguments.against.is_none() {
            println!("\nover {over}");
        }
        print!("{report}");
        has_failures |= report.has_failures();
    }
    if has_failures { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is to be run, whatever it is run over.
fn wanted<'a>(groups: &'a [Group], arguments: &'a Arguments) -> impl Iterator<Item = Run<'a>> {
    let cases = groups.iter().flat_map(Group::cases).filter(|case| arguments.wants(case));
    let runs = cases.flat_map(|case| case.roles.iter().map(move |role| (case, *role)));
    runs.filter(|(case, role)| arguments.against.is_none() || *role == Role::Server && against::suits(case))
}

/// Runs everything, several at a time.
fn run<'a>(groups: &'a [Group], runs: &[Run<'a>], arguments: &Arguments) -> Report<'a> {
    let next = AtomicUsize::new(0);
    let (outcomes, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            let (next, outcomes) = (&next, outcomes.clone());
            scope.spawn(move || {
                while let Some((case, role)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let once = || match &arguments.against {
                        None => driver::run(case, *role),
                        Some(address) => against::run(case, address),
                    };
                    let outcome = (0..arguments.repeat).try_for_each(|_| once());
                    let _ = outcomes.send(((*case, *role), outcome));
                }
            });
        }
    });
    drop(outcomes);
    Report::new(groups, results.into_iter().collect(), arguments.verbose)
}
