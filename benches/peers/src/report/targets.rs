//! What the library is to reach, and whether it does.

use crate::figure::{Unit, three_digits};
use crate::measure::median;
use crate::peers::ROOM;
use crate::results::{OURS, Other, Results};
use crate::scenario;
use crate::task::QUEUE_LIMIT;

struct Target {
    what: &'static str,
    scenario: &'static str,
    figure: &'static str,
    measure: Measure,
    bound: Bound,
}

enum Measure {
    Against(Other),
    /// Against another figure of ours.
    Own(&'static str, &'static str),
    /// The figure itself.
    Itself,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const fn target(
    what: &'static str,
    (scenario, figure): (&'static str, &'static str),
    measure: Measure,
    bound: Bound,
) -> Target {
    Target { what, scenario, figure, measure, bound }
}

use Bound::{AtLeast, AtMost};
use Measure::{Against, Itself, Own};
use Other::{Best, Limit, Tuned};

const TARGETS: &[Target] = &[
    target("S1 / best peer", ("s1", "rate"), Against(Best), AtLeast(1.5)),
    target("S1 / tokio-tuned", ("s1", "rate"), Against(Tuned), AtLeast(1.5)),
    target("S1 / raw", ("s1", "rate"), Against(Limit), AtLeast(0.25)),
    target("4 senders / S1 of ours", ("senders", "rate"), Own("s1", "rate"), AtLeast(1.0)),
    target("S2 16 KiB / raw", ("s2-16k", "rate"), Against(Limit), AtLeast(0.97)),
    target("S2 16 KiB / best peer", ("s2-16k", "rate"), Against(Best), AtLeast(1.0)),
    target("S2 1 MiB / raw", ("s2-1m", "rate"), Against(Limit), AtLeast(0.95)),
    target("S2 1 MiB / best peer", ("s2-1m", "rate"), Against(Best), AtLeast(1.0)),
    target("S3 p50 / raw", ("s3", "p50"), Against(Limit), AtMost(1.03)),
    target("S3 p99 / raw", ("s3", "p99"), Against(Limit), AtMost(1.08)),
    target("S3 on one core, p50 / raw", ("s3-one-core", "p50"), Against(Limit), AtMost(1.05)),
    target("S3 on one core, p99 / raw", ("s3-one-core", "p99"), Against(Limit), AtMost(1.1)),
    target("S4 / raw", ("s4", "rate"), Against(Limit), AtLeast(0.98)),
    target("S5 / best peer", ("s5", "rate"), Against(Best), AtLeast(2.0)),
    target("S5 / tokio-tuned", ("s5", "rate"), Against(Tuned), AtLeast(2.0)),
    target("S5 / raw", ("s5", "rate"), Against(Limit), AtLeast(0.7)),
    target("1,000 viewers / tokio-tuned", ("viewers-1000", "rate"), Against(Tuned), AtLeast(2.0)),
    target("4,000 viewers / tokio-tuned", ("viewers-4000", "rate"), Against(Tuned), AtLeast(2.0)),
    target("CPU at 4,000 / at 64 viewers", ("viewers-4000", "cpu"), Own("viewers-64", "cpu"), AtMost(1.2)),
    target("the last of 1,000, p99 / raw", ("last-of-1000", "p99"), Against(Limit), AtMost(1.2)),
    target("longest call for 1,000 / raw", ("last-of-1000", "call"), Against(Limit), AtMost(1.0)),
    target("1,000 clients / tokio-tuned", ("clients-1000", "rate"), Against(Tuned), AtLeast(1.0)),
    target("S6 time / without a stalled one", ("s6", "ratio"), Itself, AtMost(1.1)),
    target("S6 memory held", ("s6", "held"), Itself, AtMost(1.2 * ROOM as f64)),
    target("S6 full: time / without a stalled one", ("s6-full", "ratio"), Itself, AtMost(1.1)),
    target("S6 full: memory held", ("s6-full", "held"), Itself, AtMost(1.2 * QUEUE_LIMIT as f64)),
    target("S7 time / raw", ("s7", "time"), Against(Limit), AtMost(4.0)),
    target("S7 memory per connection", ("s7", "memory"), Itself, AtMost(14.0 * 1024.0)),
    target("S8 / best peer", ("s1", "cpu"), Against(Best), AtMost(1.0)),
    target("S8 / tokio-tuned", ("s1", "cpu"), Against(Tuned), AtMost(0.85)),
];

pub(crate) struct Judgement {
    pub(crate) what: &'static str,
    pub(crate) wanted: String,
    pub(crate) found: String,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Miss,
    /// Not measured.
    Unknown,
}

/// Every target, judged by medians of ratios within rounds.
pub(crate) fn judge(results: &Results) -> Vec<Judgement> {
    TARGETS.iter().map(|target| target.judge(results)).collect()
}

impl Target {
    fn unit(&self) -> Unit {
        let figures = scenario::named(self.scenario).into_iter().flat_map(|scenario| scenario.figures);
        figures.into_iter().find(|figure| figure.key == self.figure).map_or(Unit::Number, |figure| figure.unit)
    }

    fn judge(&self, results: &Results) -> Judgement {
        let measured = results.find(self.scenario);
        let figure = measured.and_then(|measured| measured.figure(self.figure));
        // What is compared has no unit.
        let unit = if let Itself = self.measure { self.unit() } else { Unit::Number };
        let write = |value: f64| format!("{} {}", unit.write(value), unit.name()).trim_end().to_owned();
        let (sign, bound) = match self.bound {
            AtLeast(bound) => ("≥", bound),
            AtMost(bound) => ("≤", bound),
        };
        let value = measured.zip(figure).and_then(|(measured, (index, _))| match self.measure {
            Against(other) => measured.ratio(index, other),
            Own(scenario, key) => results.own_ratio((self.scenario, self.figure), (scenario, key)),
            Itself => median(&measured.entry(OURS)?.values(index)),
        });
        let failed = value.is_none() && measured.and_then(|measured| measured.entry(OURS)?.trouble()).is_some();
        let verdict = match (value, self.bound) {
            _ if failed => Verdict::Miss,
            (None, _) => Verdict::Unknown,
            (Some(value), AtLeast(bound)) if value >= bound => Verdict::Pass,
            (Some(value), AtMost(bound)) if value <= bound => Verdict::Pass,
            _ => Verdict::Miss,
        };
        let found = match value {
            _ if failed => "failed".to_owned(),
            None => "not measured".to_owned(),
            Some(value) if unit == Unit::Number => three_digits(value),
            Some(value) => write(value),
        };
        Judgement { what: self.what, wanted: format!("{sign} {}", write(bound)), found, verdict }
    }
}
