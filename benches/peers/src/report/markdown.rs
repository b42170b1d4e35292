//! `results.md`.

use std::fmt::Write;

use super::targets::{self, Verdict};
use crate::figure::three_digits;
use crate::results::{Other, Results};

pub(crate) fn render(results: &Results) -> String {
    let about = &results.about;
    let mut text = String::from("# leads-comm and its peers\n\n");
    let versions: Vec<_> = about.versions.iter().map(|(peer, version)| format!("{peer} ({version})")).collect();
    let lines = [
        format!("{} UTC, commit {}, {} rounds (`{}`).", about.date, about.commit, about.rounds, about.command),
        format!("{}, {} cores, Linux {}, {}.", about.cpu, about.cores, about.kernel, about.rustc),
        format!("Load before and after: {}.", about.load.join(", ")),
        format!("Peers: {}.", versions.join(", ")),
    ];
    for line in lines {
        let _ = writeln!(text, "{line}\\");
    }
    text.push_str("Client and server are separate processes on the loopback interface. Only ratios within one run mean anything.\n");
    medians(&mut text, results);
    ratios(&mut text, results);
    judged(&mut text, results);
    text
}

fn medians(text: &mut String, results: &Results) {
    let peers: Vec<_> = about_peers(results);
    let _ = writeln!(text, "\n## Medians\n\n| scenario | figure | {} |", peers.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---:|".repeat(peers.len()));
    let mut notes = Vec::new();
    for measured in &results.measured {
        for (index, figure) in measured.scenario.figures.iter().enumerate() {
            let name = if index == 0 { measured.scenario.name } else { "" };
            let cells = peers.iter().map(|peer| {
                measured.entry(peer).map_or_else(|| "-".to_owned(), |entry| entry.cell(index, figure.unit))
            });
            let _ = writeln!(text, "| {name} | {} | {} |", figure.caption(), cells.collect::<Vec<_>>().join(" | "));
        }
        notes.extend(measured.notes().into_iter().map(|note| format!("{}, {note}", measured.scenario.name)));
    }
    text.push('\n');
    for measured in &results.measured {
        let _ = writeln!(text, "- **{}**: {}", measured.scenario.name, measured.scenario.title);
    }
    if !notes.is_empty() {
        text.push_str("\nWhere there is no figure, or fewer rounds:\n\n");
        for note in notes {
            let _ = writeln!(text, "- {note}");
        }
    }
}

fn ratios(text: &mut String, results: &Results) {
    text.push_str("\n## Ours against the limit and against the best peer\n\n");
    text.push_str("Medians of the ratios within each round. Rates: more is better; all else: less is better.\n\n");
    text.push_str("| scenario | figure | ours / raw | ours / best peer | best peer |\n|---|---|---:|---:|---|\n");
    for measured in &results.measured {
        for (index, figure) in measured.scenario.figures.iter().enumerate() {
            let ratio = |other| measured.ratio(index, other).map_or_else(|| "-".to_owned(), three_digits);
            let best = measured.best_peer(index).unwrap_or("-");
            let (limit, peer) = (ratio(Other::Limit), ratio(Other::Best));
            if limit == "-" && peer == "-" {
                continue;
            }
            let _ = writeln!(text, "| {} | {} | {limit} | {peer} | {best} |", measured.scenario.name, figure.caption());
        }
    }
}

fn judged(text: &mut String, results: &Results) {
    text.push_str("\n## Targets\n\n| target | wanted | found | |\n|---|---:|---:|---|\n");
    for judgement in targets::judge(results) {
        let verdict = match judgement.verdict {
            Verdict::Pass => "PASS",
            Verdict::Miss => "**MISS**",
            Verdict::Unknown => "",
        };
        let _ = writeln!(text, "| {} | {} | {} | {verdict} |", judgement.what, judgement.wanted, judgement.found);
    }
}

fn about_peers(results: &Results) -> Vec<&str> {
    results.about.versions.iter().map(|(peer, _)| peer.as_str()).collect()
}
