//! Numbers with a unit, as they are typed.

use std::time::Duration;

/// The longest time that can be meant: a year.
const LONGEST: f64 = 366.0 * 24.0 * 3600.0;

/// A number of bytes in memory, as [`len`] takes it.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    usize::try_from(len(text)?).map_err(|_| "more than this machine has addresses for".into())
}

/// A number of bytes, at least 1: `812`, `64k`, `16M`, `1GiB`; k, M and G are powers of 1024, kB, MB and GB of 1000.
pub(crate) fn len(text: &str) -> Result<u64, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err("not a size such as 812, 64k or 16M".into()),
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(factor)).filter(|size| *size > 0);
    bytes.ok_or_else(|| "not a size such as 812, 64k or 16M".into())
}

/// A time of more than nothing: `5s`, `500ms`, `2m`, `1.5h`, `1h30m`, `1d`; a bare number is seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = if is_bare { text.parse().ok() } else { sum(text) };
    let time = seconds.filter(|seconds| (0.0..=LONGEST).contains(seconds)).map(Duration::from_secs_f64);
    time.filter(|time| !time.is_zero()).ok_or_else(|| "not a time such as 5s, 500ms, 2m or 1h30m".into())
}

/// The seconds of numbers with a unit each, the largest one first.
fn sum(mut text: &str) -> Option<f64> {
    let (mut seconds, mut last) = (0.0, f64::INFINITY);
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(char::is_alphabetic)?);
        let (unit, rest) = rest.split_at(rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len()));
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 24.0 * 3600.0,
            _ => return None,
        };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_number || factor >= last {
            return None;
        }
        seconds += number.parse::<f64>().ok()? * factor;
        (last, text) = (factor, rest);
    }
    Some(seconds)
}

/// How many of something: at least 1.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "not a number from 1 on".into())
}

/// How often a second something happens.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1e-6..=1e9).contains(rate));
    rate.ok_or_else(|| "not from 0.000001 to 1000000000 times a second".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in
            [("812", 812), ("64k", 64 << 10), ("16M", 16 << 20), ("1GiB", 1 << 30), ("3kB", 3000), ("10MB", 10_000_000)]
        {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        // Files are as large on machines whose addresses have 32 bits.
        assert_eq!(len("8GiB"), Ok(8 << 30));
        assert_eq!(size("8GiB").ok(), usize::try_from(8_u64 << 30).ok());
        for text in ["", "0", "k", "-1", "1.5M", "1T", "1 M", "99999999999999999999", "99999999999G", "1iM"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        let times =
            [("5", 5000), ("5s", 5000), ("500ms", 500), ("2m", 120_000), (".5h", 1_800_000), ("1d", 86_400_000)];
        for (text, millis) in times.into_iter().chain([("1h30m", 5_400_000), ("1m1.5s", 61_500), ("1s500ms", 1500)]) {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "0",
            "0ms",
            "-1s",
            "1e3",
            "inf",
            "NaN",
            "5 s",
            "1w",
            "1.2.3",
            "1m1h",
            "1s1s",
            "1h30",
            "+5s",
            "+5",
            "1e3s",
            "m",
            "é",
            "1é",
            "99999999999h",
            "1e-20",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_rates_are_positive() {
        assert_eq!((count("1"), count("18446744073709551615")), (Ok(1), Ok(u64::MAX)));
        assert_eq!((rate("30"), rate("0.5"), rate("1e3")), (Ok(30.0), Ok(0.5), Ok(1000.0)));
        for text in ["", "0", "-1", "x", "NaN", "inf", "0.0"] {
            assert!(count(text).is_err() && rate(text).is_err(), "{text}");
        }
    }
}
