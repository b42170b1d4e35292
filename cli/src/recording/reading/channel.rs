//! The channel of a message: what a file says about all the messages that are in it.

use std::collections::BTreeMap;

use super::super::channels::{Wrap, key};

/// A channel, as a file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) topic: String,
    /// The name of its schema; empty where there is none.
    pub(crate) schema: String,
    pub(crate) used: Use,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What the records of a channel are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// They are messages, wrapped like this.
    Message(Wrap),
    /// They were made of those of another channel, for viewers.
    Derived,
    /// They are of another program, in an encoding that makes no message.
    Unknown,
}

impl Channel {
    /// A channel of an MCAP. One of another program holds messages if it is of JSON.
    pub(super) fn recorded(channel: mcap::records::Channel, schema: String) -> Self {
        let mcap::records::Channel { topic, message_encoding, metadata, .. } = channel;
        let used = match metadata.get(key::WRAP).map(|name| Wrap::named(name)) {
            _ if metadata.get(key::DERIVED).is_some_and(|derived| derived == "true") => Use::Derived,
            Some(Some(wrap)) => Use::Message(wrap),
            None if message_encoding == "json" => Use::Message(Wrap::None),
            Some(None) | None => Use::Unknown,
        };
        Self { topic, schema, used, metadata }
    }

    /// One of a file that says less.
    pub(super) fn told(topic: String, wrap: Wrap, peer: Option<&str>, is_outgoing: bool) -> Self {
        let mut metadata = BTreeMap::new();
        if let Some(peer) = peer {
            metadata.insert(key::PEER.into(), peer.into());
        }
        if is_outgoing {
            metadata.insert(key::DIRECTION.into(), "out".into());
        }
        Self { topic, schema: String::new(), used: Use::Message(wrap), metadata }
    }

    /// Whether the side that recorded has sent what is in it, rather than been sent.
    pub(crate) fn is_outgoing(&self) -> bool {
        self.metadata.get(key::DIRECTION).is_some_and(|direction| direction == "out")
    }

    pub(crate) fn peer(&self) -> Option<&str> {
        self.said(key::PEER)
    }

    pub(crate) fn role(&self) -> Option<&str> {
        self.said(key::ROLE)
    }

    /// As it was typed, with escapes; empty where messages begin with their length instead.
    pub(crate) fn separator(&self) -> Option<&str> {
        self.metadata.get(key::SEPARATOR).map(String::as_str)
    }

    /// What is empty is not known.
    fn said(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str).filter(|said| !said.is_empty())
    }
}
