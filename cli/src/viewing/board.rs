//! What is known of a vehicle by now, and what came lately: all that a page shows. It sends nothing itself.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fields::{Fields, Row};
use super::history::History;
use super::look::{Encoded, Look};
use super::pictures::Pictures;
use super::protocol::{self, State};
use super::rates::Rates;
use super::raw::Newest;
use crate::recording::location;
use crate::recording::queue::Received;

/// How many numbers, times and gaps samples have at most, so that they are a message of a size that can be sent.
const SAMPLES: usize = 50_000;

pub(crate) struct Board {
    /// Shared with those who are asked for it.
    history: Arc<Mutex<History>>,
    fields: Fields,
    pictures: Pictures,
    newest: Newest,
    /// Rows that are not in the history yet, since the page has not been told of them.
    rows: Vec<Arc<Row>>,
    rates: Rates<3>,
    bytes: u64,
    not_json: u64,
    thinned: u64,
    last: Option<u64>,
    skew: Option<i64>,
    changed: Changed,
}

/// What has changed since somebody took notice.
#[derive(Debug, Default)]
struct Changed {
    fields: bool,
    /// How many fields there were.
    known: usize,
    newest: bool,
    /// Names.
    pictures: BTreeSet<String>,
}

impl Board {
    pub(crate) fn new(history: Arc<Mutex<History>>) -> Self {
        Self {
            history,
            fields: Fields::default(),
            pictures: Pictures::default(),
            newest: Newest::default(),
            rows: Vec::new(),
            rates: Rates::default(),
            bytes: 0,
            not_json: 0,
            thinned: 0,
            last: None,
            skew: None,
            changed: Changed::default(),
        }
    }

    /// A message has come.
    pub(super) fn add(&mut self, received: Received) {
        let time = received.time;
        let message = received.message.as_slice();
        self.bytes += message.len() as u64;
        self.last = Some(time);
        self.newest.add(message, time);
        self.changed.newest = true;
        match Look::at(message) {
            Look::Object(object) => {
                let (pictures, changed) = (&mut self.pictures, &mut self.changed.pictures);
                let mut picture = |name: &str, data: &str| {
                    if pictures.add(name, Encoded::Base64(data), time) {
                        changed.insert(name.into());
                    }
                };
                let found = self.fields.add(&object, time, &mut picture);
                self.thinned += u64::from(found.is_thinned);
                self.changed.fields |= found.is_thinned || found.row.is_some();
                self.rows.extend(found.row.map(Arc::new));
                if let Some(made) = location::time_of(&object) {
                    self.skew = Some((time as i64).saturating_sub(made as i64));
                }
            }
            Look::Picture(name, picture) => {
                if self.pictures.add(name, picture, time) {
                    self.changed.pictures.insert(name.into());
                }
            }
            Look::Other => self.not_json += 1,
        }
        self.history.lock().add_message(Arc::new(received));
    }

    /// Somebody has moved along the time line: what came before is forgotten, but not how much it was.
    pub(super) fn reset(&mut self) {
        self.fields.reset();
        self.pictures.clear();
        self.newest.clear();
        self.rows.clear();
        (self.last, self.skew) = (None, None);
        self.changed.pictures.clear();
        (self.changed.fields, self.changed.newest) = (true, true);
        self.history.lock().clear();
    }

    /// Rows that have come since the last time are in the history from here on; `tell` is given each part of them, and
    /// its number.
    pub(super) fn pass_rows(&mut self, mut tell: impl FnMut(u64, &[Arc<Row>])) {
        let rows = mem::take(&mut self.rows);
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (part, others) = rest.split_at(protocol::fitting(rest.iter(), SAMPLES));
            // Before it is told: who comes in between finds it in the history.
            let seq = self.history.lock().add_rows(part);
            tell(seq, part);
            rest = others;
        }
    }

    /// What there is of pictures that have come since the last time.
    pub(super) fn changed_pictures(&mut self) -> Vec<Vec<u8>> {
        let names = mem::take(&mut self.changed.pictures);
        names.iter().filter_map(|name| self.pictures.message(name)).collect()
    }

    pub(super) fn pictures(&self) -> Vec<Vec<u8>> {
        self.pictures.names().filter_map(|name| self.pictures.message(name)).collect()
    }

    /// Which fields there are: if one is new, or, when `at_any_rate` asks for it, anything of them has changed.
    pub(super) fn changed_fields(&mut self, at_any_rate: bool) -> Option<String> {
        let has_new = self.changed.known != self.fields.len();
        if !(has_new || at_any_rate && self.changed.fields) {
            return None;
        }
        (self.changed.known, self.changed.fields) = (self.fields.len(), false);
        Some(self.fields())
    }

    pub(super) fn fields(&self) -> String {
        protocol::fields(&self.fields)
    }

    pub(super) fn changed_raw(&mut self) -> Option<String> {
        mem::take(&mut self.changed.newest).then(|| self.raw())
    }

    pub(super) fn raw(&self) -> String {
        protocol::raw(&self.newest)
    }

    /// Makes the rates of a state those of this moment, by the processor's clock; both in nanoseconds.
    pub(super) fn see_rates(&mut self, moment: u64) -> [f64; 3] {
        self.rates.see(moment, [self.newest.total, self.bytes, self.thinned])
    }

    /// All of a state that is known here.
    pub(super) fn state(&self, [messages_per_s, bytes_per_s, thinned]: [f64; 3]) -> State {
        State {
            last: self.last,
            messages_per_s,
            bytes_per_s,
            messages: self.newest.total,
            bytes: self.bytes,
            not_json: self.not_json,
            skew: self.skew,
            thinned,
            ..State::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::recording::channels::Origin;

    const SECOND: u64 = 1_000_000_000;
    const BEGIN: u64 = 1_795_897_762 * SECOND;

    fn board(bytes: usize) -> (Board, Arc<Mutex<History>>) {
        let history = Arc::new(Mutex::new(History::new(Duration::from_secs(300), bytes)));
        (Board::new(Arc::clone(&history)), history)
    }

    fn add(board: &mut Board, message: &[u8], time: u64) {
        let origin = Arc::new(Origin { role: "client", peer: "10.0.0.4".into(), separator: ";".into() });
        board.add(Received { time, sequence: 0, origin, message: message.into() });
    }

    /// Passes on what has come; the parts, and how many rows are in each.
    fn pass(board: &mut Board) -> Vec<(u64, usize)> {
        let mut parts = Vec::new();
        board.pass_rows(|seq, rows| parts.push((seq, rows.len())));
        parts
    }

    fn frame(index: u64) -> Vec<u8> {
        let mut object: serde_json::Map<String, Value> =
            (0..6).map(|field| (format!("field{field}"), (index as f64 * 0.1 + f64::from(field)).into())).collect();
        object.insert("t".into(), (BEGIN / 1_000_000 + index * 20).into());
        Value::from(object).to_string().into_bytes()
    }

    /// An hour of 50 frames and 15 pictures of 10 KiB a second, on a clock of its own.
    #[test]
    fn an_hour_takes_no_more_memory_than_some_minutes() {
        let limit = 16 << 20;
        let (mut board, history) = board(limit);
        let picture = [&b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01"[..], &[7; 10 << 10]].concat();
        let picture = format!("frvc:{}", STANDARD.encode(picture)).into_bytes();
        let mut peak = 0;
        for tick in 0..72_000_u64 {
            let now = BEGIN + tick * SECOND / 20;
            // 2.5 frames and 0.75 pictures every 50 ms.
            for index in tick * 5 / 2..(tick + 1) * 5 / 2 {
                add(&mut board, &frame(index), now);
            }
            if tick % 4 != 3 {
                add(&mut board, &picture, now);
            }
            pass(&mut board);
            peak = peak.max(history.lock().bytes());
        }
        assert!((limit / 2..=limit).contains(&peak), "{peak}");
        let (seq, rows) = history.lock().rows();
        assert!(seq == 72_000 && (15_000..=15_010).contains(&rows.len()), "{seq}, {}", rows.len());
        assert_eq!(board.see_rates(0), [0.0; 3]);
        let state = board.state([0.0; 3]);
        assert_eq!((state.messages, state.not_json), (180_000 + 54_000, 0));
        assert_eq!(board.pictures().iter().map(|picture| picture.len() / 1024).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn what_is_told_is_in_the_history() {
        let (mut board, history) = board(1 << 20);
        add(&mut board, br#"{"a":1}"#, BEGIN);
        assert_eq!(history.lock().rows().1.len(), 0);
        board.pass_rows(|seq, rows| {
            assert_eq!((seq, rows.len()), (1, 1));
            assert_eq!(history.lock().rows().0, 1);
        });
        assert_eq!(pass(&mut board), []);
        // A part has not more than a message can carry.
        let wide: serde_json::Map<String, Value> = (0..500).map(|field| (field.to_string(), 1.into())).collect();
        let wide = Value::from(wide).to_string();
        (0..201).for_each(|index| add(&mut board, wide.as_bytes(), BEGIN + SECOND + index * SECOND / 50));
        assert_eq!(pass(&mut board), [(2, 100), (3, 100), (4, 1)]);
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let (mut board, _) = board(1 << 20);
        assert_eq!((board.changed_fields(true), board.changed_raw(), board.changed_pictures()), (None, None, vec![]));
        add(&mut board, br#"{"a":1}"#, BEGIN);
        assert!(board.changed_fields(false).is_some() && board.changed_raw().is_some());
        add(&mut board, br#"{"a":2}"#, BEGIN);
        assert_eq!(board.changed_fields(false), None);
        assert!(board.changed_fields(true).unwrap().contains("\"last\":2,"));
        assert_eq!(board.changed_fields(true), None);
        let data = STANDARD.encode(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01");
        add(&mut board, json!({ "front_view_base64": data, "rear_view_base64": "" }).to_string().as_bytes(), BEGIN);
        assert_eq!(board.changed_fields(true), None);
        assert_eq!((board.changed_pictures().len(), board.changed_pictures().len(), board.pictures().len()), (1, 0, 1));
    }

    #[test]
    fn hostile_messages_are_raw_and_nothing_else() {
        let (mut board, _) = board(1 << 20);
        let deep = "[".repeat(100_000);
        let messages: [&[u8]; 7] = [
            b"<script>alert(1)</script>",
            &[b'x'; 1 << 20],
            b"\xff\xfe{\"a\":1}",
            deep.as_bytes(),
            br#"{"a":1e400}"#,
            br#"{"a":NaN"#,
            b"",
        ];
        messages.iter().for_each(|message| add(&mut board, message, BEGIN));
        let state = board.state([0.0; 3]);
        assert_eq!((state.messages, state.not_json), (7, 7));
        assert_eq!(pass(&mut board), []);
        let raw: Value = serde_json::from_str(&board.raw()).unwrap();
        assert_eq!(raw["messages"].as_array().unwrap().len(), 7);
        // What Python writes is an object all the same, without that number.
        add(&mut board, br#"{"speed": NaN, "voltage": 48.5}"#, BEGIN);
        assert_eq!((board.state([0.0; 3]).not_json, pass(&mut board).len()), (7, 1));
        assert!(!board.fields().contains("speed"));
    }

    /// A damaged recording may say that it is of any time.
    #[test]
    fn every_time_is_one() {
        let (mut board, _) = board(1 << 20);
        for time in [0, i64::MAX as u64 + 1, u64::MAX] {
            (0..300).for_each(|_| add(&mut board, br#"{"t":1795897762000,"a":1}"#, time));
            assert_eq!(pass(&mut board).len(), 1);
        }
    }

    #[test]
    fn the_clock_of_the_vehicle_is_compared_with_ours() {
        let (mut board, _) = board(1 << 20);
        add(&mut board, br#"{"t":1795897762000}"#, BEGIN + 1_500_000);
        assert_eq!(board.state([0.0; 3]).skew, Some(1_500_000));
        add(&mut board, br#"{"t":5}"#, BEGIN);
        assert_eq!(board.state([0.0; 3]).skew, Some(1_500_000));
    }

    #[test]
    fn after_a_jump_nothing_is_left_but_which_numbers_there_are() {
        let (mut board, history) = board(1 << 20);
        add(&mut board, br#"{"a":100,"b":2}"#, BEGIN + SECOND);
        pass(&mut board);
        board.reset();
        assert_eq!((history.lock().bytes(), board.state([0.0; 3]).last), (0, None));
        add(&mut board, br#"{"b":3}"#, BEGIN);
        assert_eq!(pass(&mut board), [(2, 1)]);
        let fields: Value = serde_json::from_str(&board.fields()).unwrap();
        assert_eq!((fields["fields"].as_array().unwrap().len(), &fields["fields"][0]["id"]), (1, &json!(1)));
    }
}
