//! JSON Schemas of the channels, as far as viewers need them: which fields there are, and of which types.
//!
//! Lichtblick refuses a channel whose schema it cannot read: with a type that is missing, `null` or a union, or with
//! arrays of arrays, or whose elements are not of one type. Fields of that kind are left out; that a message has more
//! fields than its schema does no harm.

use serde_json::{Map, Value, json};

/// The name of the type of JSON objects.
pub(crate) const FRAME: &str = "leads.Frame";

/// A name, and a JSON Schema.
pub(crate) type Schema = (&'static str, String);

/// The type of LEADS's frames, and of other JSON objects, by one of them.
pub(crate) fn frame(object: &Map<String, Value>) -> Schema {
    let mut schema = of_object(object);
    schema.insert("title".into(), FRAME.into());
    (FRAME, Value::Object(schema).to_string())
}

/// The type of text that is no JSON object.
pub(crate) fn text() -> Schema {
    ("leads.Text", of_fields("leads.Text", json!({ "text": { "type": "string" } })))
}

/// The type of what is no text.
pub(crate) fn bytes() -> Schema {
    ("leads.Bytes", of_fields("leads.Bytes", json!({ "data": { "type": "string", "contentEncoding": "base64" } })))
}

/// The type of pictures that Foxglove has published.
pub(crate) fn picture() -> Schema {
    let fields = json!({
        "timestamp": time(),
        "frame_id": { "type": "string" },
        "data": { "type": "string", "contentEncoding": "base64" },
        "format": { "type": "string" },
    });
    ("foxglove.CompressedImage", of_fields("foxglove.CompressedImage", fields))
}

/// The type of positions that Foxglove has published.
pub(crate) fn location() -> Schema {
    let kinds = ["UNKNOWN", "APPROXIMATED", "DIAGONAL_KNOWN", "KNOWN"];
    let kinds: Vec<_> = (0..).zip(kinds).map(|(number, title)| json!({ "title": title, "const": number })).collect();
    let fields = json!({
        "timestamp": time(),
        "frame_id": { "type": "string" },
        "latitude": { "type": "number" },
        "longitude": { "type": "number" },
        "altitude": { "type": "number" },
        "position_covariance": { "type": "array", "items": { "type": "number" }, "minItems": 9, "maxItems": 9 },
        "position_covariance_type": { "title": "foxglove.PositionCovarianceType", "oneOf": kinds },
    });
    ("foxglove.LocationFix", of_fields("foxglove.LocationFix", fields))
}

fn time() -> Value {
    let fields = json!({
        "sec": { "type": "integer", "minimum": 0 },
        "nsec": { "type": "integer", "minimum": 0, "maximum": 999_999_999 },
    });
    json!({ "type": "object", "title": "time", "properties": fields })
}

/// An object that has all of these.
fn of_fields(title: &str, fields: Value) -> String {
    let required: Vec<_> = fields.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({ "title": title, "type": "object", "properties": fields, "required": required }).to_string()
}

fn of_object(object: &Map<String, Value>) -> Map<String, Value> {
    let fields = object.iter().filter_map(|(name, value)| Some((name.clone(), of_value(value)?.into())));
    let fields: Map<String, Value> = fields.collect();
    Map::from_iter([("type".into(), "object".into()), ("properties".into(), fields.into())])
}

fn of_value(value: &Value) -> Option<Map<String, Value>> {
    let name = match value {
        Value::Null => return None,
        Value::Bool(_) => "boolean",
        // Python's 0 is 0.5 a moment later.
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Object(object) => return Some(of_object(object)),
        Value::Array(elements) => return of_array(elements),
    };
    Some(Map::from_iter([("type".into(), name.into())]))
}

/// Those of objects are of one type when each field is: the fields of the first of them that are of no other type in
/// the rest.
fn of_array(elements: &[Value]) -> Option<Map<String, Value>> {
    let (first, rest) = elements.split_first().filter(|(first, _)| !first.is_array())?;
    let mut items = of_value(first)?;
    for element in rest {
        let other = of_value(element)?;
        if other["type"] != items["type"] {
            return None;
        }
        let others = other.get("properties").and_then(Value::as_object);
        if let (Some(fields), Some(others)) = (items.get_mut("properties").and_then(Value::as_object_mut), others) {
            fields.retain(|name, field| others.get(name).is_none_or(|other| other == field));
        }
    }
    Some(Map::from_iter([("type".into(), "array".into()), ("items".into(), items.into())]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether Lichtblick reads a schema: the rules of its reader of JSON Schemas, in short.
    fn is_read(schema: &Value) -> bool {
        let is_scalar = |schema: &Value| match schema["type"].as_str() {
            Some("boolean" | "number" | "integer") => true,
            Some("string") => schema.get("contentEncoding").is_none_or(|encoding| encoding == "base64"),
            _ => false,
        };
        let is_field = |field: &Value| match (field.get("oneOf"), field["type"].as_str()) {
            (Some(choices), _) => choices.as_array().is_some_and(|all| all.iter().all(|one| one["const"].is_number())),
            (None, Some("object")) => is_read(field),
            (None, Some("array")) => match field["items"]["type"].as_str() {
                Some("object") => is_read(&field["items"]),
                _ => is_scalar(&field["items"]),
            },
            (None, _) => is_scalar(field),
        };
        schema["type"] == "object"
            && schema["properties"].as_object().is_some_and(|fields| fields.values().all(is_field))
    }

    fn of(object: &Value) -> Value {
        let schema: Value = serde_json::from_str(&frame(object.as_object().unwrap()).1).unwrap();
        assert!(is_read(&schema), "{object}: {schema}");
        schema
    }

    fn properties(object: &Value) -> Value {
        of(object)["properties"].clone()
    }

    #[test]
    fn a_frame_of_leads_has_all_its_fields() {
        let schema = of(&json!({ "t": 1_795_897_762_603_u64, "speed": 0, "gps_valid": false, "m1_mode": "D" }));
        let fields = json!({
            "t": { "type": "number" },
            "speed": { "type": "number" },
            "gps_valid": { "type": "boolean" },
            "m1_mode": { "type": "string" },
        });
        assert_eq!(schema, json!({ "title": "leads.Frame", "type": "object", "properties": fields }));
        assert_eq!(properties(&json!({})), json!({}));
    }

    #[test]
    fn what_viewers_do_not_read_is_left_out() {
        for value in [
            json!(null),
            json!([]),
            json!([null]),
            json!([[1]]),
            json!([1, "a"]),
            json!([1, null]),
            json!([1, [1]]),
            json!([{}, 1]),
            json!([{}, []]),
            json!([{}, [1]]),
        ] {
            assert_eq!(properties(&json!({ "left out": value, "kept": 1 })), json!({ "kept": { "type": "number" } }));
            let nested = properties(&json!({ "of": { "left out": value } }));
            assert_eq!(nested, json!({ "of": { "type": "object", "properties": {} } }));
            let elements = properties(&json!({ "all": [{ "left out": value }] }));
            assert_eq!(
                elements,
                json!({ "all": { "type": "array", "items": { "type": "object", "properties": {} } } })
            );
        }
    }

    #[test]
    fn objects_in_an_array_have_the_fields_that_are_alike() {
        let elements = [json!({ "a": 1, "b": 1, "c": [1] }), json!({ "a": "1", "c": [2], "d": 1 }), json!({ "a": 1 })];
        let fields = json!({ "b": { "type": "number" }, "c": { "type": "array", "items": { "type": "number" } } });
        let items = json!({ "type": "object", "properties": fields });
        assert_eq!(properties(&json!({ "all": elements })), json!({ "all": { "type": "array", "items": items } }));
    }

    #[test]
    fn the_other_types_are_read() {
        for (name, schema) in [text(), bytes(), picture(), location()] {
            let schema: Value = serde_json::from_str(&schema).unwrap();
            assert!(is_read(&schema), "{schema}");
            assert_eq!(schema["title"], name);
        }
    }

    #[test]
    fn the_rules_refuse() {
        for field in [
            "{}",
            r#"{"type":"null"}"#,
            r#"{"type":["number","null"]}"#,
            r#"{"type":"array","items":{"type":"array"}}"#,
        ] {
            let field: Value = serde_json::from_str(field).unwrap();
            assert!(!is_read(&json!({ "type": "object", "properties": { "a": field } })), "{field}");
        }
        assert!(!is_read(&json!({ "properties": {} })));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_has_a_schema_that_is_read(value in any_value()) {
            of(&json!({ "a": value }));
        }
    }
}
