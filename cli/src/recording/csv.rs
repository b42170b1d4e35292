//! LEADS's own CSV: the columns, and values as LEADS writes them, which is as Python's pandas does.

use std::fmt::Write;
use std::mem;

use mcap::McapError;
use mcap::records::Metadata;
use serde_json::{Map, Number, Value};

use super::Form;
use super::channels;
use super::queue::Received;

/// The columns of every frame: milliseconds since 1970, volts, km/h, degrees, m/s², km, and what the driver does.
const COLUMNS: [&str; 23] = [
    "t",
    "voltage",
    "speed",
    "front_wheel_speed",
    "rear_wheel_speed",
    "yaw",
    "pitch",
    "roll",
    "forward_acceleration",
    "lateral_acceleration",
    "vertical_acceleration",
    "front_proximity",
    "left_proximity",
    "right_proximity",
    "rear_proximity",
    "mileage",
    "gps_valid",
    "gps_ground_speed",
    "latitude",
    "longitude",
    "steering_position",
    "throttle",
    "brake",
];

/// Those that a vehicle with four cameras has as well.
const VISUAL_COLUMNS: [&str; 8] = [
    "front_view_base64",
    "front_view_latency",
    "left_view_base64",
    "left_view_latency",
    "right_view_base64",
    "right_view_latency",
    "rear_view_base64",
    "rear_view_latency",
];

/// The frame that a message is.
pub(crate) fn frame(message: &[u8]) -> Option<Map<String, Value>> {
    // As pandas writes them.
    channels::python_object(message, |number| match number {
        "NaN" => "null",
        "-Infinity" => "\"-inf\"",
        _ => "\"inf\"",
    })
}

/// A table of frames. Its first one decides about the columns.
#[derive(Debug, Default)]
pub(crate) struct CsvWriter {
    columns: Vec<&'static str>,
    rows: u64,
    written: String,
}

impl CsvWriter {
    /// Adds a frame; whether it is one: an object with at least one of the columns.
    pub(crate) fn row(&mut self, frame: &Map<String, Value>) -> bool {
        if !COLUMNS.iter().any(|column| frame.contains_key(*column)) {
            return false;
        }
        if self.columns.is_empty() {
            self.columns = COLUMNS.into();
            if COLUMNS.iter().chain(&VISUAL_COLUMNS).all(|column| frame.contains_key(*column)) {
                self.columns.extend(VISUAL_COLUMNS);
            }
            let _ = writeln!(self.written, "index,{}", self.columns.join(","));
        }
        let _ = write!(self.written, "{}", self.rows);
        for column in &self.columns {
            self.written.push(',');
            match frame.get(*column) {
                None | Some(Value::Null) => {}
                Some(Value::Bool(is_true)) => self.written.push_str(if *is_true { "True" } else { "False" }),
                Some(Value::Number(value)) => number(&mut self.written, value),
                Some(Value::String(text)) => quoted(&mut self.written, text),
                Some(other) => quoted(&mut self.written, &other.to_string()),
            }
        }
        self.written.push('\n');
        self.rows += 1;
        true
    }

    /// What has been written since the last time, whole rows.
    pub(crate) fn take(&mut self) -> String {
        mem::take(&mut self.written)
    }
}

impl Form for CsvWriter {
    /// Messages that are no frames are passed over, as LEADS does.
    fn message(&mut self, received: &Received) -> Result<bool, McapError> {
        Ok(frame(&received.message).is_some_and(|frame| self.row(&frame)))
    }

    /// There is no place for notes.
    fn note(&mut self, _: &Metadata) -> Result<(), McapError> {
        Ok(())
    }

    fn pending(&self) -> usize {
        self.written.len()
    }

    fn flush(&mut self) -> Result<Vec<u8>, McapError> {
        Ok(self.take().into_bytes())
    }

    fn finish(&mut self) -> Result<Vec<u8>, McapError> {
        self.flush()
    }
}

/// A number as Python prints it: the shortest digits that mean it, with `.0` where it has no fraction, and an exponent
/// where it is very large or small.
fn number(out: &mut String, number: &Number) {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        let _ = write!(out, "{number}");
        return;
    };
    // Of the shortest digits there may be two, equally far from the value: this takes the even one, as Python does.
    let shortest = number.to_string();
    let mantissa = shortest.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.trim_start_matches('0').trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    // Of the first digit.
    let exponent =
        format!("{value:e}").split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0_i32);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let _ = match exponent {
        -4..0 => write!(out, "{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..16 => {
            let (whole, fraction) = digits.split_at(digits.len().min(exponent as usize + 1));
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            write!(out, "{sign}{whole:0<0$}.{fraction}", exponent as usize + 1)
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let direction = if exponent < 0 { '-' } else { '+' };
            write!(out, "{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
        }
    };
}

/// Text, in quotes where it needs some.
fn quoted(out: &mut String, text: &str) {
    if text.contains([',', '"', '\n', '\r']) {
        let _ = write!(out, "\"{}\"", text.replace('"', "\"\""));
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(frames: &[Value]) -> Vec<String> {
        let mut writer = CsvWriter::default();
        for frame in frames {
            writer.row(frame.as_object().unwrap());
        }
        writer.take().lines().map(str::to_owned).collect()
    }

    #[test]
    fn numbers_are_printed_as_python_does() {
        for (json, python) in [
            ("0", "0"),
            ("-7", "-7"),
            ("1795897762603", "1795897762603"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.0", "0.0"),
            ("12.0", "12.0"),
            ("-0.5", "-0.5"),
            ("0.1", "0.1"),
            ("-0.0", "-0.0"),
            ("100.0", "100.0"),
            ("120.25", "120.25"),
            ("-0.00025", "-0.00025"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("123456789012345680.0", "1.2345678901234568e+17"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("1e100", "1e+100"),
            ("5e-324", "5e-324"),
            ("25.008316040039062", "25.008316040039062"),
            ("43.6532261", "43.6532261"),
        ] {
            let mut out = String::new();
            number(&mut out, &serde_json::from_str(json).unwrap());
            assert_eq!(out, python);
        }
    }

    #[test]
    fn a_frame_is_a_row() {
        let rows = rows(&[
            json!({ "t": 5, "speed": 1.5, "gps_valid": true, "brake": null, "more": 1 }),
            json!({ "unrelated": 1 }),
            json!({ "voltage": "a,\"b\"", "gps_valid": false, "yaw": [1] }),
        ]);
        let header = "index,t,voltage,speed,front_wheel_speed,rear_wheel_speed,yaw,pitch,roll,forward_acceleration,\
            lateral_acceleration,vertical_acceleration,front_proximity,left_proximity,right_proximity,rear_proximity,\
            mileage,gps_valid,gps_ground_speed,latitude,longitude,steering_position,throttle,brake";
        let first = "0,5,,1.5,,,,,,,,,,,,,,True,,,,,,";
        assert_eq!(rows, [header, first, "1,,\"a,\"\"b\"\"\",,,,[1],,,,,,,,,,,False,,,,,,"]);
    }

    #[test]
    fn what_is_no_number_is_written_as_pandas_does() {
        let mut writer = CsvWriter::default();
        let message = br#"{"t": 5, "speed": NaN, "yaw": Infinity, "pitch": -Infinity, "roll": 0.5}"#;
        assert!(writer.row(&frame(message).unwrap()));
        assert_eq!(writer.take().lines().nth(1), Some("0,5,,,,,inf,-inf,0.5,,,,,,,,,,,,,,,"));
    }

    #[test]
    fn the_first_frame_decides_about_cameras() {
        let columns = COLUMNS.iter().chain(&VISUAL_COLUMNS);
        let full: Map<String, Value> = columns.map(|column| (column.to_string(), 1.into())).collect();
        let mut lacks_one = full.clone();
        lacks_one.remove("rear_view_latency");
        let header = |frame: Map<String, Value>| rows(&[frame.into()]).remove(0);
        assert!(header(full).ends_with(
            ",brake,front_view_base64,front_view_latency,left_view_base64,left_view_latency,\
            right_view_base64,right_view_latency,rear_view_base64,rear_view_latency"
        ));
        assert!(header(lacks_one).ends_with(",brake"));
    }
}
