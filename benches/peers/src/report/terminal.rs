//! The table on the terminal.

use super::targets::{Judgement, Verdict};
use crate::results::Measured;

/// Prints a scenario: a line for each figure, a column for each peer.
pub(crate) fn print(measured: &Measured) {
    let Measured { scenario, entries } = measured;
    println!("\n{} · {}", scenario.name, scenario.title);
    print!("{:<34}", "");
    for entry in entries {
        print!("{:>w$}", entry.peer, w = width(&entry.peer));
    }
    println!();
    for (index, figure) in scenario.figures.iter().enumerate() {
        print!("  {:<32}", figure.caption());
        for entry in entries {
            print!("{:>w$}", entry.cell(index, figure.unit), w = width(&entry.peer));
        }
        println!();
    }
    measured.notes().iter().for_each(|note| println!("  {note}"));
}

fn width(peer: &str) -> usize {
    peer.len().max(8) + 2
}

pub(crate) fn print_targets(judgements: &[Judgement]) {
    println!("\ntargets");
    for Judgement { what, wanted, found, verdict } in judgements {
        let verdict = match verdict {
            Verdict::Pass => "PASS",
            Verdict::Miss => "MISS",
            Verdict::Unknown => continue,
        };
        println!("  {verdict:<6}{what:<46}{wanted:<12}{found}");
    }
}
