//! `results.json`: every round.

use serde_json::{Map, Value, json};

use crate::measure::median;
use crate::results::{Measured, Results};
use crate::runner::Trouble;
use crate::series::Entry;

pub(crate) fn render(results: &Results) -> String {
    let scenarios: Map<String, Value> =
        results.measured.iter().map(|measured| (measured.scenario.name.to_owned(), scenario(measured))).collect();
    let value = json!({ "about": results.about, "units": UNITS, "scenarios": scenarios });
    format!("{value:#}\n")
}

const UNITS: &str = "rates per second, throughput in bytes per second, memory in bytes, latencies and calls in \
                     nanoseconds, all else in seconds or without a unit";

fn scenario(measured: &Measured) -> Value {
    let peers: Map<String, Value> =
        measured.entries.iter().map(|entry| (entry.peer.clone(), peer(measured, entry))).collect();
    json!({ "title": measured.scenario.title, "peers": peers })
}

fn peer(measured: &Measured, entry: &Entry) -> Value {
    let mut figures = Map::new();
    for (index, figure) in measured.scenario.figures.iter().enumerate() {
        let values = entry.values(index);
        if let Some(median) = median(&values) {
            let min = values.iter().copied().reduce(f64::min);
            let max = values.iter().copied().reduce(f64::max);
            figures.insert(
                figure.key.to_owned(),
                json!({ "label": figure.label, "median": median, "min": min, "max": max, "rounds": values }),
            );
        }
    }
    let outcome = match entry.trouble() {
        None if entry.unable.is_some() => "left out",
        None => "complete",
        Some(Trouble::Never(_)) => "never",
        Some(Trouble::Failed(_)) => "failed",
    };
    json!({ "outcome": outcome, "note": entry.note(), "messages_per_connection": entry.count, "figures": figures })
}
