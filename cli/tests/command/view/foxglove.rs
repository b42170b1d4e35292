//! Foxglove and Lichtblick, as far as bytes tell: what their own client package makes of it is in `cli/tests/foxglove`.

use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm_testing::wire::Peer;
use serde_json::{Value, json};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};

use super::{JPEG, View};
use crate::process::PATIENCE;
use crate::recordings::{BEGIN, Recordings};

/// A client that speaks the protocol.
struct Foxglove(WebSocket<TcpStream>);

impl Foxglove {
    fn connect(view: &View) -> Self {
        Self::ask(view, &["foxglove.sdk.v1"]).unwrap()
    }

    fn ask(view: &View, subprotocols: &[&str]) -> Result<Self, String> {
        let address = format!("127.0.0.1:{}", view.port);
        let request = ClientRequestBuilder::new(format!("ws://{address}/").parse().unwrap());
        let request = subprotocols.iter().fold(request, |request, name| request.with_sub_protocol(*name));
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol").unwrap().to_str().unwrap();
                assert!(subprotocols.contains(&chosen));
                Ok(Self(socket))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn next(&mut self) -> Message {
        self.0.read().unwrap()
    }

    #[track_caller]
    fn json(&mut self) -> Value {
        match self.next() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Which number a topic has, once it is told.
    #[track_caller]
    fn channel(&mut self, topic: &str) -> Value {
        loop {
            let told = self.json();
            let channels = told["channels"].as_array().unwrap_or_else(|| panic!("{told}"));
            if let Some(channel) = channels.iter().find(|channel| channel["topic"] == topic) {
                return channel.clone();
            }
        }
    }

    fn say(&mut self, said: &Value) {
        self.0.send(Message::text(said.to_string())).unwrap();
    }

    fn subscribe(&mut self, channel: &Value) {
        let wanted = json!([{ "id": 7, "channelId": channel["id"] }]);
        self.say(&json!({ "op": "subscribe", "subscriptions": wanted }));
    }

    /// A record, and its time; channels may come up meanwhile.
    #[track_caller]
    fn record(&mut self) -> (u64, Value) {
        match self.next() {
            Message::Text(text) if text.contains(r#""op":"advertise""#) => self.record(),
            Message::Binary(bytes) => {
                assert_eq!(bytes[..5], [1, 7, 0, 0, 0]);
                let (time, record) = bytes[5..].split_at(8);
                (u64::from_le_bytes(time.try_into().unwrap()), serde_json::from_slice(record).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// The first record for which it holds.
    fn find(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, record) = self.record();
            if holds(&record) {
                return record;
            }
        }
    }
}

#[test]
fn it_connects_to_where_the_page_is() {
    let (view, vehicle) = View::of_vehicle(&[]);
    for names in [
        &["foxglove.sdk.v1"][..],
        &["foxglove.websocket.v1"],
        &["foxglove.websocket.v1", "foxglove.sdk.v1"],
        &["unknown", "foxglove.sdk.v1"],
    ] {
        let mut client = Foxglove::ask(&view, names).unwrap();
        assert_eq!(client.json()["op"], "serverInfo");
        assert_eq!(client.json(), json!({ "op": "advertise", "channels": [] }));
    }
    for names in [&["foxglove.sdk.v2"][..], &["foxglove"]] {
        let refused = Foxglove::ask(&view, names).err().expect("it is refused");
        assert!(refused.contains("400"), "{refused}");
    }
    let mut client = Foxglove::connect(&view);
    let info = client.json();
    assert_eq!((&info["capabilities"], info.get("supportedEncodings")), (&json!([]), None));
    assert!(info["name"].as_str().unwrap().starts_with("leads-comm view 127.0.0.1:"), "{info}");
    vehicle.write(r#"{"speed":1};"#);
    let channel = client.channel("/leads");
    client.subscribe(&channel);
    assert_eq!(client.record().1, json!({ "speed": 1 }));
    let stats = view.get("/stats").json();
    assert_eq!(stats["foxglove"]["connections"], json!(1), "{stats}");
    // The end of the command is the end of this.
    view.process.signal("INT");
    assert!(matches!(client.next(), Message::Close(_)));
}

#[test]
fn a_recording_has_its_own_time() {
    let folder = Recordings::new();
    let file = folder.json_lines("drive.jsonl", 10_000_000, &[r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
    let view = View::start(&[&file]);
    let mut client = Foxglove::connect(&view);
    assert_eq!(client.json()["capabilities"], json!(["time"]));
    // It may be over by now; then the last time and the last record are told.
    let mut times = Vec::new();
    let mut channel = None;
    while times.last() != Some(&(BEGIN + 20_000_000)) || channel.is_none() {
        match client.next() {
            Message::Binary(bytes) => {
                assert_eq!((bytes[0], bytes.len()), (2, 9));
                times.push(u64::from_le_bytes(bytes[1..].try_into().unwrap()));
            }
            Message::Text(text) => {
                let told: Value = serde_json::from_str(&text).unwrap();
                channel = told["channels"].get(0).cloned().or(channel);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(times.is_sorted());
    client.subscribe(&channel.unwrap());
    // Its time was told first.
    let mut last = client.record();
    while last.1 != json!({ "n": 2 }) {
        last = client.record();
    }
    assert_eq!(last.0, BEGIN + 20_000_000);
}

#[test]
fn one_that_is_stopped_holds_up_neither_others_nor_the_vehicle() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let picture = STANDARD.encode([JPEG, &[7; 1 << 20]].concat());
    vehicle.write(format!("frvc:{picture};"));
    let mut clients = [Foxglove::connect(&view), Foxglove::connect(&view)];
    for client in &mut clients {
        client.json();
        let channel = client.channel("/frvc");
        client.subscribe(&channel);
        client.record();
    }
    let [mut stopped, mut reads] = clients;
    // Some 100 MB; 40 MB where that takes too long, which is more than the sockets and the queue hold as well.
    const PICTURES: usize = if cfg!(leads_comm_emulated) { 30 } else { 70 };
    let numbered = |number: usize| STANDARD.encode([JPEG, &[7; 1 << 20], number.to_string().as_bytes()].concat());
    for number in 0..PICTURES {
        let own = numbered(number);
        vehicle.write(format!("frvc:{own};"));
        reads.find(|record| record["data"] == own.as_str());
    }
    let last = numbered(PICTURES - 1);
    let state = view.page().find("state", |state| state["messages"] == PICTURES + 1);
    assert_eq!(state["left_out"], 0, "{state}");
    // It is still there, and what it gets then is the newest.
    stopped.find(|record| record["data"] == last.as_str());
}

#[test]
fn hostile_clients_are_their_own_trouble() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let mut good = Foxglove::connect(&view);
    good.json();
    good.json();
    vehicle.write("0;");
    let channel = good.channel("/text");
    good.subscribe(&channel);
    good.record();

    // Each kind of nonsense is answered, for as long as somebody reads.
    let mut bad = Foxglove::connect(&view);
    bad.json();
    bad.json();
    for nonsense in [
        Message::text(""),
        Message::text("[".repeat(10_000)),
        Message::text(r#"{"op":"subscribe","subscriptions":[{"id":1e400,"channelId":1}]}"#),
        Message::binary(vec![0xff; 1000]),
        Message::binary(vec![1]),
        Message::text(r#"{"op":"advertise","channels":[]}"#),
    ] {
        bad.0.send(nonsense).unwrap();
        let status = bad.json();
        assert_eq!((&status["op"], &status["level"]), (&json!("status"), &json!(2)), "{status}");
    }
    // A hundred thousand subscriptions, in messages that are not too long, of one who does not read the answers.
    let all: Vec<_> = (0..1500).map(|id| json!({ "id": id, "channelId": 9 })).collect();
    let flood = json!({ "op": "subscribe", "subscriptions": all }).to_string();
    for _ in 0..70 {
        bad.0.send(Message::text(flood.clone())).unwrap();
    }
    // What is longer than a request may be.
    let mut long = Foxglove::connect(&view);
    let _ = long.0.send(Message::binary(vec![b'{'; 1 << 20]));
    while long.0.read().is_ok() {}
    // More than there may be.
    let many: Vec<_> = (0..40).filter_map(|_| Foxglove::ask(&view, &["foxglove.sdk.v1"]).ok()).collect();

    for number in 1..=100 {
        vehicle.write(format!("{number};"));
        assert_eq!(good.record().1, json!({ "text": number.to_string() }));
    }
    drop(many);
}

#[test]
fn what_is_too_long_for_it_is_counted() {
    let (view, vehicle) = View::of_vehicle(&[]);
    vehicle.write(format!("{};", "x".repeat(4 << 20)));
    let mut page = view.page();
    page.find("state", |_| view.get("/stats").json()["left_out"] == json!({ "foxglove": { "too_long": 1 } }));
    let line = "leads_comm_view_left_out_total{to=\"foxglove\",cause=\"too_long\"} 1";
    let metrics = view.get("/metrics");
    assert!(metrics.text().lines().any(|metric| metric == line), "{}", metrics.text());
}

/// A client that has gone without a word does not stay.
#[test]
fn one_that_goes_without_a_word_is_forgotten() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let gone = Foxglove::connect(&view);
    Peer::new(gone.0.into_inner()).reset();
    let mut page = view.page();
    vehicle.write(r#"{"n":1};"#);
    page.find_sample("n", 1.0);
    page.find("state", |_| view.get("/stats").json()["foxglove"]["connections"] == json!(0));
}
