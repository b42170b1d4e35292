//! Times, sizes and rates in words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The local time of day of a time in nanoseconds since 1970: `12:03:04.500`.
pub(crate) fn clock(time: u64) -> String {
    local(time, "%H:%M:%S%.3f")
}

/// The local date and time of day: `2026-11-29 12:03:04.500`.
pub(crate) fn date(time: u64) -> String {
    local(time, "%Y-%m-%d %H:%M:%S%.3f")
}

fn local(time: u64, format: &str) -> String {
    // Every u64 is a time that it knows.
    let time = Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime(format).to_string()
}

/// So many nanoseconds: `0:04.500`, `16:39.977`, `1:00:00.000`.
pub(crate) fn span(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}:{seconds:02}.{milliseconds:03}"),
        (hours, minutes) => format!("{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}"),
    }
}

/// So many bytes: `812 B`, `6.8 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // So that nothing is shown as 1000.0.
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// How many a second, of so many in so many nanoseconds; `None` where there is no time between them.
pub(crate) fn rate(count: u64, nanoseconds: u64) -> Option<f64> {
    (nanoseconds > 0).then(|| count as f64 * 1e9 / nanoseconds as f64)
}

/// How much of a file has been read, in percent; one that grows meanwhile is read to what was its end.
pub(crate) fn percent(read: u64, size: u64) -> u64 {
    (u128::from(read) * 100 / u128::from(size.max(1))).min(100) as u64
}

/// A number and what it counts: `1 message`, `2 messages`.
pub(crate) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!(span(4_500_999_999), "0:04.500");
        assert_eq!(span(999_977_000_000), "16:39.977");
        assert_eq!(span(3_600_000_000_000), "1:00:00.000");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(6_812_345), "6.8 MB");
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!((percent(1, 3), percent(u64::MAX, 5), percent(0, 0)), (33, 100, 0));
    }
}
