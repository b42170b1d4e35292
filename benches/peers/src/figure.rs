//! Figures: what is computed of a round, and how it is written.

use crate::round::Round;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many a second.
    Rate,
    /// Bytes a second.
    Megabytes,
    /// Seconds, of a whole run.
    Seconds,
    /// Nanoseconds.
    Time,
    /// Bytes.
    Memory,
    Number,
}

pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    /// None where what it takes was not measured.
    pub(crate) of: fn(&Round) -> Option<f64>,
}

impl Figure {
    pub(crate) const fn new(key: &'static str, label: &'static str, unit: Unit, of: fn(&Round) -> Option<f64>) -> Self {
        Self { key, label, unit, of }
    }
}

impl Figure {
    /// Its label, with the unit.
    pub(crate) fn caption(&self) -> String {
        format!("{} {}", self.label, self.unit.name()).trim_end().to_owned()
    }
}

impl Unit {
    /// What it is called behind a figure's label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Rate => "per s",
            Unit::Megabytes => "MB/s",
            Unit::Seconds => "s",
            Unit::Time => "µs",
            Unit::Memory => "KiB",
            Unit::Number => "",
        }
    }

    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Unit::Rate | Unit::Megabytes)
    }

    /// Three significant digits.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Unit::Rate if value >= 1e6 => format!("{}M", three_digits(value / 1e6)),
            Unit::Rate if value >= 1e3 => format!("{}k", three_digits(value / 1e3)),
            Unit::Megabytes => three_digits(value / 1e6),
            Unit::Time => three_digits(value / 1e3),
            Unit::Memory => three_digits(value / 1024.0),
            Unit::Rate | Unit::Seconds | Unit::Number => three_digits(value),
        }
    }
}

pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 || value == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
