//! What the soak has found, for people.

use std::fmt::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use leads_comm_testing::vitals::Vitals;

use crate::tally::{Summary, Tally};

pub struct Report {
    rows: Vec<(&'static str, String)>,
    violations: Vec<String>,
    violation_count: u64,
}

impl Report {
    pub fn new(tally: &Tally, time: Duration, seed: u64, start: Vitals, end: Vitals) -> Self {
        let Summary { reasons, roles, violations, peak, traffic, round_trips } = tally.summary();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let per_second = |count: u64| count as f64 / time.as_secs_f64().max(0.001);
        let sent = (load(&tally.messages_out), load(&tally.bytes_out));
        let received = (load(&tally.messages_in), load(&tally.bytes_in));
        let flow = |(messages, bytes): (u64, u64)| {
            format!("{messages} ({:.0} each second), {:.1} MB", per_second(messages), bytes as f64 / 1e6)
        };
        let list = |counts: Vec<(String, u64)>| {
            let counts: Vec<_> = counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
            counts.join(", ")
        };
        let trip = |part: f64| {
            let at = ((round_trips.len() as f64 * part) as usize).min(round_trips.len().saturating_sub(1));
            round_trips.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        let mega = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
        let vitals = |name: fn(&Vitals) -> usize, show: &dyn Fn(usize) -> String| {
            format!(
                "{} at the start, {} at most, {} at the end",
                show(name(&start)),
                show(name(&peak)),
                show(name(&end))
            )
        };
        let rows = vec![
            ("duration", format!("{:.1} s", time.as_secs_f64())),
            ("seed", seed.to_string()),
            ("server received", flow(received)),
            ("server sent", flow(sent)),
            (
                "not sent",
                format!(
                    "{} messages conflated, {} expired, {} filtered, {} dropped",
                    traffic.conflated.messages,
                    traffic.expired.messages,
                    traffic.filtered.messages,
                    traffic.dropped.messages
                ),
            ),
            (
                "clients checked",
                format!("{} messages, processes of their own not counted", load(&tally.messages_checked)),
            ),
            ("connections", format!("{} opened, {} ended", load(&tally.opened), load(&tally.ended))),
            ("ends by reason", list(reasons.into_iter().collect())),
            ("ends by part", list(roles.into_iter().map(|(role, count)| (role.name(), count)).collect())),
            (
                "probe",
                format!(
                    "{} round trips, {:.2} ms in the middle, {:.2} ms at 99 %, {:.2} ms at most",
                    round_trips.len(),
                    trip(0.5),
                    trip(0.99),
                    trip(1.0)
                ),
            ),
            ("memory", vitals(|it| it.memory, &mega)),
            ("threads", vitals(|it| it.threads, &|count| count.to_string())),
            ("descriptors", vitals(|it| it.descriptors, &|count| count.to_string())),
        ];
        Self { rows, violations, violation_count: tally.violations() }
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from("# Soak\n\n| | |\n|---|---|\n");
        for (name, value) in &self.rows {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        let _ = writeln!(text, "| violations | {} |", self.violation_count);
        if !self.violations.is_empty() {
            text.push('\n');
        }
        for violation in &self.violations {
            let _ = writeln!(text, "- {violation}");
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<16} {value}")?;
        }
        write!(f, "  {:<16} {}", "violations", self.violation_count)?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n    {violation}"))
    }
}
