//! Positions: what LEADS's frames say of them, for viewers with a map.

use serde_json::{Map, Value, json};

use super::channels::timestamp;

/// The record of type `foxglove.LocationFix` of where a frame was, if it knows that.
pub(crate) fn fix(frame: &Map<String, Value>, time: u64) -> Option<Vec<u8>> {
    // A receiver without a fix leaves what it last knew, or 0, in the frames.
    if frame.get("gps_valid").is_some_and(|valid| valid != true) {
        return None;
    }
    let degrees = |name, most| {
        let degrees = frame.get(name).and_then(Value::as_f64);
        degrees.filter(|degrees| degrees.abs() <= most)
    };
    let record = json!({
        "timestamp": timestamp(time),
        "frame_id": "gps",
        "latitude": degrees("latitude", 90.0)?,
        "longitude": degrees("longitude", 180.0)?,
        "altitude": 0.0,
        "position_covariance": vec![0.0; 9],
        "position_covariance_type": 0,
    });
    Some(record.to_string().into_bytes())
}

/// When a frame was made, in nanoseconds since 1970, if its `t` can be that.
pub(crate) fn time_of(frame: &Map<String, Value>) -> Option<u64> {
    /// Between 2001 and 2100, in milliseconds; a clock that was never set is not.
    const PLAUSIBLE: std::ops::Range<f64> = 1e12..4.1e12;
    let millis = frame.get("t")?;
    if let Some(millis) = millis.as_u64() {
        return PLAUSIBLE.contains(&(millis as f64)).then(|| millis * 1_000_000);
    }
    let millis = millis.as_f64().filter(|millis| PLAUSIBLE.contains(millis))?;
    // To the microsecond, which is as fine as it can be that large.
    Some((millis * 1e3).round() as u64 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(frame: &Value) -> Option<Value> {
        fix(frame.as_object().unwrap(), 1_500_000_000).map(|record| serde_json::from_slice(&record).unwrap())
    }

    #[test]
    fn a_frame_with_a_position_has_a_fix() {
        let record = of(&json!({ "gps_valid": true, "latitude": 43.5, "longitude": -79 })).unwrap();
        assert_eq!((record["latitude"].as_f64(), record["longitude"].as_f64()), (Some(43.5), Some(-79.0)));
        assert_eq!(record["timestamp"], json!({ "sec": 1, "nsec": 500_000_000 }));
        let schema: Value = serde_json::from_str(&super::super::schema::location().1).unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().all(|name| record.get(name.as_str().unwrap()).is_some()));
        // Others than LEADS know nothing of gps_valid.
        assert!(of(&json!({ "latitude": 0, "longitude": 0 })).is_some());
    }

    #[test]
    fn a_frame_without_one_has_none() {
        for frame in [
            json!({}),
            json!({ "latitude": 1 }),
            json!({ "latitude": "1", "longitude": 1 }),
            json!({ "latitude": null, "longitude": 1 }),
            json!({ "latitude": 90.1, "longitude": 1 }),
            json!({ "latitude": 1, "longitude": -181 }),
            json!({ "gps_valid": false, "latitude": 1, "longitude": 1 }),
            json!({ "gps_valid": null, "latitude": 1, "longitude": 1 }),
        ] {
            assert_eq!(of(&frame), None, "{frame}");
        }
    }

    #[test]
    fn a_time_has_to_be_plausible() {
        let time = |t: Value| time_of(json!({ "t": t }).as_object().unwrap());
        assert_eq!(time(json!(1_795_897_762_603_u64)), Some(1_795_897_762_603_000_000));
        assert_eq!(time(json!(1_795_897_762_603.5)), Some(1_795_897_762_603_500_000));
        for t in [json!(0), json!(-1), json!(1_795_897_762), json!(5e12), json!(u64::MAX), json!("x"), json!(null)] {
            assert_eq!(time(t.clone()), None, "{t}");
        }
        assert_eq!(time_of(&Map::new()), None);
    }
}
