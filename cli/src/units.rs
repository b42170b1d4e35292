//! Numbers with a unit, as they are typed.

use std::time::Duration;

/// The longest time that can be meant: a year.
const LONGEST: f64 = 366.0 * 24.0 * 3600.0;

/// A number of bytes, at least 1: `812`, `64k`, `16M`, `1GiB`; k, M and G are powers of 1024.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("not a size such as 812, 64k or 16M".into()),
    };
    let number: Option<usize> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(factor)).filter(|size| *size > 0);
    bytes.ok_or_else(|| "not a size such as 812, 64k or 16M".into())
}

/// A time of more than nothing: `5s`, `500ms`, `2m`, `1.5h`; a bare number is seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !matches!(character, '0'..='9' | '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("not a time such as 5s, 500ms or 2m".into()),
    };
    let seconds = number.parse().ok().map(|number: f64| number * factor);
    let time = seconds.filter(|seconds| *seconds <= LONGEST).map(Duration::from_secs_f64);
    time.filter(|time| !time.is_zero()).ok_or_else(|| "not a time such as 5s, 500ms or 2m".into())
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
            [("812", 812), ("64k", 64 << 10), ("16M", 16 << 20), ("1GiB", 1 << 30), ("3kB", 3 << 10)]
        {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "k", "-1", "1.5M", "1T", "1 M", "99999999999999999999", "99999999999G", "1iM"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [("5", 5000), ("5s", 5000), ("500ms", 500), ("2m", 120_000), (".5h", 1_800_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "0", "0ms", "-1s", "1e3", "inf", "NaN", "5 s", "1d", "1.2.3", "99999999999h", "1e-20"] {
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
