//! What is changed of a message that is played: the time in it, and a mark that it is not live. The rest stays byte for
//! byte.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::value::RawValue;

/// What a mark is.
const MARK: &str = "\"replay\":true";

/// A number in JSON objects that is a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeMember {
    name: String,
    /// How many digits its unit is away from nanoseconds.
    digits: u32,
}

impl FromStr for TimeMember {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, unit) = text.rsplit_once(':').unwrap_or((text, ""));
        let digits = match unit {
            "s" => 9,
            "ms" => 6,
            "us" => 3,
            "ns" => 0,
            _ => return Err("is not a name and a unit, s, ms, us or ns, as in t:ms".into()),
        };
        Ok(Self { name: name.into(), digits })
    }
}

impl TimeMember {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Changes one message after the other.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub(crate) retime: Option<TimeMember>,
    pub(crate) mark: bool,
    /// How far the times in the messages are behind those at which they were recorded, as the first one has it.
    behind: Option<i128>,
}

impl Edit {
    pub(crate) fn new(retime: Option<TimeMember>, mark: bool) -> Self {
        Self { retime, mark, behind: None }
    }

    /// Whether a time was found.
    pub(crate) fn has_retimed(&self) -> bool {
        self.behind.is_some()
    }

    /// A message that was recorded at `recorded`, to be sent at `now`, both in nanoseconds since 1970. The first time is
    /// made `now`, and all others are as far from it as they are played.
    pub(crate) fn apply<'a>(&mut self, message: &'a [u8], recorded: u64, now: u64) -> Cow<'a, [u8]> {
        if self.retime.is_none() && !self.mark {
            return message.into();
        }
        let Some((text, members)) = object(message) else { return message.into() };
        let mut changed = Cow::Borrowed(message);
        if let Some((time, value)) = self.retime.as_ref().and_then(|time| Some((time, members.get(&time.name)?))) {
            if let Some(number) = Decimal::read(value.get()) {
                let behind = self.behind.or_else(|| Some(i128::from(recorded) - number.scaled(time.digits)?));
                self.behind = behind;
                let shift = behind.map(|behind| behind + i128::from(now) - i128::from(recorded));
                if let Some(number) = shift.and_then(|shift| number.plus(shift, time.digits)) {
                    // The value is a part of the text.
                    let at = value.get().as_ptr() as usize - text.as_ptr() as usize;
                    let behind = at + value.get().len();
                    changed = [&message[..at], number.as_bytes(), &message[behind..]].concat().into();
                }
            }
        }
        if self.mark {
            // Behind all others, so that it holds even if the object says otherwise before.
            let end = changed.iter().rposition(|byte| *byte == b'}').expect("an object has an end");
            let comma = if members.is_empty() { "" } else { "," };
            changed = [&changed[..end], comma.as_bytes(), MARK.as_bytes(), &changed[end..]].concat().into();
        }
        changed
    }
}

/// The members of the JSON object that a message is. Of those with the same name the last one counts.
fn object(message: &[u8]) -> Option<(&str, BTreeMap<String, &RawValue>)> {
    let text = std::str::from_utf8(message).ok()?;
    let members = text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()?;
    Some((text, members))
}

/// A number as it is written, without an exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    /// All of its digits.
    digits: i128,
    /// How many of them are behind the point.
    behind_point: u32,
}

impl Decimal {
    fn read(json: &str) -> Option<Self> {
        let (whole, fraction) = json.split_once('.').unwrap_or((json, ""));
        if json.contains(['e', 'E']) {
            let number: f64 = json.parse().ok()?;
            return (number.abs() < 1e30).then_some(Self { digits: number as i128, behind_point: 0 });
        }
        Some(Self { digits: format!("{whole}{fraction}").parse().ok()?, behind_point: fraction.len().try_into().ok()? })
    }

    /// How many nanoseconds it is.
    fn scaled(self, digits: u32) -> Option<i128> {
        match digits.checked_sub(self.behind_point) {
            Some(zeros) => self.digits.checked_mul(10_i128.checked_pow(zeros)?),
            None => Some(self.digits / 10_i128.checked_pow(self.behind_point - digits)?),
        }
    }

    /// So many nanoseconds later, with as many digits behind the point.
    fn plus(self, nanoseconds: i128, digits: u32) -> Option<String> {
        let shift = match self.behind_point.checked_sub(digits) {
            Some(zeros) => nanoseconds.checked_mul(10_i128.checked_pow(zeros)?)?,
            None => nanoseconds.div_euclid(10_i128.checked_pow(digits - self.behind_point)?),
        };
        let sum = self.digits.checked_add(shift)?;
        let sign = if sum < 0 { "-" } else { "" };
        let width = self.behind_point as usize + 1;
        let text = format!("{:0width$}", sum.unsigned_abs());
        let (whole, fraction) = text.split_at(text.len() - self.behind_point as usize);
        let point = if fraction.is_empty() { "" } else { "." };
        Some([sign, whole, point, fraction].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const RECORDED: u64 = 1_700_000_000_500_000_000;
    const NOW: u64 = 1_800_000_000_000_000_000;

    fn edited(retime: &str, message: &str) -> String {
        let mut edit = Edit::new(Some(retime.parse().unwrap()), false);
        String::from_utf8(edit.apply(message.as_bytes(), RECORDED, NOW).into_owned()).unwrap()
    }

    #[test]
    fn the_first_time_becomes_now() {
        for (unit, before, after) in [
            ("t:ms", "1700000000123", "1800000000000"),
            ("t:s", "1700000000", "1800000000"),
            ("t:s", "1700000000.123", "1800000000.000"),
            ("t:ns", "1700000000123456789", "1800000000000000000"),
            ("t:us", "1700000000123456.7", "1800000000000000.0"),
            ("t:ms", "-5", "1800000000000"),
            ("t:ms", "1.7e12", "1800000000000"),
        ] {
            let message = |number: &str| format!("{{ \"a\" : [1,{{\"t\":2}}],\n\"t\" :{number} , \"b\": 1.50 }}\n");
            assert_eq!(edited(unit, &message(before)), message(after), "{unit}");
        }
    }

    #[test]
    fn later_times_keep_their_distance() {
        let mut edit = Edit::new(Some("t:ms".parse().unwrap()), false);
        let mut next = |t: u64, recorded, now| {
            let message = format!("{{\"t\":{t}}}");
            let edited = edit.apply(message.as_bytes(), recorded, now).into_owned();
            serde_json::from_slice::<Value>(&edited).unwrap()["t"].as_u64().unwrap()
        };
        assert_eq!(next(1_000, 5_000_000_000, 90_000_000_000), 90_000);
        // Recorded a second later, played a second later; the vehicle's clock says 1.002 s.
        assert_eq!(next(2_002, 6_000_000_000, 91_000_000_000), 91_002);
        // Played after a pause.
        assert_eq!(next(3_000, 7_000_000_000, 99_000_000_000), 99_000);
    }

    #[test]
    fn what_has_no_such_number_stays() {
        for message in
            ["{\"t\":\"5\"}", "{\"u\":5}", "{\"t\":null}", "[5]", "time_lap", "", "{\"t\":5", "{\"t\":1e300}"]
        {
            assert_eq!(edited("t:ms", message), message);
        }
        let huge = format!("{{\"t\":{}}}", "9".repeat(60));
        assert_eq!(edited("t:ns", &huge), huge);
        assert!("t".parse::<TimeMember>().is_err() && "t:h".parse::<TimeMember>().is_err());
    }

    #[test]
    fn a_mark_is_the_last_member() {
        let mut edit = Edit::new(None, true);
        for (before, after) in [
            ("{}", "{\"replay\":true}"),
            (" { \"a\" : 1 } \n", " { \"a\" : 1 ,\"replay\":true} \n"),
            ("{\"replay\":false}", "{\"replay\":false,\"replay\":true}"),
            ("{\"a\":\"}\"}", "{\"a\":\"}\",\"replay\":true}"),
            ("time_lap", "time_lap"),
            ("[]", "[]"),
        ] {
            assert_eq!(edit.apply(before.as_bytes(), 0, 0), after.as_bytes());
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[a-u\"}]{0,3}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_stays_the_same_but_for_its_time(
            members in proptest::collection::vec(("[a-s\"}]{0,3}", json()), 0..5),
            time in 0_u64..4_000_000_000_000,
            is_pretty in any::<bool>(),
        ) {
            let mut before: serde_json::Map<_, _> = members.into_iter().collect();
            before.insert("t".into(), time.into());
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&before).unwrap(),
                false => serde_json::to_string(&before).unwrap(),
            };
            let mut edit = Edit::new(Some("t:ms".parse().unwrap()), true);
            let edited = edit.apply(text.as_bytes(), RECORDED, NOW).into_owned();
            prop_assert!(edit.has_retimed());
            let mut after: serde_json::Map<_, _> = serde_json::from_slice(&edited).unwrap();
            prop_assert_eq!(after.insert("t".into(), time.into()), Some((NOW / 1_000_000).into()));
            prop_assert_eq!(after.remove("replay"), Some(true.into()));
            // As a reader sees what was written.
            let before: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(after, before);
        }
    }
}
