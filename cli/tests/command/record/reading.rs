//! Recordings, read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcap::MAGIC;
use mcap::read::{ChunkFlattener, Options};
use mcap::records::Record;
use serde_json::Value;

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    /// The channel's metadata.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) sequence: u32,
    pub(super) time: u64,
    pub(super) published: u64,
    pub(super) payload: Vec<u8>,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) messages: Vec<Message>,
    /// The records of derived channels, with their topics.
    pub(super) derived: Vec<(String, Value)>,
    pub(super) notes: Vec<(String, BTreeMap<String, String>)>,
    /// It was ended regularly.
    pub(super) is_whole: bool,
}

impl Recording {
    pub(super) fn read(path: impl AsRef<Path>) -> Self {
        Self::of(&fs::read(path).unwrap())
    }

    /// What can be read of a file, up to its last whole record; all of it has to be in order.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut recording = Self { is_whole: bytes.ends_with(MAGIC), ..Self::default() };
        let mut channels = BTreeMap::new();
        let mut schemas = BTreeMap::new();
        for record in ChunkFlattener::new_with_options(bytes, Options::IgnoreEndMagic.into()).unwrap() {
            match record {
                // How a file ends that nobody has ended.
                Err(mcap::McapError::UnexpectedEof | mcap::McapError::UnexpectedEoc) if !recording.is_whole => break,
                Err(error) => panic!("{error}"),
                Ok(Record::Schema { header, data }) => {
                    assert_eq!(header.encoding, "jsonschema");
                    schemas.insert(header.id, serde_json::from_slice::<Value>(&data).unwrap());
                }
                Ok(Record::Channel(channel)) => {
                    assert_eq!(channel.message_encoding, "json");
                    assert_eq!(schemas[&channel.schema_id]["type"], "object");
                    channels.insert(channel.id, channel);
                }
                Ok(Record::Message { header, data }) => {
                    let channel = &channels[&header.channel_id];
                    if channel.metadata.contains_key("derived") {
                        recording.derived.push((channel.topic.clone(), serde_json::from_slice(&data).unwrap()));
                        continue;
                    }
                    recording.messages.push(Message {
                        topic: channel.topic.clone(),
                        metadata: channel.metadata.clone(),
                        sequence: header.sequence,
                        time: header.log_time,
                        published: header.publish_time,
                        payload: payload(&channel.metadata["wrap"], &data),
                    });
                }
                Ok(Record::Metadata(note)) => recording.notes.push((note.name, note.metadata)),
                Ok(_) => {}
            }
        }
        assert!(recording.messages.windows(2).all(|pair| pair[0].time <= pair[1].time), "time has gone back");
        recording
    }

    pub(super) fn payloads(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|message| &message.payload[..]).collect()
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.payloads().into_iter().map(|payload| std::str::from_utf8(payload).unwrap()).collect()
    }

    /// The notes of a name.
    pub(super) fn notes(&self, name: &str) -> Vec<&BTreeMap<String, String>> {
        self.notes.iter().filter(|(named, _)| named == name).map(|(_, values)| values).collect()
    }
}

/// By the description of the format, not by the code that writes it.
fn payload(wrap: &str, record: &[u8]) -> Vec<u8> {
    let object = || serde_json::from_slice::<Value>(record).unwrap();
    match wrap {
        "none" => record.into(),
        "text" => object()["text"].as_str().unwrap().into(),
        "base64" => STANDARD.decode(object()["data"].as_str().unwrap()).unwrap(),
        "leads-video" => {
            let picture = object();
            format!("{}:{}", picture["frame_id"].as_str().unwrap(), picture["data"].as_str().unwrap()).into()
        }
        _ => panic!("{wrap}"),
    }
}
