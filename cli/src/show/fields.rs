//! Messages as CSV (RFC 4180, with `\n`): a row each, with some fields of what is JSON.

use std::collections::HashMap;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::json::in_one_line;

/// The fields that are wanted, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<String>);

/// An object's values, as they came.
type Object<'a> = HashMap<String, &'a RawValue>;

impl FromStr for Fields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err("has a field without a name".into());
        }
        Ok(Self(names))
    }
}

impl Fields {
    pub(super) fn header(&self) -> String {
        row(self.0.iter().map(|name| quoted(name.clone())).collect())
    }

    /// What the message has of them. Every message is a row, so that their number can be told; what it does not have is
    /// empty.
    pub(super) fn row(&self, payload: &[u8]) -> String {
        let object: Object<'_> = serde_json::from_slice(payload).unwrap_or_default();
        row(self.0.iter().map(|name| find(&object, name).map(cell).unwrap_or_default()).collect())
    }
}

/// A row of one empty cell would be an empty line, which readers pass over.
fn row(cells: Vec<String>) -> String {
    match cells.join(",") {
        row if row.is_empty() => "\"\"".into(),
        row => row,
    }
}

/// `a.b` is the field of this name, else the field `b` of the object `a`, or a place in an array.
fn find<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| find_in(object.get(&name[..at])?, &name[at + 1..]))
}

fn find_in<'a>(value: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    if let Ok(object) = serde_json::from_str::<Object<'a>>(value.get()) {
        return find(&object, name);
    }
    let array: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
    let (place, rest) = name.split_once('.').map_or((name, None), |(place, rest)| (place, Some(rest)));
    let value = *array.get(place.parse::<usize>().ok()?)?;
    rest.map_or(Some(value), |rest| find_in(value, rest))
}

/// Text as it is meant, numbers as they came, nothing for `null`, and of all else its JSON.
fn cell(value: &RawValue) -> String {
    let json = value.get();
    if json == "null" {
        return String::new();
    }
    quoted(serde_json::from_str(json).unwrap_or_else(|_| in_one_line(json)))
}

fn quoted(text: String) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(names: &str, payload: &str) -> String {
        names.parse::<Fields>().unwrap().row(payload.as_bytes())
    }

    #[test]
    fn cells_are_what_the_message_has() {
        let payload = r#"{"t":1700000000000,"v":48.250,"on":true,"none":null,"name":"a, \"b\"\nc","é":1}"#;
        assert_eq!(row_of("v,t,on", payload), "48.250,1700000000000,true");
        assert_eq!(row_of("none,missing,é", payload), ",,1");
        assert_eq!(row_of("name,t", payload), "\"a, \"\"b\"\"\nc\",1700000000000");
        assert_eq!(" a , b ".parse::<Fields>().unwrap().header(), "a,b");
        assert_eq!("\"".parse::<Fields>().unwrap().header(), "\"\"\"\"");
    }

    #[test]
    fn fields_in_objects_and_arrays_have_a_path() {
        let payload = r#"{"a":{"b":{"c":1},"d":[10,{"e":2}]},"a.b":3,"x.y":{"z":4}}"#;
        assert_eq!(row_of("a.b.c,a.d.0,a.d.1.e,a.b,x.y.z", payload), "1,10,2,3,4");
        assert_eq!(row_of("a.b.x,a.d.7,a.d.x,a.d.0.x,x", payload), ",,,,");
        assert_eq!(row_of("a.d,t", payload), "\"[10,{\"\"e\"\":2}]\",");
    }

    #[test]
    fn every_message_is_a_row() {
        for payload in ["", "time_lap", "[1]", "{", "7", "\u{feff}{}"] {
            assert_eq!((row_of("a,b", payload), row_of("a", payload)), (",".into(), "\"\"".into()), "{payload}");
        }
        assert_eq!("a".parse::<Fields>().unwrap().row(b"{\"a\":\"\xff\"}"), "\"\"");
    }

    #[test]
    fn names_are_not_empty() {
        for names in ["", "a,", ",a", "a,,b", " "] {
            assert!(names.parse::<Fields>().is_err(), "{names}");
        }
    }
}
