//! The messages of an MCAP: of each channel what is to be made of it, and of each message what was received or sent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use mcap::records::Record;

use super::super::channels;
use super::channel::{Channel, Use};
use super::item::{Item, Message};
use super::records::{End, Found, Records};

/// The messages of one file.
pub(crate) struct McapMessages<R> {
    records: Records<R>,
    /// The names of the schemas, by id.
    schemas: HashMap<u16, String>,
    channels: HashMap<u16, Arc<Channel>>,
    /// Messages of which the channel is lost.
    strays: u64,
}

impl<R: Read> McapMessages<R> {
    pub(crate) fn new(records: Records<R>) -> Self {
        Self { records, schemas: HashMap::new(), channels: HashMap::new(), strays: 0 }
    }

    /// How the file ends, once there is nothing more in it.
    pub(crate) fn end(&self) -> Option<End> {
        self.records.end()
    }

    /// How many bytes of the file have been read.
    pub(crate) fn position(&self) -> u64 {
        self.records.position()
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    ///
    /// Whatever reading reports.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            let record = match self.records.next()? {
                Some(Found::Record(record)) => record,
                Some(Found::Damaged(damage)) => return Ok(Some(Item::Damaged(damage.to_string()))),
                None if self.strays > 0 => {
                    let strays = std::mem::take(&mut self.strays);
                    let text =
                        format!("{strays} messages are of no use: what describes them is in a part that is lost");
                    return Ok(Some(Item::Damaged(text)));
                }
                None => return Ok(None),
            };
            match record {
                Record::Header(header) => return Ok(Some(Item::MadeBy(header.library))),
                Record::Schema { header, .. } => {
                    self.schemas.insert(header.id, header.name);
                }
                Record::Channel(channel) => {
                    let schema = self.schemas.get(&channel.schema_id).cloned().unwrap_or_default();
                    self.channels.insert(channel.id, Arc::new(Channel::recorded(channel, schema)));
                }
                Record::Message { header, data } => match self.channels.get(&header.channel_id) {
                    None => self.strays += 1,
                    Some(channel) => return Ok(Some(item(channel, header.log_time, data.into_owned()))),
                },
                Record::Metadata(metadata) => return Ok(Some(Item::Note(metadata))),
                _ => {}
            }
        }
    }
}

fn item(channel: &Arc<Channel>, time: u64, data: Vec<u8>) -> Item {
    let channel = channel.clone();
    let len = data.len();
    match channel.used {
        Use::Derived | Use::Unknown => Item::Other { channel, time, len },
        Use::Message(wrap) => {
            let payload = match channels::unwrap(wrap, &data) {
                Ok(Cow::Borrowed(_)) => None,
                Ok(Cow::Owned(payload)) => Some(payload),
                Err(error) => return Item::Damaged(format!("a message of {}: {error}", channel.topic)),
            };
            Item::Message(Message { channel, time, payload: payload.unwrap_or(data) })
        }
    }
}
