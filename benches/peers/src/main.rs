//! Compares leads-comm with its peers. README.md says how, and what the figures mean.

use std::process::ExitCode;

use about::About;
use cli::{Options, Wish};
use results::{Measured, Results};
use series::Entry;

mod about;
mod cli;
mod crowd;
mod figure;
mod measure;
mod peers;
mod process;
mod report;
mod results;
mod roles;
mod round;
mod runner;
mod scenario;
mod series;
mod stage;
mod tally;
mod task;
mod viewers;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(Wish::Measure(options)) => measure_all(options),
        Ok(Wish::Part { task, port }) => play_part(&task, port),
        Ok(Wish::Viewers(options)) => finish(viewers::measure(&options)),
        Ok(Wish::ViewersPart { trial, port }) => finish(viewers::play(&trial, port)),
        Ok(Wish::List) => {
            for scenario in scenario::SCENARIOS {
                println!("{:<12} {}", scenario.name, scenario.title);
            }
            println!("\npeers: {}", peers::NAMES.join(", "));
            ExitCode::SUCCESS
        }
        Ok(Wish::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("leads-comm-peers: {error} (see --help)");
            ExitCode::from(2)
        }
    }
}

fn measure_all(mut options: Options) -> ExitCode {
    options.peers.retain(|peer| {
        let reason = peers::unavailable(peer);
        reason.iter().for_each(|reason| println!("{peer} is left out: {reason}"));
        reason.is_none()
    });
    let mut results = Results { about: About::here(&options), measured: Vec::new() };
    for scenario in &options.scenarios {
        let measured = Measured { scenario, entries: series::run(scenario, &options) };
        report::terminal::print(&measured);
        results.measured.push(measured);
    }
    results.about.finish();
    let written = report::write(&results, &options.out);
    report::terminal::print_targets(&report::targets::judge(&results));
    match written {
        Ok(()) => {
            println!("\nwritten to {}", options.out.display());
            let failed = results.measured.iter().flat_map(|measured| &measured.entries).any(Entry::failed);
            if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("leads-comm-peers: {}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

fn finish(outcome: Result<(), peers::Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leads-comm-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process of a run that this one is.
fn play_part(task: &str, port: Option<u16>) -> ExitCode {
    let task: task::Task = serde_json::from_str(task).expect("the runner wrote it");
    let peer = peers::find(&task.peer).expect("the runner chose it");
    measure::lift_descriptor_limit();
    let stage = stage::Stage::open(task);
    let played = match port {
        None => roles::serve(peer, &stage),
        Some(port) => roles::connect(peer, port, &stage),
    };
    if let Err(error) = played {
        stage::say(&stage::Event::Failed(error.to_string()));
    }
    ExitCode::FAILURE
}
