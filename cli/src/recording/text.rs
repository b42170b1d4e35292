//! Amounts, for people.

/// `812 B`, `1.5 MB`: in powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    // What would be rounded to 1000.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// `0:05`, `12:34`, `1:02:03`.
pub(crate) fn duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1000, 999_949, 999_950, 1_500_000, 16_777_216, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 MB", "16.8 MB", "18446744.1 TB"]);
        let times = [0, 5, 754, 3723, 360_000].map(|seconds| duration(seconds * 1_000_000_000));
        assert_eq!(times, ["0:00", "0:05", "12:34", "1:02:03", "100:00:00"]);
    }
}
