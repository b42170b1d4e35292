//! Which channels there are, the last record of each, and who has subscribed to what. Pure: it sends nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::protocol::{self, Subscription};
use crate::recording::channels::DEFAULT_NAME;
use crate::recording::record::{Channel as Kind, Record};
use crate::recording::schema;

/// The longest record that is shown, in bytes: a picture of 1920x1080 has less than 2 MB.
pub(super) const LONGEST_RECORD: usize = 4 << 20;

/// How often a channel may change its schema.
const GROWTH: Duration = Duration::from_secs(1);

/// How many fields a schema has at most on its first level, and how long it is, in bytes.
const MOST_FIELDS: usize = 500;
const LONGEST_SCHEMA: usize = 128 * 1024;

/// `C` is what stands for a client.
#[derive(Debug)]
pub(super) struct Board<C> {
    /// There is one for each topic, of which there are few.
    channels: Vec<Channel>,
    clients: HashMap<C, Client>,
    next_id: u32,
}

#[derive(Debug)]
struct Channel {
    /// No other one ever had it, also not with the same topic.
    id: u32,
    topic: String,
    kind: Kind,
    schema_name: &'static str,
    schema: Value,
    /// Since when it has this schema.
    since: Instant,
    last: Option<Arc<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Client {
    /// By channel, of which each has one subscription at most.
    subscriptions: HashMap<u32, u32>,
}

/// What follows from a record.
#[derive(Debug)]
pub(super) struct Posted<C> {
    /// What all clients have to be told first; mostly nothing, and then there are none.
    pub(super) news: Vec<Vec<u8>>,
    pub(super) clients: Vec<C>,
    /// As it is sent, but for the subscription.
    pub(super) data: Arc<Vec<u8>>,
    pub(super) subscribers: Vec<(C, u32)>,
}

/// Why a client cannot subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoSuchChannel,
    Subscribed,
    UsedId,
}

impl<C: Clone + Eq + Hash> Board<C> {
    pub(super) fn new() -> Self {
        Self { channels: Vec::new(), clients: HashMap::new(), next_id: 1 }
    }

    /// A record that came at `time`; `None` for one that is too long to be shown.
    pub(super) fn post(&mut self, record: &Record<'_>, time: u64, now: Instant) -> Option<Posted<C>> {
        if record.data.len() > LONGEST_RECORD {
            return None;
        }
        let topic = record.channel.topic(DEFAULT_NAME);
        let mut news = Vec::new();
        let at = match self.channels.iter().position(|channel| channel.topic == topic) {
            Some(at) => {
                if let Some(grown) = self.channels[at].grown(record.object, now) {
                    let id = self.replace(at, grown, now);
                    news.extend([protocol::unadvertise(&[id]), self.channels[at].advertisement()]);
                }
                at
            }
            None => {
                self.add(topic, record, now);
                news.extend(self.channels.last().map(Channel::advertisement));
                self.channels.len() - 1
            }
        };
        let channel = &mut self.channels[at];
        let data = Arc::new(protocol::data(time, &record.data));
        channel.last = Some(Arc::clone(&data));
        let id = channel.id;
        let clients = if news.is_empty() { Vec::new() } else { self.clients() };
        let subscribers =
            self.clients.iter().filter_map(|(client, state)| Some((client.clone(), *state.subscriptions.get(&id)?)));
        Some(Posted { news, clients, data, subscribers: subscribers.collect() })
    }

    fn add(&mut self, topic: String, record: &Record<'_>, now: Instant) {
        let (schema_name, schema) = bounded(record.channel, record.object);
        let id = self.new_id();
        let kind = record.channel;
        self.channels.push(Channel { id, topic, kind, schema_name, schema, since: now, last: None });
    }

    /// Gives a channel another schema, and another number with it: clients keep what they know by that. The number that
    /// it had.
    fn replace(&mut self, at: usize, schema: Value, now: Instant) -> u32 {
        let id = self.new_id();
        let channel = &mut self.channels[at];
        let old = std::mem::replace(&mut channel.id, id);
        (channel.schema, channel.since) = (schema, now);
        for client in self.clients.values_mut() {
            client.subscriptions.remove(&old);
        }
        old
    }

    fn new_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// What has gone since a client was told of the channels in `known`, and what has come; then those are all.
    pub(super) fn changes(&self, known: &mut Vec<u32>) -> Option<Vec<Vec<u8>>> {
        let ids: Vec<u32> = self.channels.iter().map(|channel| channel.id).collect();
        let gone: Vec<u32> = known.iter().copied().filter(|id| !ids.contains(id)).collect();
        let new: Vec<Value> =
            self.channels.iter().filter(|channel| !known.contains(&channel.id)).map(Channel::described).collect();
        *known = ids;
        let messages = [
            (!gone.is_empty()).then(|| protocol::unadvertise(&gone)),
            (!new.is_empty()).then(|| protocol::advertise(&new)),
        ];
        let messages: Vec<_> = messages.into_iter().flatten().collect();
        (!messages.is_empty()).then_some(messages)
    }

    /// From now on it is told of everything that changes.
    pub(super) fn join(&mut self, client: C) {
        self.clients.insert(client, Client::default());
    }

    pub(super) fn leave(&mut self, client: &C) {
        self.clients.remove(client);
    }

    /// Those who have joined.
    pub(super) fn clients(&self) -> Vec<C> {
        self.clients.keys().cloned().collect()
    }

    /// The last record of the channel that a client may subscribe to.
    pub(super) fn last(&self, client: &C, wanted: Subscription) -> Result<Option<Arc<Vec<u8>>>, Refused> {
        let channel = self.channels.iter().find(|channel| channel.id == wanted.channel);
        let channel = channel.ok_or(Refused::NoSuchChannel)?;
        let subscriptions = self.clients.get(client).map(|client| &client.subscriptions);
        let subscriptions = subscriptions.ok_or(Refused::NoSuchChannel)?;
        if subscriptions.contains_key(&wanted.channel) {
            return Err(Refused::Subscribed);
        }
        if subscriptions.values().any(|id| *id == wanted.id) {
            return Err(Refused::UsedId);
        }
        Ok(channel.last.clone())
    }

    /// It gets what comes next. It [may](Self::last) subscribe.
    pub(super) fn subscribe(&mut self, client: &C, wanted: Subscription) {
        if let Some(client) = self.clients.get_mut(client) {
            client.subscriptions.insert(wanted.channel, wanted.id);
        }
    }

    /// One that is not there is nothing to tell of: its channel may just have gone.
    pub(super) fn unsubscribe(&mut self, client: &C, ids: &[u32]) {
        if let Some(client) = self.clients.get_mut(client) {
            client.subscriptions.retain(|_, id| !ids.contains(id));
        }
    }

    /// Nothing has been yet at the time that it is now.
    pub(super) fn forget_last(&mut self) {
        for channel in &mut self.channels {
            channel.last = None;
        }
    }
}

impl Channel {
    /// A schema with the fields of this object as well, if those are new and it is time for them.
    fn grown(&self, object: Option<&Map<String, Value>>, now: Instant) -> Option<Value> {
        let is_of_fields = self.schema_name == schema::FRAME;
        let object = object.filter(|_| is_of_fields && now.saturating_duration_since(self.since) >= GROWTH)?;
        let known = properties(&self.schema)?;
        if known.len() >= MOST_FIELDS || object.keys().all(|name| known.contains_key(name)) {
            return None;
        }
        let newer = bounded(self.kind, Some(object)).1;
        let new = properties(&newer)?.iter().filter(|(name, _)| !known.contains_key(*name));
        let new: Vec<_> =
            new.take(MOST_FIELDS - known.len()).map(|(name, field)| (name.clone(), field.clone())).collect();
        let mut grown = self.schema.clone();
        let fields = grown.get_mut("properties").and_then(Value::as_object_mut)?;
        fields.extend(new);
        (fields.len() > known.len() && grown.to_string().len() <= LONGEST_SCHEMA).then_some(grown)
    }

    fn described(&self) -> Value {
        protocol::channel(self.id, &self.topic, self.schema_name, &self.schema.to_string())
    }

    fn advertisement(&self) -> Vec<u8> {
        protocol::advertise(&[self.described()])
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The schema by what a record says, or without any of its fields where those are too many.
fn bounded(kind: Kind, object: Option<&Map<String, Value>>) -> (&'static str, Value) {
    let (name, text) = kind.schema(object);
    let is_small = text.len() <= LONGEST_SCHEMA && object.is_none_or(|object| object.len() <= MOST_FIELDS);
    let text = if is_small { text } else { kind.schema(None).1 };
    (name, serde_json::from_str(&text).expect("a schema is JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recording::record::records;

    const NOW: Duration = Duration::ZERO;

    /// A board, and the time that it is given.
    struct Shown {
        board: Board<u8>,
        start: Instant,
    }

    impl Shown {
        fn new() -> Self {
            Self { board: Board::new(), start: Instant::now() }
        }

        /// What each record of a message came to.
        fn post(&mut self, message: &[u8], at: Duration) -> Vec<Posted<u8>> {
            let mut all = Vec::new();
            let outcome: Result<(), ()> = records(message, 7, |record| {
                all.extend(self.board.post(&record, 7, self.start + at));
                Ok(())
            });
            outcome.unwrap();
            all
        }

        /// What it tells of the channels.
        fn news(&mut self, message: &str, at: Duration) -> Vec<Value> {
            let posted = self.post(message.as_bytes(), at);
            posted.iter().flat_map(|posted| &posted.news).map(|news| serde_json::from_slice(news).unwrap()).collect()
        }

        fn subscribe(&mut self, client: u8, id: u32, channel: u32) -> Result<Option<String>, Refused> {
            let wanted = Subscription { id, channel };
            let last = self.board.last(&client, wanted)?;
            self.board.subscribe(&client, wanted);
            Ok(last.map(|last| String::from_utf8(last[protocol::HEADER_LEN..].to_vec()).unwrap()))
        }
    }

    fn fields(news: &Value) -> Vec<String> {
        let schema: Value = serde_json::from_str(news["channels"][0]["schema"].as_str().unwrap()).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_channel_is_told_of_once() {
        let mut shown = Shown::new();
        let news = shown.news(r#"{"speed":1}"#, NOW);
        assert_eq!((news.len(), &news[0]["op"]), (1, &json!("advertise")));
        let channel = &news[0]["channels"][0];
        assert_eq!(
            (&channel["id"], &channel["topic"], &channel["schemaName"]),
            (&json!(1), &json!("/leads"), &json!("leads.Frame"))
        );
        assert_eq!(fields(&news[0]), ["speed"]);
        assert_eq!(shown.news(r#"{"speed":2}"#, NOW), Vec::<Value>::new());
        for (message, topic, schema) in [
            ("time_lap", "/text", "leads.Text"),
            ("frvc:/9j/", "/frvc", "foxglove.CompressedImage"),
            ("revc:/9j/", "/revc", "foxglove.CompressedImage"),
            (r#"{"latitude":1,"longitude":1}"#, "/leads/location", "foxglove.LocationFix"),
        ] {
            let news = shown.news(message, NOW);
            let channel = &news[0]["channels"][0];
            assert_eq!((news.len(), &channel["topic"], &channel["schemaName"]), (1, &json!(topic), &json!(schema)));
        }
        assert_eq!(shown.post(b"\xff", NOW)[0].news.len(), 1);
    }

    /// Viewers know one channel by a topic.
    #[test]
    fn frames_of_python_are_of_the_channel_of_all_frames() {
        let mut shown = Shown::new();
        let news = shown.news(r#"{"speed":NaN}"#, NOW);
        let topics: Vec<_> = news.iter().map(|news| &news["channels"][0]["topic"]).collect();
        assert_eq!(topics, ["/text", "/leads"]);
        assert_eq!(shown.news(r#"{"speed":1}"#, NOW), Vec::<Value>::new());
    }

    #[test]
    fn a_schema_grows_by_and_by() {
        let mut shown = Shown::new();
        shown.news(r#"{"a":1,"none":null}"#, NOW);
        shown.board.join(1);
        shown.subscribe(1, 0, 1).unwrap();
        assert_eq!(shown.news(r#"{"b":1}"#, GROWTH - Duration::from_millis(1)), Vec::<Value>::new());
        let news = shown.news(r#"{"b":1,"none":null}"#, GROWTH);
        assert_eq!(news[0], json!({ "op": "unadvertise", "channelIds": [1] }));
        assert_eq!(
            (&news[1]["channels"][0]["id"], fields(&news[1])),
            (&json!(2), vec!["a".to_owned(), "b".to_owned()])
        );
        // Subscriptions go with the channel.
        assert_eq!(shown.subscribe(1, 0, 1), Err(Refused::NoSuchChannel));
        assert_eq!(shown.subscribe(1, 0, 2), Ok(Some(r#"{"b":1,"none":null}"#.into())));
        // What has no schema is no reason.
        assert_eq!(shown.news(r#"{"none":null,"mixed":[1,"a"]}"#, 2 * GROWTH), Vec::<Value>::new());
        assert_eq!(shown.news(r#"{"none":1}"#, 3 * GROWTH).len(), 2);
    }

    #[test]
    fn a_schema_is_bounded() {
        let object = |range: std::ops::Range<usize>| {
            let fields = range.map(|number| (format!("f{number}"), json!(1)));
            Value::Object(fields.collect()).to_string()
        };
        let mut shown = Shown::new();
        let news = shown.news(&object(0..MOST_FIELDS), NOW);
        assert_eq!(fields(&news[0]).len(), MOST_FIELDS);
        assert_eq!(shown.news(r#"{"more":1}"#, GROWTH), Vec::<Value>::new());

        let mut shown = Shown::new();
        let news = shown.news(&object(0..MOST_FIELDS + 1), NOW);
        assert_eq!(fields(&news[0]).len(), 0);
        let news = shown.news(&object(0..MOST_FIELDS - 1), GROWTH);
        assert_eq!(fields(&news[1]).len(), MOST_FIELDS - 1);
        let news = shown.news(r#"{"a":1,"b":1}"#, 2 * GROWTH);
        assert_eq!(fields(&news[1]).len(), MOST_FIELDS);

        let mut shown = Shown::new();
        let news = shown.news(&format!(r#"{{"deep":{}}}"#, object(0..LONGEST_SCHEMA / 8)), NOW);
        assert_eq!(fields(&news[0]).len(), 0);
    }

    #[test]
    fn those_who_have_subscribed_get_it() {
        let mut shown = Shown::new();
        let posted = shown.post(b"a", NOW);
        assert_eq!(posted[0].subscribers, []);
        shown.board.join(1);
        shown.board.join(2);
        assert_eq!(shown.subscribe(1, 5, 1), Ok(Some(r#"{"text":"a"}"#.into())));
        assert_eq!(shown.post(b"b", NOW)[0].subscribers, [(1, 5)]);
        assert_eq!(shown.subscribe(2, 5, 1), Ok(Some(r#"{"text":"b"}"#.into())));
        let mut both = shown.post(b"c", NOW).remove(0).subscribers;
        both.sort_unstable();
        assert_eq!(both, [(1, 5), (2, 5)]);
        assert_eq!(shown.post(b"{}", NOW)[0].subscribers, []);
        shown.board.unsubscribe(&1, &[5, 6]);
        assert_eq!(shown.post(b"d", NOW)[0].subscribers, [(2, 5)]);
        shown.board.leave(&2);
        assert_eq!(shown.post(b"e", NOW)[0].subscribers, []);
        assert_eq!(shown.board.clients(), [1]);
    }

    #[test]
    fn a_subscription_that_cannot_be_is_refused() {
        let mut shown = Shown::new();
        shown.post(b"a", NOW);
        shown.post(b"{}", NOW);
        assert_eq!(shown.subscribe(1, 0, 1), Err(Refused::NoSuchChannel), "it has not joined");
        shown.board.join(1);
        for channel in [0, 3, u32::MAX] {
            assert_eq!(shown.subscribe(1, 0, channel), Err(Refused::NoSuchChannel));
        }
        assert!(shown.subscribe(1, 0, 1).is_ok());
        assert_eq!(shown.subscribe(1, 1, 1), Err(Refused::Subscribed));
        assert_eq!(shown.subscribe(1, 0, 2), Err(Refused::UsedId));
        shown.board.unsubscribe(&1, &[0]);
        assert!(shown.subscribe(1, 0, 2).is_ok());
    }

    #[test]
    fn what_a_newcomer_has_not_been_told_is_found() {
        let mut shown = Shown::new();
        let mut known = Vec::new();
        assert_eq!(shown.board.changes(&mut known), None);
        shown.post(b"{\"a\":1}", NOW);
        let read = |changes: Option<Vec<Vec<u8>>>| -> Vec<Value> {
            changes.unwrap().iter().map(|news| serde_json::from_slice(news).unwrap()).collect()
        };
        let news = read(shown.board.changes(&mut known));
        assert_eq!((news.len(), &news[0]["channels"][0]["id"]), (1, &json!(1)));
        assert_eq!(shown.board.changes(&mut known), None);
        shown.post(b"a", NOW);
        shown.post(b"{\"b\":1}", GROWTH);
        let news = read(shown.board.changes(&mut known));
        assert_eq!(news[0], json!({ "op": "unadvertise", "channelIds": [1] }));
        let ids: Vec<_> = news[1]["channels"].as_array().unwrap().iter().map(|channel| &channel["id"]).collect();
        assert_eq!(ids, [&json!(3), &json!(2)]);
    }

    #[test]
    fn what_is_too_long_is_not_shown() {
        let mut shown = Shown::new();
        let longest = LONGEST_RECORD - r#"{"text":""}"#.len();
        assert_eq!(shown.post(&vec![b'x'; longest], NOW).len(), 1);
        assert_eq!(shown.post(&vec![b'x'; longest + 1], NOW).len(), 0);
    }

    #[test]
    fn another_time_has_no_last_records() {
        let mut shown = Shown::new();
        shown.post(b"a", NOW);
        shown.board.join(1);
        shown.board.forget_last();
        assert_eq!(shown.subscribe(1, 0, 1), Ok(None));
    }
}
