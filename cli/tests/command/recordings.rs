//! Recordings for tests, and what is in others.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leads_comm_testing::folder::Folder;
use mcap::Writer;
use mcap::records::MessageHeader;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::process::run;

/// When recordings begin, in nanoseconds since 1970.
pub(crate) const BEGIN: u64 = 1_795_897_762_603_000_000;

/// A record of another program: its topic, its encoding, the metadata of its channel, and what is in it.
pub(crate) type Foreign<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// A folder for recordings.
pub(crate) struct Recordings(Folder);

impl Recordings {
    pub(crate) fn new() -> Self {
        Self(Folder::new("recordings"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as an argument.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// JSON Lines of these messages, so many nanoseconds apart.
    pub(crate) fn json_lines<M: AsRef<[u8]>>(&self, name: &str, apart: u64, messages: &[M]) -> String {
        let lines = messages.iter().enumerate().map(|(index, message)| {
            let time = BEGIN + index as u64 * apart;
            let message = match std::str::from_utf8(message.as_ref()) {
                Ok(text) => format!("\"text\":{}", Value::from(text)),
                Err(_) => format!("\"base64\":\"{}\"", STANDARD.encode(message)),
            };
            format!("{{\"time\":{}.{:09},{message}}}\n", time / 1_000_000_000, time % 1_000_000_000)
        });
        fs::write(self.path(name), lines.collect::<String>()).unwrap();
        self.name(name)
    }

    /// An MCAP of these messages.
    pub(crate) fn mcap<M: AsRef<[u8]>>(&self, name: &str, apart: u64, messages: &[M]) -> String {
        let lines = self.json_lines(&format!("{name}.jsonl"), apart, messages);
        let converted = run(&["convert", &lines, &self.name(name)]);
        assert_eq!(converted.code, 0, "{converted:?}");
        self.name(name)
    }

    /// An MCAP of another program.
    pub(crate) fn foreign(&self, name: &str, records: &[Foreign<'_>]) -> String {
        let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
        for (index, (topic, encoding, metadata, data)) in records.iter().enumerate() {
            let metadata: BTreeMap<_, _> =
                metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let channel_id = writer.add_channel(0, topic, encoding, &metadata).unwrap();
            let time = BEGIN + index as u64;
            let header = MessageHeader { channel_id, sequence: 0, log_time: time, publish_time: time };
            writer.write_to_known_channel(&header, data).unwrap();
        }
        writer.finish().unwrap();
        fs::write(self.path(name), writer.into_inner().into_inner()).unwrap();
        self.name(name)
    }
}

/// All kinds of messages: JSON, spaced and with names twice, text, bytes, pictures, an empty one.
pub(crate) fn all_kinds() -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = [
        &b"{\"speed\": 12.50, \"speed\":1e2,\n \"t\":1795897762603}"[..],
        b"time_lap",
        b"",
        b"frvc:/9j/4A==",
        b"\xff\xd8\x00\n\xfe",
        b"[1, 2]",
        b" {}\r\n",
        "vol:\u{e9}\u{0}".as_bytes(),
        b"42",
        b"revc:====",
    ]
    .map(<[u8]>::to_vec)
    .into();
    messages.push(json!({ "long": "x".repeat(100_000) }).to_string().into_bytes());
    messages
}

/// The messages as they are on the wire.
pub(crate) fn on_the_wire<M: AsRef<[u8]>>(messages: &[M], separator: &str) -> Vec<u8> {
    messages.iter().flat_map(|message| [message.as_ref(), separator.as_bytes()].concat()).collect()
}

/// The messages of a recording with their times, as `convert` tells them.
pub(crate) fn messages(file: impl AsRef<Path>) -> Vec<(String, Vec<u8>)> {
    let converted = run(&["convert", "-q", file.as_ref().to_str().unwrap(), "-", "--to", "jsonl"]);
    assert_eq!(converted.code, 0, "{converted:?}");
    let message = |line: &String| {
        let time = line.split_once(',').unwrap().0.to_owned();
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(line).unwrap();
        let text = |name| members.get(name).map(|value| serde_json::from_str::<String>(value.get()).unwrap());
        let payload = match (members.get("message"), text("text"), text("base64")) {
            (Some(message), None, None) => message.get().as_bytes().to_vec(),
            (None, Some(text), None) => text.into_bytes(),
            (None, None, Some(base64)) => STANDARD.decode(base64).unwrap(),
            _ => panic!("{line}"),
        };
        assert_eq!(members["size"].get(), payload.len().to_string());
        (time, payload)
    };
    converted.stdout.iter().map(message).collect()
}
