//! The numbers in JSON objects: which there are, what each of them has been, and those of one message as a row.
//!
//! A number is known by its path, such as `speed`, `gps.lat` or `wheels[0].v`; true is 1, and false 0.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::look;

/// How many there may be.
pub(super) const MOST: usize = 500;

/// How many numbers of one message are looked at.
const MOST_OF_A_MESSAGE: usize = 4 * MOST;

/// How long a path may be, in bytes.
const LONGEST_PATH: usize = 200;

/// How many sets of numbers that come together are remembered.
const SHAPES: usize = 16;

/// How often a second rows are drawn.
const MOST_ROWS: f64 = 1000.0;

/// How many rows may be drawn at once: those of messages that were on their way together.
const BURST: f64 = 100.0;

/// What a number is drawn in again that was not for so long, however many others are: in nanoseconds.
const STALE: u64 = 100_000_000;

/// A number, and what it has been.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) last: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// In how many messages it was.
    pub(super) count: u64,
    /// When it last was, in nanoseconds since 1970.
    pub(super) at: u64,
    /// When a row with it was last drawn.
    drawn: Option<u64>,
    /// The last message that it was in.
    message: u64,
}

/// The numbers of one message; NaN where one that has been a number is null, or what Python writes for none.
#[derive(Debug)]
pub(super) struct Row {
    /// When it came, in nanoseconds since 1970.
    pub(super) time: u64,
    /// Which numbers these are; many rows have the same ones.
    ids: Arc<[u16]>,
    values: Box<[f64]>,
}

impl Row {
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, f64)> + '_ {
        self.ids.iter().copied().zip(self.values.iter().copied())
    }

    /// What it takes in memory, about.
    pub(super) fn memory(&self) -> usize {
        // With its counters, its place in a list, and what an allocator adds to two blocks.
        self.values.len() * size_of::<f64>() + size_of::<Self>() + 64
    }
}

/// What is found in a message.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be drawn; none where there are no numbers, or too many rows.
    pub(super) row: Option<Row>,
    /// Whether there are numbers, and they are not drawn.
    pub(super) is_thinned: bool,
}

/// All that were found.
#[derive(Debug, Default)]
pub(super) struct Fields {
    ids: HashMap<String, u16>,
    fields: Vec<Field>,
    /// How many numbers a message had beyond those that there may be.
    more: usize,
    messages: u64,
    shapes: Vec<Arc<[u16]>>,
    /// How much of the room for rows was taken, and when that was.
    taken: f64,
    since: u64,
    /// That of the message that is looked at.
    row: Vec<(u16, f64)>,
    path: String,
}

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| field.count > 0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// How many numbers a message had beyond those that there may be.
    pub(super) fn more(&self) -> usize {
        self.more
    }

    /// Looks at an object that came at `time`. Pictures in it are given to `picture`, by name.
    pub(super) fn add(&mut self, object: &Map<String, Value>, time: u64, picture: &mut dyn FnMut(&str, &str)) -> Found {
        self.messages += 1;
        self.path.clear();
        let mut looked_at = Looked { time, left: MOST_OF_A_MESSAGE, too_many: 0, picture };
        self.object(object, &mut looked_at);
        self.more = self.more.max(looked_at.too_many);
        if self.row.is_empty() {
            return Found::default();
        }
        if !self.is_drawn(time) {
            self.row.clear();
            return Found { row: None, is_thinned: true };
        }
        let values = self.row.iter().map(|(_, value)| *value).collect();
        let row = Row { time, ids: self.shape(), values };
        self.row.clear();
        Found { row: Some(row), is_thinned: false }
    }

    /// Forgets what they have been, but not which there are.
    pub(super) fn reset(&mut self) {
        self.fields.iter_mut().for_each(|field| (field.count, field.drawn) = (0, None));
        self.since = 0;
    }

    fn object(&mut self, object: &Map<String, Value>, looked_at: &mut Looked<'_>) {
        let len = self.path.len();
        for (name, value) in object {
            if let Value::String(text) = value {
                if let Some((name, data)) = look::picture(name, text) {
                    (looked_at.picture)(name, data);
                }
                continue;
            }
            if len + name.len() < LONGEST_PATH {
                if len > 0 {
                    self.path.push('.');
                }
                self.path.push_str(name);
                self.value(value, looked_at);
                self.path.truncate(len);
            }
        }
    }

    fn value(&mut self, value: &Value, looked_at: &mut Looked<'_>) {
        if looked_at.left == 0 {
            return;
        }
        match value {
            Value::Number(number) => {
                // Those beyond the largest one are no JSON to the parser.
                if let Some(number) = number.as_f64().filter(|number| number.is_finite()) {
                    self.number(number, looked_at);
                }
            }
            Value::Bool(is_true) => self.number(if *is_true { 1.0 } else { 0.0 }, looked_at),
            Value::Object(object) => self.object(object, looked_at),
            Value::Array(elements) => {
                let len = self.path.len();
                for (index, element) in elements.iter().enumerate() {
                    if looked_at.left == 0 || len > LONGEST_PATH {
                        return;
                    }
                    let _ = write!(self.path, "[{index}]");
                    self.value(element, looked_at);
                    self.path.truncate(len);
                }
            }
            Value::Null => self.none(),
            Value::String(_) => {}
        }
    }

    /// Where there has been a number, there is none.
    fn none(&mut self) {
        let Some(id) = self.ids.get(&self.path).copied() else { return };
        let field = &mut self.fields[usize::from(id)];
        if field.message != self.messages {
            field.message = self.messages;
            self.row.push((id, f64::NAN));
        }
    }

    fn number(&mut self, value: f64, looked_at: &mut Looked<'_>) {
        looked_at.left -= 1;
        let id = match self.ids.get(&self.path) {
            Some(id) => *id,
            None if self.fields.len() == MOST => {
                looked_at.too_many += 1;
                return;
            }
            None => {
                let id = self.fields.len() as u16;
                let path = self.path.clone();
                self.ids.insert(path.clone(), id);
                let (last, count) = (value, 0);
                let field = Field { path, last, min: value, max: value, count, at: 0, drawn: None, message: 0 };
                self.fields.push(field);
                id
            }
        };
        let field = &mut self.fields[usize::from(id)];
        if field.count == 0 {
            (field.min, field.max) = (value, value);
        }
        field.last = value;
        field.min = field.min.min(value);
        field.max = field.max.max(value);
        field.at = looked_at.time;
        // {"a.b":1,"a":{"b":2}} has two numbers of one path: the last one counts.
        if field.message == self.messages {
            if let Some((_, old)) = self.row.iter_mut().find(|(other, _)| *other == id) {
                field.count += u64::from(old.is_nan());
                *old = value;
            }
            return;
        }
        field.message = self.messages;
        field.count += 1;
        self.row.push((id, value));
    }

    /// Whether the row that was found is drawn: while there are not too many, and so that every number is now and then.
    fn is_drawn(&mut self, time: u64) -> bool {
        let passed = time.saturating_sub(self.since) as f64 / 1e9;
        self.taken = (self.taken - passed * MOST_ROWS).max(0.0);
        self.since = time;
        let has_room = self.taken + 1.0 <= BURST;
        let fields = &mut self.fields;
        let is_stale = |(id, _): &(u16, f64)| {
            fields[usize::from(*id)].drawn.is_none_or(|drawn| time.saturating_sub(drawn) >= STALE)
        };
        if !has_room && !self.row.iter().any(is_stale) {
            return false;
        }
        self.taken = (self.taken + 1.0).min(BURST);
        self.row.iter().for_each(|(id, _)| fields[usize::from(*id)].drawn = Some(time));
        true
    }

    /// The numbers of the row that was found, shared with others that have the same.
    fn shape(&mut self) -> Arc<[u16]> {
        let ids = self.row.iter().map(|(id, _)| *id);
        if let Some(shape) = self.shapes.iter().find(|shape| shape.iter().copied().eq(ids.clone())) {
            return Arc::clone(shape);
        }
        if self.shapes.len() == SHAPES {
            self.shapes.remove(0);
        }
        let shape: Arc<[u16]> = ids.collect();
        self.shapes.push(Arc::clone(&shape));
        shape
    }
}

/// How far a message has been looked at.
struct Looked<'a> {
    time: u64,
    left: usize,
    too_many: usize,
    picture: &'a mut dyn FnMut(&str, &str),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add(fields: &mut Fields, object: &Value, time: u64) -> Found {
        fields.add(object.as_object().unwrap(), time, &mut |name, _| panic!("{name}"))
    }

    fn row(fields: &mut Fields, object: &Value, time: u64) -> Vec<(String, f64)> {
        let row = add(fields, object, time).row.unwrap();
        row.iter().map(|(id, value)| (fields.fields[usize::from(id)].path.clone(), value)).collect()
    }

    #[test]
    fn numbers_are_found_by_their_path() {
        let object = json!({
            "speed": 12.5, "gps": { "lat": 1, "fix": true }, "wheels": [{ "v": -1 }, 7, [8]], "on": false,
            "name": "x", "none": null, "": 3,
        });
        let mut row = row(&mut Fields::default(), &object, 1);
        row.sort_by(|(a, _), (b, _)| a.cmp(b));
        let expected = [
            ("", 3.0),
            ("gps.fix", 1.0),
            ("gps.lat", 1.0),
            ("on", 0.0),
            ("speed", 12.5),
            ("wheels[0].v", -1.0),
            ("wheels[1]", 7.0),
            ("wheels[2][0]", 8.0),
        ];
        assert_eq!(row, expected.map(|(path, value)| (path.to_owned(), value)));
    }

    #[test]
    fn what_they_have_been_is_exact() {
        let mut fields = Fields::default();
        for (time, value) in [5.0, -2.0, 3.0].into_iter().enumerate() {
            add(&mut fields, &json!({ "a": value }), time as u64 + 1);
        }
        let (id, field) = fields.iter().next().unwrap();
        assert_eq!((id, field.last, field.min, field.max, field.count, field.at), (0, 3.0, -2.0, 5.0, 3, 3));
        fields.reset();
        assert_eq!(fields.iter().count(), 0);
        add(&mut fields, &json!({ "b": 0, "a": 1 }), 4);
        let found: Vec<_> = fields.iter().map(|(id, field)| (id, field.min, field.max, field.count)).collect();
        assert_eq!(found, [(0, 1.0, 1.0, 1), (1, 0.0, 0.0, 1)]);
    }

    #[test]
    fn what_is_no_number_any_more_is_a_gap_and_nothing_else() {
        let mut fields = Fields::default();
        add(&mut fields, &json!({ "a": 5, "b": 1, "wheels": [1, 2] }), 1);
        let row = row(&mut fields, &json!({ "a": null, "new": null, "wheels": [null, 3] }), 2);
        let told: Vec<_> = row.iter().map(|(path, value)| (path.as_str(), value.to_string())).collect();
        let expected = [("a", "NaN"), ("wheels[0]", "NaN"), ("wheels[1]", "3")];
        assert_eq!(told, expected.map(|(path, value)| (path, value.to_owned())));
        let (_, field) = fields.iter().next().unwrap();
        assert_eq!((field.last, field.min, field.max, field.count, field.at), (5.0, 5.0, 5.0, 1, 1));
    }

    #[test]
    fn of_two_with_the_same_path_the_last_one_counts() {
        let mut fields = Fields::default();
        assert_eq!(row(&mut fields, &json!({ "a": { "b": 1 }, "a.b": 2 }), 1), [("a.b".to_owned(), 2.0)]);
        assert_eq!(fields.iter().next().unwrap().1.count, 1);
    }

    #[test]
    fn no_object_is_too_much() {
        let mut fields = Fields::default();
        let many: Map<String, Value> = (0..600).map(|number| (format!("f{number:03}"), number.into())).collect();
        add(&mut fields, &many.into(), 1);
        assert_eq!((fields.len(), fields.more()), (MOST, 100));
        // What is known goes on.
        assert_eq!(row(&mut fields, &json!({ "f007": 1, "new": 2 }), 2), [("f007".to_owned(), 1.0)]);
        let mut fields = Fields::default();
        let long = "x".repeat(LONGEST_PATH + 1);
        let object = json!({ "all": vec![1; 1_000_000], long: 1, "nested": { "x".repeat(LONGEST_PATH): 1 } });
        let found = add(&mut fields, &object, 1);
        assert_eq!((found.row.unwrap().iter().count(), fields.more()), (MOST, MOST_OF_A_MESSAGE - MOST));
        assert!(fields.iter().all(|(_, field)| field.path.len() <= LONGEST_PATH + 10));
    }

    #[test]
    fn rows_of_the_same_numbers_share_which_they_are() {
        let mut fields = Fields::default();
        let first = add(&mut fields, &json!({ "a": 1, "b": 2 }), 1).row.unwrap();
        let other = add(&mut fields, &json!({ "a": 1 }), 2).row.unwrap();
        let third = add(&mut fields, &json!({ "a": 1, "b": 2 }), 3).row.unwrap();
        assert!(Arc::ptr_eq(&first.ids, &third.ids) && !Arc::ptr_eq(&first.ids, &other.ids));
        for number in 0..100 {
            add(&mut fields, &json!({ "a": 1, format!("c{number}"): 2 }), 4);
        }
        assert_eq!(fields.shapes.len(), SHAPES);
    }

    /// 10,000 messages a second for five seconds, and among them one a second of another kind.
    #[test]
    fn not_more_than_a_thousand_rows_a_second_are_drawn_and_of_every_number_some() {
        let mut fields = Fields::default();
        let (mut rows, mut others, mut thinned) = (0, 0, 0);
        for index in 0..50_000_u64 {
            let time = 1_000_000_000 + index * 100_000;
            let is_other = index % 10_000 == 5_000;
            let object = if is_other { json!({ "lat": index }) } else { json!({ "speed": index }) };
            let found = add(&mut fields, &object, time);
            rows += u64::from(found.row.is_some());
            others += u64::from(is_other && found.row.is_some());
            thinned += u64::from(found.is_thinned);
        }
        assert_eq!(others, 5);
        assert!((4_900..=5_200).contains(&rows), "{rows}");
        assert_eq!(rows + thinned, 50_000);
        assert_eq!(fields.iter().next().unwrap().1.max, 49_999.0);
    }

    #[test]
    fn what_comes_regularly_is_drawn_in_full() {
        let mut fields = Fields::default();
        let drawn =
            (0..10_000).filter(|index| add(&mut fields, &json!({ "a": 1 }), 1 + index * 1_000_000).row.is_some());
        assert_eq!(drawn.count(), 10_000);
    }
}
