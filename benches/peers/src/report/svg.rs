//! Bar charts, one file for each group of scenarios. Plain SVG that reads well on light and on dark backgrounds.

use std::fmt::Write;

use crate::measure::median;
use crate::results::{LIMIT, Measured, OURS, Results};

pub(crate) struct Chart {
    pub(crate) file: String,
    pub(crate) svg: String,
}

/// A file, its title, and which figures of which scenarios are drawn.
type Group = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const GROUPS: &[Group] = &[
    ("small-messages", "Small messages", &[("s1", "rate"), ("senders", "rate"), ("duplex", "rate"), ("s1", "cpu")]),
    ("large-messages", "Large messages", &[("s2-16k", "rate"), ("s2-1m", "rate"), ("mixed", "rate")]),
    ("round-trips", "Round trips and latency", &[("s3", "rate"), ("s3", "p99"), ("s4", "rate"), ("json", "p50")]),
    ("broadcast", "Broadcast", &[("s5", "rate"), ("frames", "rate"), ("s6", "time"), ("s6-full", "time")]),
    (
        "isolation",
        "Those that read, beside those that do not",
        &[("isolation", "p99_0"), ("isolation", "p99_1"), ("isolation", "p99_15")],
    ),
    ("connections", "Connections", &[("s7", "time"), ("s7", "memory"), ("churn", "rate")]),
];

const WIDTH: f64 = 760.0;
const NAMES: f64 = 150.0;
const BARS: f64 = 480.0;
/// The two lines above a panel's bars.
const HEAD: f64 = 48.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

/// Colours that stand out against white as well as against black.
const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #6b7280 } \
    .title { font-size: 18px; font-weight: 600 } .panel { font-size: 14px; font-weight: 600 } \
    .name, .value, .subtitle { font-size: 12px } .ours-text { fill: #e8590c; font-weight: 700 } \
    .ours { fill: #e8590c } .peer { fill: #8c96a8 } .limit { fill: none; stroke: #8c96a8; stroke-dasharray: 3 2 } \
    .range { stroke: #4b5563; stroke-width: 1.5 } .cut { stroke: #ffffff; stroke-width: 4 } \
    @media (prefers-color-scheme: dark) { text { fill: #aab2c0 } .ours-text { fill: #ff8a4c } .ours { fill: #ff8a4c } \
    .range { stroke: #e5e7eb } }";

/// The charts of all groups of which anything was measured.
pub(crate) fn charts(results: &Results) -> Vec<Chart> {
    let chart = |(file, title, figures): &Group| {
        let figures = figures.iter().filter_map(|(scenario, key)| Some((results.find(scenario)?, *key)));
        let panels: Vec<_> = figures.filter_map(|(measured, key)| Panel::new(measured, key)).collect();
        (!panels.is_empty()).then(|| Chart { file: format!("{file}.svg"), svg: draw(title, &panels) })
    };
    GROUPS.iter().filter_map(chart).collect()
}

struct Panel {
    title: String,
    subtitle: &'static str,
    rows: Vec<Row>,
    most: f64,
}

struct Row {
    peer: String,
    /// The median and what lies around it; none where there is no figure.
    values: Option<(f64, f64, f64)>,
    label: String,
}

impl Panel {
    fn new(measured: &Measured, key: &str) -> Option<Self> {
        let (index, figure) = measured.figure(key)?;
        let rows: Vec<Row> = measured
            .entries
            .iter()
            .map(|entry| {
                let values = entry.values(index);
                let least = values.iter().copied().reduce(f64::min);
                let most = values.iter().copied().reduce(f64::max);
                Row {
                    peer: entry.peer.clone(),
                    values: median(&values).zip(least.zip(most)).map(|(median, (least, most))| (median, least, most)),
                    label: entry.cell(index, figure.unit),
                }
            })
            .collect();
        // One odd round must not squeeze all bars, nor one odd peer where less is better.
        let medians: Vec<f64> = rows.iter().filter_map(|row| Some(row.values?.0)).collect();
        let most = medians.iter().copied().reduce(f64::max)?;
        let usual = if figure.unit.more_is_better() { None } else { median(&medians) };
        let most = usual.map_or(most, |usual| most.min(5.0 * usual));
        let better = if figure.unit.more_is_better() { "more" } else { "less" };
        let title = format!("{}: {} ({better} is better)", measured.scenario.name, figure.caption());
        Some(Self { title, subtitle: measured.scenario.title, rows, most })
    }

    fn height(&self) -> f64 {
        HEAD + ROW * self.rows.len() as f64 + 16.0
    }

    fn draw(&self, svg: &mut String, top: f64) {
        let _ = writeln!(svg, r#"<text class="panel" x="16" y="{:.0}">{}</text>"#, top + 18.0, escaped(&self.title));
        let _ =
            writeln!(svg, r#"<text class="subtitle" x="16" y="{:.0}">{}</text>"#, top + 35.0, escaped(self.subtitle));
        let at = |value: f64| if self.most > 0.0 { (value / self.most * BARS).min(BARS) } else { 0.0 };
        for (number, row) in self.rows.iter().enumerate() {
            let y = top + HEAD + ROW * number as f64;
            let (middle, baseline) = (y + BAR / 2.0, y + 11.5);
            let (bar, text) = match row.peer.as_str() {
                OURS => ("ours", "ours-text"),
                LIMIT => ("limit", ""),
                _ => ("peer", ""),
            };
            let _ = writeln!(
                svg,
                r#"<text class="name {text}" x="{:.0}" y="{baseline:.1}" text-anchor="end">{}</text>"#,
                NAMES - 8.0,
                row.peer,
            );
            let mut end = NAMES;
            if let Some((median, least, most)) = row.values {
                let length = at(median).max(1.0);
                let _ =
                    writeln!(svg, r#"<rect class="{bar}" x="{NAMES}" y="{y:.1}" width="{length:.1}" height="{BAR}"/>"#);
                let (from, to) = (NAMES + at(least), NAMES + at(most));
                let _ = writeln!(
                    svg,
                    r#"<line class="range" x1="{from:.1}" y1="{middle:.1}" x2="{to:.1}" y2="{middle:.1}"/>"#
                );
                end += length.max(at(most));
                if median > self.most {
                    let _ = writeln!(svg, r#"<path class="cut" d="M{:.1} {y:.1}l-6 {BAR}"/>"#, end - 12.0);
                }
            }
            let _ = writeln!(
                svg,
                r#"<text class="value {text}" x="{:.1}" y="{baseline:.1}">{}</text>"#,
                end + 6.0,
                row.label,
            );
        }
    }
}

fn draw(title: &str, panels: &[Panel]) -> String {
    let height = 44.0 + panels.iter().map(Panel::height).sum::<f64>();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"16\" y=\"28\">{title}</text>\n"
    );
    let mut top = 44.0;
    for panel in panels {
        panel.draw(&mut svg, top);
        top += panel.height();
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
