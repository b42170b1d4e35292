//! What has been measured, for people and for programs.

use crate::runner::Trouble;
use crate::scenario::Scenario;
use crate::series::Entry;

/// Prints a scenario: a line for each figure, a column for each peer.
pub(crate) fn terminal(scenario: &Scenario, entries: &[Entry]) {
    println!("\n{} · {}", scenario.name, scenario.title);
    print!("  {:<30}", "");
    entries.iter().for_each(|entry| print!("{:>14}", entry.peer));
    println!();
    for (index, figure) in scenario.figures.iter().enumerate() {
        print!("  {:<30}", format!("{} {}", figure.label, figure.unit.name()));
        entries.iter().for_each(|entry| print!("{:>14}", entry.cell(index, figure.unit)));
        println!();
    }
    for (entry, trouble) in entries.iter().filter_map(|entry| Some((entry, entry.trouble()?))) {
        match trouble {
            Trouble::Never(missing) => println!("  {} was not done in time: {missing}", entry.peer),
            Trouble::Failed(what) => println!("  {} failed: {what}", entry.peer),
        }
    }
}
