//! Clients that speak bytes, over streams inside the process.

use std::sync::mpsc;
use std::thread;

use leads_comm::transport::memory::{self, MemoryConnector};
use leads_comm_testing::{PATIENCE, Raw};
use serde_json::{Value, json};

use super::*;

struct Shown {
    foxglove: Foxglove,
    sink: FoxgloveSink,
    connector: MemoryConnector,
}

impl Shown {
    fn live() -> Self {
        Self::start(false, None)
    }

    fn start(is_recording: bool, commands: Option<Commands>) -> Self {
        let (listener, connector) = memory::listener();
        let settings = Settings { name: "a vehicle".into(), is_recording, commands };
        let foxglove = Foxglove::start(listener, settings).unwrap();
        let sink = foxglove.sink();
        Self { foxglove, sink, connector }
    }

    fn message(&mut self, message: impl AsRef<[u8]>) {
        self.sink.message(message.as_ref(), 7);
    }

    /// A client that has been told what the server is, and of these channels.
    fn client(&self, channels: &[&str]) -> Peer {
        let before = self.foxglove.shared.board.lock().clients().len();
        let peer = Peer(Raw::of(Box::new(self.connector.open().unwrap())));
        assert_eq!(peer.json()["op"], "serverInfo");
        assert_eq!(peer.topics(), channels);
        self.wait_for(|board| board.clients().len() > before);
        peer
    }

    /// Waits until it holds.
    fn wait_for(&self, mut holds: impl FnMut(&Board<Connection>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.foxglove.shared.board.lock()) {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.foxglove.server.close();
    }
}

/// One end, whose messages have their length in front.
struct Peer(Raw);

impl Peer {
    fn message(&self) -> Vec<u8> {
        let len: [u8; 4] = self.0.read_exact(4).try_into().unwrap();
        self.0.read_exact(u32::from_be_bytes(len) as usize)
    }

    fn json(&self) -> Value {
        let message = self.message();
        serde_json::from_slice(&message).unwrap_or_else(|_| panic!("{}", message.escape_ascii()))
    }

    /// Those that are advertised.
    fn topics(&self) -> Vec<String> {
        let message = self.json();
        assert_eq!(message["op"], "advertise");
        let channels = message["channels"].as_array().unwrap();
        channels.iter().map(|channel| channel["topic"].as_str().unwrap().to_owned()).collect()
    }

    /// Data: of which subscription, and the record.
    fn data(&self) -> (u32, String) {
        let message = self.message();
        assert_eq!((message[0], &message[5..HEADER_LEN]), (1, &7_u64.to_le_bytes()[..]));
        let subscription = u32::from_le_bytes(message[1..5].try_into().unwrap());
        (subscription, String::from_utf8(message[HEADER_LEN..].to_vec()).unwrap())
    }

    fn say(&self, message: impl AsRef<[u8]>) {
        let message = message.as_ref();
        self.0.write(&[&(message.len() as u32).to_be_bytes()[..], message].concat());
    }

    fn subscribe(&self, subscription: u32, channel: u32) {
        let wanted = json!({ "id": subscription, "channelId": channel });
        self.say(json!({ "op": "subscribe", "subscriptions": [wanted] }).to_string());
    }

    /// Subscribes, and has been given the last record: from now on it gets what comes, and nothing else.
    fn follow(&self, subscription: u32, channel: u32) {
        self.subscribe(subscription, channel);
        self.data();
        self.settle();
    }

    /// Asks for something that is refused, and waits for the answer: all that was said before has been done then.
    fn settle(&self) {
        self.say("settle");
        assert_eq!(self.json()["message"], Wrong::Json.to_string());
    }
}

#[test]
fn a_newcomer_is_told_of_the_channels_and_gets_the_last_record() {
    let mut shown = Shown::live();
    let early = shown.client(&[]);
    shown.message(r#"{"speed":1}"#);
    assert_eq!(early.topics(), ["/leads"]);
    early.subscribe(5, 1);
    assert_eq!(early.data(), (5, r#"{"speed":1}"#.into()));
    shown.message(r#"{"speed":2}"#);
    assert_eq!(early.data(), (5, r#"{"speed":2}"#.into()));

    let late = shown.client(&["/leads"]);
    late.subscribe(0, 1);
    assert_eq!(late.data(), (0, r#"{"speed":2}"#.into()));
    shown.message("time_lap");
    for client in [&early, &late] {
        assert_eq!(client.topics(), ["/text"]);
    }
    late.subscribe(1, 2);
    assert_eq!(late.data(), (1, r#"{"text":"time_lap"}"#.into()));
    shown.message(r#"{"speed":3}"#);
    assert_eq!((early.data().0, late.data().0), (5, 0));

    late.say(r#"{"op":"unsubscribe","subscriptionIds":[0,7]}"#);
    late.settle();
    shown.message(r#"{"speed":4}"#);
    shown.message("hazard");
    assert_eq!(late.data(), (1, r#"{"text":"hazard"}"#.into()));
    assert_eq!(early.data().1, r#"{"speed":4}"#);
}

#[test]
fn who_has_left_is_forgotten() {
    let mut shown = Shown::live();
    let client = shown.client(&[]);
    shown.message("a");
    client.topics();
    client.subscribe(0, 1);
    client.data();
    drop(client);
    shown.wait_for(|board| board.clients().is_empty());
}

#[test]
fn what_is_wrong_is_answered_and_the_client_stays() {
    let mut shown = Shown::live();
    shown.message("a");
    let client = shown.client(&["/text"]);
    let errors: [(&[u8], &str); 6] = [
        (b"", "neither a JSON object"),
        (b"\xff\xff", "neither a JSON object"),
        (br#"{"op":"subscribe"}"#, "subscriptions"),
        (br#"{"op":"setParameters","parameters":[]}"#, "does not offer"),
        (br#"{"op":"advertise","channels":[]}"#, "does not offer"),
        (b"\x01\x01\0\0\0{}", "does not offer"),
    ];
    for (message, part) in errors {
        client.say(message);
        let status = client.json();
        assert_eq!((&status["op"], &status["level"]), (&json!("status"), &json!(2)));
        assert!(status["message"].as_str().unwrap().contains(part), "{status}");
    }
    client.subscribe(0, 9);
    assert_eq!(client.json()["message"], "there is no channel 9");
    client.subscribe(0, 1);
    client.data();
    client.subscribe(1, 1);
    assert_eq!(client.json(), json!({ "op": "status", "level": 1, "message": "channel 1 is subscribed to already" }));
    shown.message("b");
    assert_eq!(client.data().1, r#"{"text":"b"}"#);
}

#[test]
fn a_request_is_bounded() {
    let shown = Shown::live();
    let client = shown.client(&[]);
    client.0.write(&(LONGEST_REQUEST as u32 + 1).to_be_bytes());
    shown.wait_for(|board| board.clients().is_empty());
}

#[test]
fn commands_go_to_the_vehicle() {
    let (told, sent) = mpsc::channel();
    let commands: Commands = Arc::new(move |command| match command {
        "m1" => Err("m1 is not allowed".into()),
        _ => {
            told.send(command.to_owned()).unwrap();
            Ok(())
        }
    });
    let shown = Shown::start(false, Some(commands));
    let client = shown.client(&[]);
    let advertise = |id: u32, topic: &str, encoding: &str| {
        let channel = json!({ "id": id, "topic": topic, "encoding": encoding, "schemaName": "" });
        client.say(json!({ "op": "advertise", "channels": [channel] }).to_string());
    };
    let publish = |channel: u32, record: &str| {
        client.say([&[1][..], &channel.to_le_bytes(), record.as_bytes()].concat());
    };
    let error = |part: &str| {
        let status = client.json();
        assert!(status["message"].as_str().unwrap().contains(part), "{status}");
    };
    publish(1, r#"{"text":"time_lap"}"#);
    error("not advertised");
    advertise(1, "/cmd_vel", "json");
    error("/command");
    advertise(1, "/command", "cdr");
    error("JSON");
    advertise(1, "/command", "json");
    advertise(1, "/command", "json");
    error("already");
    publish(1, r#"{"text":"time_lap"}"#);
    publish(1, r#"{"name":"hazard"}"#);
    for command in ["time_lap", "hazard"] {
        assert_eq!(sent.recv_timeout(PATIENCE).as_deref(), Ok(command));
    }
    publish(1, "time_lap");
    error("a command is");
    publish(1, r#"{"name":"m1"}"#);
    error("m1 is not allowed");
    client.say(r#"{"op":"unadvertise","channelIds":[1]}"#);
    publish(1, r#"{"name":"hazard"}"#);
    error("not advertised");
    for id in 2..18 {
        advertise(id, "/command", "json");
    }
    advertise(18, "/command", "json");
    error("too many");
    assert_eq!(sent.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn a_recording_has_its_own_time() {
    let mut shown = Shown::start(true, None);
    let client = shown.client(&[]);
    shown.message("a");
    assert_eq!(client.message(), protocol::time(7));
    client.topics();
    // Another record of the same time.
    shown.message("\u{e4}");
    shown.sink.message(b"b", 8);
    assert_eq!(client.message(), protocol::time(8));

    let late = Peer(Raw::of(Box::new(shown.connector.open().unwrap())));
    let info = late.json();
    assert_eq!(info["capabilities"], json!(["time"]));
    assert_eq!(late.message(), protocol::time(8));
    assert_eq!(late.topics(), ["/text"]);
    shown.sink.jump();
    late.subscribe(0, 1);
    late.settle();
    shown.message("c");
    assert_eq!(late.message(), protocol::time(7));
    assert_eq!(late.data(), (0, r#"{"text":"c"}"#.into()));
}

/// More than may wait for a client.
fn flood(shown: &mut Shown, mut each: impl FnMut(usize)) -> usize {
    let rest = "x".repeat(8 * 1024);
    let count = 2 * ROOM / rest.len();
    for number in 0..count {
        shown.message(format!("{number} {rest}"));
        each(number);
    }
    count
}

fn number_of(record: &str) -> usize {
    record.strip_prefix(r#"{"text":""#).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn who_is_behind_loses_the_oldest_and_holds_up_nobody() {
    let mut shown = Shown::live();
    shown.message("0 ");
    let (stopped, reads) = (shown.client(&["/text"]), shown.client(&["/text"]));
    for client in [&stopped, &reads] {
        client.follow(0, 1);
    }
    let count = flood(&mut shown, |number| assert_eq!(number_of(&reads.data().1), number));
    // What its stream held, a gap, and then everything to the end.
    let mut numbers = vec![number_of(&stopped.data().1)];
    while numbers.last() != Some(&(count - 1)) {
        numbers.push(number_of(&stopped.data().1));
    }
    let gaps: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert_eq!((numbers[0], gaps.len()), (0, 1), "{gaps:?}");
    assert!(numbers.len() < count);
}

#[test]
fn of_pictures_that_wait_the_newest_is_left() {
    let mut shown = Shown::live();
    let picture = |number: usize| format!("frvc:{number:08}{}", "A".repeat(100_000));
    shown.message(picture(0));
    let stopped = shown.client(&["/frvc"]);
    stopped.follow(0, 1);
    // It reads nothing before all are sent, and its stream does not hold one of them.
    for number in 1..=9 {
        shown.message(picture(number));
    }
    shown.message("end");
    let data = |record: &str| serde_json::from_str::<Value>(record).unwrap()["data"].as_str().unwrap()[..8].to_owned();
    // One or two are on their way when the next ones come.
    let mut seen = vec![data(&stopped.data().1)];
    while seen.last().is_none_or(|last| last != "00000009") {
        seen.push(data(&stopped.data().1));
    }
    assert!(seen.len() <= 3 && seen.is_sorted(), "{seen:?}");
    assert_eq!(stopped.topics(), ["/text"]);
}

#[test]
fn who_may_have_missed_a_channel_is_cut_off() {
    let mut shown = Shown::live();
    shown.message("0 ");
    let stopped = shown.client(&["/text"]);
    stopped.follow(0, 1);
    let half = "x".repeat(LONGEST_RECORD / 2);
    shown.message(&half);
    // It waits behind that.
    shown.message("{}");
    flood(&mut shown, |_| ());
    shown.wait_for(|board| board.clients().is_empty());
}

/// What it must not miss has gone long ago, also when something always waits behind that.
#[test]
fn who_is_always_behind_and_has_missed_no_channel_stays() {
    let mut shown = Shown::live();
    shown.message("0 ");
    let slow = shown.client(&["/text"]);
    slow.follow(0, 1);
    let half = "x".repeat(LONGEST_RECORD / 2);
    for message in [&half, "{}", &half] {
        shown.message(message);
    }
    slow.data();
    assert_eq!(slow.topics(), ["/leads"]);
    shown.wait_for(|board| board.clients()[0].stats().traffic.waiting.messages == 1);
    let count = flood(&mut shown, |_| ());
    slow.data();
    let first = number_of(&slow.data().1);
    assert!(first > 0, "nothing was dropped");
    for number in first + 1..count {
        assert_eq!(number_of(&slow.data().1), number);
    }
}

/// Records that come while the last one is sent are not missed, and nothing older comes behind them.
#[test]
fn the_last_that_a_newcomer_sees_is_the_last_that_there_is() {
    let mut shown = Shown::live();
    shown.message("0 ");
    let mut clients = Vec::new();
    for round in 0..MOST_CLIENTS {
        let client = shown.client(&["/text"]);
        client.subscribe(0, 1);
        let last = 1000 * (round + 1);
        for number in 0..=20 {
            shown.message(format!("{} ", last - 20 + number));
        }
        let mut seen = vec![number_of(&client.data().1)];
        while seen.last() != Some(&last) {
            seen.push(number_of(&client.data().1));
        }
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        // It reads no more, and holds up nobody.
        clients.push(client);
    }
}

#[test]
fn what_is_too_long_is_counted() {
    let mut shown = Shown::live();
    shown.message(vec![b'x'; LONGEST_RECORD]);
    assert_eq!(shown.foxglove.left_out(), 1);
    shown.client(&[]);
}
