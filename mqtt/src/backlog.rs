//! What waits for a broker that is not there, and in which form: in the spool, and on the topic of the backlog.
//!
//! In the spool a message is a record:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version of this layout, 1 |
//! | 8 | when the message was published, in milliseconds since 1970, the lowest byte first |
//! | 4 | how long its key is, the lowest byte first; all ones where it has none |
//! | so many | the key |
//! | all others | the payload |
//!
//! On the topic it is a line of JSON, and behind that the payload; the README has it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use leads_comm::Key;
use leads_comm_resume::{HistoryError, Spool, Taken};

use crate::topics::escape;
use crate::waiting::Message;

/// What becomes of messages while there is no session with the broker, or more of them than it takes.
///
/// What waits is published when there is a session again, behind what is live and no faster than
/// [`catch_up`](crate::BridgeBuilder::catch_up), in order, with QoS 1, and to a topic of its own, so that nobody who
/// looks at what is live is thrown back in time. Where there is too much the oldest goes, and is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Offline {
    /// They are dropped, and counted. The default.
    #[default]
    Drop,
    /// They wait in memory: so many bytes of them, 64 KiB at least. What waits goes with the process.
    Memory(u64),
    /// They wait in files, which survive the process and are read when the bridge is built.
    Spool {
        /// Where. Made if it is not there; nobody else's, and no other bridge's.
        folder: PathBuf,
        /// How many bytes there may be, 64 KiB at least.
        max_bytes: u64,
    },
}

impl Offline {
    /// [`Offline::Spool`] in this folder, with so many bytes.
    pub fn spool(folder: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self::Spool { folder: folder.into(), max_bytes }
    }

    /// How many bytes may wait; `None` where none do.
    pub(crate) fn max_bytes(&self) -> Option<u64> {
        match self {
            Self::Drop => None,
            Self::Memory(max_bytes) | Self::Spool { max_bytes, .. } => Some(*max_bytes),
        }
    }
}

/// How much is read from the spool at a time, in bytes.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Backlog {
    spool: Option<Spool>,
    /// What has been read and not been published.
    taken: VecDeque<Taken>,
    /// Whether there may be more in the spool than was taken.
    may_have_more: bool,
    record: Vec<u8>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// How many were lost since the beginning.
    pub(crate) lost: u64,
}

/// What became of a message that was to wait.
#[derive(Debug)]
pub(crate) enum Fate {
    Waits,
    /// Nothing waits.
    Dropped,
    /// It could not be kept, and is counted as lost by the spool.
    Failed(HistoryError),
}

impl Backlog {
    pub(crate) fn open(offline: &Offline) -> Result<Self, HistoryError> {
        let spool = match offline {
            Offline::Drop => None,
            Offline::Memory(max_bytes) => Some(Spool::in_memory(*max_bytes)?),
            Offline::Spool { folder, max_bytes } => Some(Spool::open(folder, *max_bytes)?),
        };
        Ok(Self { may_have_more: spool.is_some(), spool, taken: VecDeque::new(), record: Vec::new() })
    }

    pub(crate) fn append(&mut self, message: &Message) -> Fate {
        let Some(spool) = &self.spool else { return Fate::Dropped };
        encode(message, &mut self.record);
        match spool.append(&self.record) {
            Ok(()) => {
                self.may_have_more = true;
                Fate::Waits
            }
            Err(error) => Fate::Failed(error),
        }
    }

    /// Whether something waits that has not been published in this session, as far as is known.
    pub(crate) fn has_next(&self) -> bool {
        self.may_have_more || !self.taken.is_empty()
    }

    /// The next one that has not been published in this session.
    pub(crate) fn next(&mut self) -> Result<Option<Taken>, HistoryError> {
        self.read()?;
        Ok(self.taken.pop_front())
    }

    /// When that was given to the bridge, in milliseconds since 1970; `None` where there is none, or it cannot be read.
    pub(crate) fn oldest(&mut self) -> Option<u64> {
        self.read().ok()?;
        self.taken.front().and_then(|taken| time_of(&taken.payload))
    }

    /// Reads the next ones, where there are any and none has been read.
    fn read(&mut self) -> Result<(), HistoryError> {
        if self.taken.is_empty() && self.may_have_more {
            if let Some(spool) = &self.spool {
                self.taken = spool.take(CHUNK)?.into();
            }
            self.may_have_more = !self.taken.is_empty();
        }
        Ok(())
    }

    /// All up to this number have arrived.
    pub(crate) fn acknowledge(&self, number: u64) {
        if let Some(spool) = &self.spool {
            spool.acknowledge(number);
        }
    }

    /// What has not been acknowledged is published again.
    pub(crate) fn rewind(&mut self) {
        self.taken.clear();
        if let Some(spool) = &self.spool {
            spool.rewind();
            self.may_have_more = true;
        }
    }

    pub(crate) fn extent(&self) -> Extent {
        let Some(spool) = &self.spool else { return Extent::default() };
        let backlog = spool.backlog();
        Extent { messages: backlog.messages, bytes: backlog.bytes, lost: backlog.lost }
    }
}

const VERSION: u8 = 1;
const HEAD: usize = 1 + 8 + 4;
const NO_KEY: u32 = u32::MAX;

/// Makes the record of a message, in place of what is in the buffer.
fn encode(message: &Message, record: &mut Vec<u8>) {
    let key = message.key.as_ref().map(Key::as_bytes);
    // Keys are far shorter: those of bridges have an end.
    let key_len = key.map_or(NO_KEY, |key| u32::try_from(key.len()).unwrap_or(NO_KEY));
    record.clear();
    record.push(VERSION);
    record.extend_from_slice(&message.at.to_le_bytes());
    record.extend_from_slice(&key_len.to_le_bytes());
    record.extend_from_slice(key.unwrap_or_default());
    record.extend_from_slice(&message.payload);
}

/// The message of a record; `None` where it is none.
pub(crate) fn decode(record: &[u8]) -> Option<Message> {
    let (head, rest) = (record.get(..HEAD)?, record.get(HEAD..)?);
    if head[0] != VERSION {
        return None;
    }
    let at = time_of(record)?;
    let (key, payload) = match u32::from_le_bytes(head[9..].try_into().ok()?) {
        NO_KEY => (None, rest),
        len => {
            let key = rest.get(..len as usize)?;
            (Some(Key::new(key)), &rest[key.len()..])
        }
    };
    Some(Message { at, key, payload: payload.into() })
}

fn time_of(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(record.get(1..9)?.try_into().ok()?))
}

/// How much longer than its payload a message of the backlog is at most, with a key of so many bytes when that is
/// escaped.
pub(crate) fn overhead(escaped_key_len: usize) -> usize {
    // The longest without a key, and a line feed; in front of a `"` or `\` of the key there is one more.
    br#"{"time_ms":18446744073709551615,"key":null}"#.len() + 1 + 2 * escaped_key_len
}

/// What is published of a message of the backlog.
pub(crate) fn published(message: &Message) -> Arc<[u8]> {
    let key = message.key.as_ref().map_or("null".to_owned(), |key| {
        // All that JSON would have escaped has become `%XX`, but for these two.
        format!("\"{}\"", escape(key.as_bytes()).replace('\\', "\\\\").replace('"', "\\\""))
    });
    let mut bytes = format!("{{\"time_ms\":{},\"key\":{key}}}\n", message.at).into_bytes();
    bytes.extend_from_slice(&message.payload);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use leads_comm_testing::folder::Folder;
    use proptest::prelude::*;

    use super::*;

    fn message(at: u64, key: Option<&str>, payload: &[u8]) -> Message {
        Message { at, key: key.map(Key::new), payload: payload.into() }
    }

    fn next(backlog: &mut Backlog) -> Option<(u64, Message)> {
        backlog.next().unwrap().map(|taken| (taken.number, decode(&taken.payload).unwrap()))
    }

    #[test]
    fn what_is_not_acknowledged_comes_again() {
        let folder = Folder::new("backlog");
        for offline in [Offline::Memory(1 << 20), Offline::spool(folder.path(), 1 << 20)] {
            let mut backlog = Backlog::open(&offline).unwrap();
            assert_eq!(next(&mut backlog), None);
            assert!(!backlog.has_next() && backlog.oldest().is_none());
            let messages = [message(1, None, b"one"), message(2, Some("k"), b""), message(3, None, b"three")];
            for message in &messages {
                assert!(matches!(backlog.append(message), Fate::Waits));
            }
            let (first, found) = next(&mut backlog).unwrap();
            assert_eq!(found, messages[0]);
            assert_eq!(backlog.oldest(), Some(2));
            backlog.acknowledge(first);
            assert_eq!(next(&mut backlog).map(|(_, found)| found), Some(messages[1].clone()));
            backlog.rewind();
            assert_eq!(backlog.extent().messages, 2);
            let again: Vec<Message> = std::iter::from_fn(|| next(&mut backlog)).map(|(_, found)| found).collect();
            assert_eq!(again, messages[1..]);
            assert!(!backlog.has_next());
        }
    }

    #[test]
    fn nothing_waits_where_it_is_dropped() {
        let mut backlog = Backlog::open(&Offline::Drop).unwrap();
        assert!(!backlog.has_next());
        assert!(matches!(backlog.append(&message(1, None, b"one")), Fate::Dropped));
        backlog.rewind();
        assert_eq!((backlog.has_next(), next(&mut backlog), backlog.extent()), (false, None, Extent::default()));
    }

    #[test]
    fn what_is_published_is_what_is_documented() {
        let of = |key, payload: &[u8]| published(&message(1_700_000_000_000, key, payload)).to_vec();
        assert_eq!(of(None, b"\0\n;"), b"{\"time_ms\":1700000000000,\"key\":null}\n\0\n;");
        let expected = b"{\"time_ms\":1700000000000,\"key\":\"a%2F\\\"\\\\\"}\n38.5";
        assert_eq!(of(Some("a/\"\\"), b"38.5"), expected);
    }

    #[test]
    fn what_is_no_record_is_none() {
        for record in [&b""[..], b"\x01", &[2; 40], b"\x01\0\0\0\0\0\0\0\0\x02\0\0\0k"] {
            assert_eq!(decode(record), None, "{record:?}");
        }
    }

    proptest! {
        #[test]
        fn a_record_is_read_again(
            at: u64,
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let message = Message { at, key: key.map(Key::new), payload: payload.into() };
            let mut record = vec![7; 3];
            encode(&message, &mut record);
            prop_assert_eq!(decode(&record), Some(message.clone()));

            // The line is JSON, and says the same.
            let published = published(&message);
            let end = published.iter().position(|byte| *byte == b'\n').unwrap();
            let head: serde_json::Value = serde_json::from_slice(&published[..end]).unwrap();
            prop_assert_eq!(head["time_ms"].as_u64(), Some(message.at));
            let key = head["key"].as_str().map(|key| Key::new(crate::unescape(key).unwrap()));
            prop_assert_eq!(key, message.key.clone());
            prop_assert_eq!(&published[end + 1..], &message.payload[..]);
            let escaped_len = message.key.map_or(0, |key| escape(key.as_bytes()).len());
            prop_assert!(end < overhead(escaped_len));
        }

        #[test]
        fn no_bytes_are_too_much_for_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
