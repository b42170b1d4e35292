//! The messages of Foxglove's WebSocket protocol, version 1, as far as they are spoken here. Pure: bytes in, bytes out.
//!
//! | Sent | |
//! |---|---|
//! | `serverInfo`, `advertise`, `unadvertise`, `status` | JSON, each an object with its name in `op` |
//! | data | `01`, subscription (4 bytes), time (8 bytes, ns since 1970), record; little-endian |
//! | time | `02`, time (8 bytes) |
//!
//! | Received | |
//! |---|---|
//! | `subscribe`, `unsubscribe`; `advertise`, `unadvertise` of one who publishes | JSON |
//! | data | `01`, the client's channel (4 bytes), record |
//!
//! Sources: `docs/spec.md` of foxglove/ws-protocol at commit 305d217, before it was removed there; `rust/foxglove` of
//! foxglove/foxglove-sdk, which still speaks it.

use std::fmt;

use serde_json::{Map, Value, json};

const DATA: u8 = 1;
const TIME: u8 = 2;

/// The length of what stands before a record.
pub(super) const HEADER_LEN: usize = 1 + 4 + 8;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Subscribe(Vec<Subscription>),
    Unsubscribe(Vec<u32>),
    /// It is going to publish.
    Advertise(Vec<Publication>),
    Unadvertise(Vec<u32>),
    Publish {
        channel: u32,
        data: &'a [u8],
    },
}

/// Both numbers are as the client has written them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscription {
    /// Which it chose.
    pub(super) id: u32,
    pub(super) channel: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) id: u32,
    pub(super) topic: String,
    pub(super) encoding: String,
}

/// Why a message of a client is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Json,
    /// One that asks for what `serverInfo` does not offer.
    NotOffered,
    Unknown,
    Field(&'static str),
    Short,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("a message is neither a JSON object nor a binary one that is known here"),
            Self::NotOffered => f.write_str("a message asks for what this server does not offer"),
            Self::Unknown => f.write_str("the op of a message is not known here"),
            Self::Field(name) => write!(f, "{name} of a message is missing, or not what it has to be"),
            Self::Short => f.write_str("a binary message is too short"),
        }
    }
}

/// Reads a message of a client.
pub(super) fn parse(message: &[u8]) -> Result<Request<'_>, Wrong> {
    match message {
        [DATA, channel @ ..] => {
            let (channel, data) = channel.split_first_chunk().ok_or(Wrong::Short)?;
            return Ok(Request::Publish { channel: u32::from_le_bytes(*channel), data });
        }
        // A call of a service.
        [TIME, ..] => return Err(Wrong::NotOffered),
        _ => {}
    }
    let message: Map<String, Value> = serde_json::from_slice(message).map_err(|_| Wrong::Json)?;
    let list = |name| message.get(name).and_then(Value::as_array).ok_or(Wrong::Field(name));
    let numbers = |name| list(name)?.iter().map(|id| number(Some(id), name)).collect::<Result<Vec<_>, _>>();
    match message.get("op").and_then(Value::as_str).ok_or(Wrong::Field("op"))? {
        "subscribe" => {
            let all = list("subscriptions")?.iter().map(|wanted| {
                let (id, channel) = (number(wanted.get("id"), "id")?, number(wanted.get("channelId"), "channelId")?);
                Ok(Subscription { id, channel })
            });
            all.collect::<Result<_, _>>().map(Request::Subscribe)
        }
        "unsubscribe" => numbers("subscriptionIds").map(Request::Unsubscribe),
        "advertise" => {
            let all = list("channels")?.iter().map(|channel| {
                let text =
                    |name| channel.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Wrong::Field(name));
                let id = number(channel.get("id"), "id")?;
                Ok(Publication { id, topic: text("topic")?, encoding: text("encoding")? })
            });
            all.collect::<Result<_, _>>().map(Request::Advertise)
        }
        "unadvertise" => numbers("channelIds").map(Request::Unadvertise),
        "getParameters"
        | "setParameters"
        | "subscribeParameterUpdates"
        | "unsubscribeParameterUpdates"
        | "subscribeConnectionGraph"
        | "unsubscribeConnectionGraph"
        | "fetchAsset" => Err(Wrong::NotOffered),
        _ => Err(Wrong::Unknown),
    }
}

/// The command in a record of one who publishes: `{"text":"time_lap"}`, as messages are shown, or with `name`.
pub(super) fn command(record: &[u8]) -> Option<String> {
    let record: Map<String, Value> = serde_json::from_slice(record).ok()?;
    let command = record.get("text").or_else(|| record.get("name"))?.as_str()?;
    Some(command.to_owned())
}

fn number(value: Option<&Value>, name: &'static str) -> Result<u32, Wrong> {
    value.and_then(Value::as_u64).and_then(|number| number.try_into().ok()).ok_or(Wrong::Field(name))
}

/// What a server offers.
#[derive(Debug, Clone)]
pub(super) struct ServerInfo {
    pub(super) name: String,
    /// By which a client that connects again knows that it is the same server.
    pub(super) session: String,
    /// Whether it says what time it is.
    pub(super) has_time: bool,
    /// Whether clients may publish.
    pub(super) takes_commands: bool,
}

impl ServerInfo {
    pub(super) fn message(&self) -> Vec<u8> {
        let offered = [(self.has_time, "time"), (self.takes_commands, "clientPublish")];
        let capabilities: Vec<_> = offered.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        let mut message = json!({
            "op": "serverInfo",
            "name": self.name,
            "capabilities": capabilities,
            "metadata": { "library": concat!("leads-comm ", env!("CARGO_PKG_VERSION")) },
            "sessionId": self.session,
        });
        if self.takes_commands {
            message["supportedEncodings"] = json!(["json"]);
        }
        message.to_string().into_bytes()
    }
}

/// A channel, as [`advertise`] takes it.
pub(super) fn channel(id: u32, topic: &str, schema_name: &str, schema: &str) -> Value {
    json!({
        "id": id,
        "topic": topic,
        "encoding": "json",
        "schemaName": schema_name,
        "schemaEncoding": "jsonschema",
        "schema": schema,
    })
}

pub(super) fn advertise(channels: &[Value]) -> Vec<u8> {
    json!({ "op": "advertise", "channels": channels }).to_string().into_bytes()
}

pub(super) fn unadvertise(channels: &[u32]) -> Vec<u8> {
    json!({ "op": "unadvertise", "channelIds": channels }).to_string().into_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Warning = 1,
    Error = 2,
}

pub(super) fn status(level: Level, message: &str) -> Vec<u8> {
    json!({ "op": "status", "level": level as u8, "message": message }).to_string().into_bytes()
}

/// A record of nobody's subscription yet: see [`address`].
pub(super) fn data(time: u64, record: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_LEN + record.len());
    message.push(DATA);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&time.to_le_bytes());
    message.extend_from_slice(record);
    message
}

/// Makes it one of this subscription.
pub(super) fn address(data: &mut [u8], subscription: u32) {
    data[1..5].copy_from_slice(&subscription.to_le_bytes());
}

/// The subscription of a message that is data.
pub(super) fn subscription_of(message: &[u8]) -> Option<[u8; 4]> {
    match message {
        [DATA, rest @ ..] => rest.first_chunk().copied(),
        _ => None,
    }
}

pub(super) fn time(time: u64) -> Vec<u8> {
    [&[TIME][..], &time.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(message: &Value) -> Result<Request<'static>, Wrong> {
        let message = message.to_string();
        match parse(message.as_bytes()) {
            Ok(Request::Publish { .. }) => panic!("{message}"),
            Ok(Request::Subscribe(all)) => Ok(Request::Subscribe(all)),
            Ok(Request::Unsubscribe(all)) => Ok(Request::Unsubscribe(all)),
            Ok(Request::Advertise(all)) => Ok(Request::Advertise(all)),
            Ok(Request::Unadvertise(all)) => Ok(Request::Unadvertise(all)),
            Err(wrong) => Err(wrong),
        }
    }

    #[test]
    fn each_message_of_a_client_is_read() {
        let wanted =
            json!({ "op": "subscribe", "subscriptions": [{ "id": 0, "channelId": 3 }, { "id": 7, "channelId": 1 }] });
        let all = vec![Subscription { id: 0, channel: 3 }, Subscription { id: 7, channel: 1 }];
        assert_eq!(of(&wanted), Ok(Request::Subscribe(all)));
        let gone = json!({ "op": "unsubscribe", "subscriptionIds": [0, u32::MAX] });
        assert_eq!(of(&gone), Ok(Request::Unsubscribe(vec![0, u32::MAX])));
        let channel = json!({ "id": 1, "topic": "/command", "encoding": "json", "schemaName": "x" });
        let publication = Publication { id: 1, topic: "/command".into(), encoding: "json".into() };
        assert_eq!(of(&json!({ "op": "advertise", "channels": [channel] })), Ok(Request::Advertise(vec![publication])));
        assert_eq!(of(&json!({ "op": "unadvertise", "channelIds": [] })), Ok(Request::Unadvertise(vec![])));
        assert_eq!(parse(b"\x01\x02\x01\x00\x00{}"), Ok(Request::Publish { channel: 258, data: b"{}" }));
        assert_eq!(parse(b"\x01\x02\x01\x00\x00"), Ok(Request::Publish { channel: 258, data: b"" }));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let field = Wrong::Field;
        for (message, wrong) in [
            (json!([]), Wrong::Json),
            (json!({}), field("op")),
            (json!({ "op": 1 }), field("op")),
            (json!({ "op": "hello" }), Wrong::Unknown),
            (json!({ "op": "getParameters", "parameterNames": [] }), Wrong::NotOffered),
            (json!({ "op": "fetchAsset", "uri": "file:///etc/passwd", "requestId": 1 }), Wrong::NotOffered),
            (json!({ "op": "subscribeConnectionGraph" }), Wrong::NotOffered),
            (json!({ "op": "subscribe" }), field("subscriptions")),
            (json!({ "op": "subscribe", "subscriptions": {} }), field("subscriptions")),
            (json!({ "op": "subscribe", "subscriptions": [1] }), field("id")),
            (json!({ "op": "subscribe", "subscriptions": [{ "id": 1 }] }), field("channelId")),
            (json!({ "op": "subscribe", "subscriptions": [{ "id": -1, "channelId": 1 }] }), field("id")),
            (json!({ "op": "subscribe", "subscriptions": [{ "id": 1.5, "channelId": 1 }] }), field("id")),
            (json!({ "op": "subscribe", "subscriptions": [{ "id": 1_u64 << 32, "channelId": 1 }] }), field("id")),
            (json!({ "op": "unsubscribe", "subscriptionIds": ["1"] }), field("subscriptionIds")),
            (json!({ "op": "unsubscribe", "subscriptionIds": 1 }), field("subscriptionIds")),
            (json!({ "op": "advertise", "channels": [{ "id": 1, "topic": "a" }] }), field("encoding")),
            (json!({ "op": "advertise", "channels": [{ "id": 1, "encoding": "json" }] }), field("topic")),
            (json!({ "op": "unadvertise" }), field("channelIds")),
        ] {
            assert_eq!(of(&message), Err(wrong), "{message}");
        }
        for message in [&b""[..], b"{", b"{}{}", b"\xff", b"\x03", &[b'['; 100_000]] {
            assert_eq!(parse(message), Err(Wrong::Json));
        }
        assert_eq!(parse(b"\x01\x02\x01\x00"), Err(Wrong::Short));
        assert_eq!(parse(b"\x02"), Err(Wrong::NotOffered));
    }

    #[test]
    fn a_command_is_text_or_a_name() {
        let command = |record: &str| command(record.as_bytes());
        assert_eq!(command(r#"{"text":"time_lap"}"#).as_deref(), Some("time_lap"));
        assert_eq!(command(r#"{"name":"m1","more":1}"#).as_deref(), Some("m1"));
        for record in ["", "time_lap", "[]", "{}", r#"{"text":1}"#, r#"{"text":null,"name":"m1"}"#] {
            assert_eq!(command(record), None, "{record}");
        }
    }

    #[test]
    fn a_server_offers_what_it_has() {
        let info = ServerInfo { name: "a".into(), session: "7".into(), has_time: false, takes_commands: false };
        let read = |info: &ServerInfo| -> Value { serde_json::from_slice(&info.message()).unwrap() };
        let plain = read(&info);
        assert_eq!(plain["op"], "serverInfo");
        assert_eq!(
            (&plain["name"], &plain["sessionId"], &plain["capabilities"]),
            (&json!("a"), &json!("7"), &json!([]))
        );
        assert_eq!(plain.get("supportedEncodings"), None);
        let all = read(&ServerInfo { has_time: true, takes_commands: true, ..info });
        assert_eq!(all["capabilities"], json!(["time", "clientPublish"]));
        assert_eq!(all["supportedEncodings"], json!(["json"]));
    }

    #[test]
    fn what_is_sent_is_what_is_described() {
        let text = |message: Vec<u8>| String::from_utf8(message).unwrap();
        let read = |message: Vec<u8>| -> Value { serde_json::from_slice(&message).unwrap() };
        let channel = channel(3, "/leads", "leads.Frame", "{}");
        assert_eq!(
            read(advertise(std::slice::from_ref(&channel))),
            json!({ "op": "advertise", "channels": [{
                "id": 3, "topic": "/leads", "encoding": "json",
                "schemaName": "leads.Frame", "schemaEncoding": "jsonschema", "schema": "{}",
            }] })
        );
        assert_eq!(text(advertise(&[])), r#"{"channels":[],"op":"advertise"}"#);
        assert_eq!(read(unadvertise(&[3, 4])), json!({ "op": "unadvertise", "channelIds": [3, 4] }));
        assert_eq!(read(status(Level::Error, "<b>")), json!({ "op": "status", "level": 2, "message": "<b>" }));
        let mut data = data(0x0102_0304_0506_0708, b"{}");
        assert_eq!(data, b"\x01\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01{}");
        address(&mut data, 258);
        assert_eq!(data, b"\x01\x02\x01\0\0\x08\x07\x06\x05\x04\x03\x02\x01{}");
        assert_eq!(subscription_of(&data), Some([2, 1, 0, 0]));
        assert_eq!(time(1), b"\x02\x01\0\0\0\0\0\0\0");
        assert_eq!([subscription_of(&time(1)), subscription_of(b"{}"), subscription_of(b"\x01\0")], [None; 3]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_received_makes_it_panic(message in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&message);
        }

        #[test]
        fn no_json_makes_it_panic(op in "subscribe|unsubscribe|advertise|unadvertise|", list in "[\\[\\]{}\":,0-9a-z]{0,30}") {
            let message = format!(r#"{{"op":"{op}","subscriptions":{list},"channels":{list},"channelIds":{list}}}"#);
            let _ = parse(message.as_bytes());
        }
    }
}
