//! Times in words, in local time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time of day: `12:03:04.500`.
pub(crate) fn clock(nanoseconds: u64) -> String {
    format(nanoseconds, "%H:%M:%S%.3f")
}

/// The date and the time of day: `2026-11-29 12:03:04.500`.
pub(crate) fn date(nanoseconds: u64) -> String {
    format(nanoseconds, "%Y-%m-%d %H:%M:%S%.3f")
}

fn format(nanoseconds: u64, format: &str) -> String {
    // Every u64 is a time that it knows.
    let time = Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime(format).to_string()
}
