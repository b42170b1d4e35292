//! The packets of MQTT 3.1.1, made and read. The only module that knows the crate which does it: whoever would rather
//! have another one writes this file anew.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{Qos, SubEntry, SubOpts, v3_1_1 as packets};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, MqttError, SubackReturnCode};

use crate::Refusal;
use crate::framing::packet_len;

/// What a client says first.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) client_id: String,
    /// In seconds.
    pub(crate) keep_alive: u16,
    pub(crate) will_topic: String,
    pub(crate) credentials: Option<(String, Vec<u8>)>,
}

/// What a broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// CONNACK.
    Answered(Result<(), Refusal>),
    /// PUBACK, for the message that was published with this number.
    Acknowledged(u16),
    /// SUBACK.
    Subscribed { granted: bool },
    /// PUBLISH.
    Message(Published),
    /// PINGRESP.
    Alive,
}

/// A message that comes from the broker, or went to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// There is one where an acknowledgement is wanted.
    pub(crate) id: Option<u16>,
    pub(crate) retained: bool,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl From<MqttError> for Malformed {
    fn from(error: MqttError) -> Self {
        Self(error.to_string())
    }
}

impl From<&str> for Malformed {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// CONNECT, with a session that begins anew, and with a will.
pub(crate) fn connect(hello: &Hello, will: Vec<u8>) -> Result<Vec<u8>, Malformed> {
    let builder = packets::Connect::builder()
        .client_id(hello.client_id.as_str())?
        .clean_session(true)
        .keep_alive(hello.keep_alive)
        .will_message(hello.will_topic.as_str(), will, Qos::AtLeastOnce, true)?;
    let builder = match &hello.credentials {
        Some((user, password)) => builder.user_name(user.as_str())?.password(password.clone())?,
        None => builder,
    };
    Ok(builder.build()?.to_continuous_buffer())
}

/// PUBLISH, with QoS 1 if there is an `id`, and else with QoS 0.
pub(crate) fn publish(topic: &str, payload: &Arc<[u8]>, id: Option<u16>, retain: bool) -> Result<Vec<u8>, Malformed> {
    let builder = packets::Publish::builder().topic_name(topic)?.retain(retain).payload(Arc::clone(payload));
    let builder = match id {
        Some(id) => builder.qos(Qos::AtLeastOnce).packet_id(id),
        None => builder.qos(Qos::AtMostOnce),
    };
    Ok(builder.build()?.to_continuous_buffer())
}

/// SUBSCRIBE, to one topic with QoS 1.
pub(crate) fn subscribe(id: u16, topic: &str) -> Result<Vec<u8>, Malformed> {
    let entry = SubEntry::new(topic, SubOpts::new().set_qos(Qos::AtLeastOnce))?;
    Ok(packets::Subscribe::builder().packet_id(id).entries(vec![entry]).build()?.to_continuous_buffer())
}

/// PUBACK.
pub(crate) fn acknowledge(id: u16) -> Result<Vec<u8>, Malformed> {
    Ok(packets::Puback::builder().packet_id(id).build()?.to_continuous_buffer())
}

/// PINGREQ.
pub(crate) fn ping() -> Vec<u8> {
    packets::Pingreq::new().to_continuous_buffer()
}

/// DISCONNECT: the broker forgets the will.
pub(crate) fn disconnect() -> Vec<u8> {
    packets::Disconnect::new().to_continuous_buffer()
}

/// Reads one whole packet.
pub(crate) fn read(packet: &[u8]) -> Result<Incoming, Malformed> {
    if packet_len(packet).ok().flatten() != Some(packet.len()) {
        return Err("it is not one whole packet".into());
    }
    // The length takes one byte, and one more for each that says that another one follows.
    let head = 2 + packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
    let (first, body) = (packet[0], &packet[head..]);
    match (first >> 4, first & 0x0F) {
        (2, 0) => Ok(Incoming::Answered(refusal(packets::Connack::parse(body)?.0.return_code()))),
        (3, flags) => read_publish(flags, body).map(Incoming::Message),
        (4, 0) => Ok(Incoming::Acknowledged(packets::Puback::parse(body)?.0.packet_id())),
        (9, 0) => {
            let granted = packets::Suback::parse(body)?.0.return_codes().iter().all(SubackReturnCode::is_success);
            Ok(Incoming::Subscribed { granted })
        }
        (13, 0) => Ok(Incoming::Alive),
        (kind, _) => Err(Malformed(format!("a broker does not send packets of the type {kind} to this client"))),
    }
}

/// Reads PUBLISH, which either side may send.
fn read_publish(flags: u8, body: &[u8]) -> Result<Published, Malformed> {
    let (publish, _) = packets::Publish::parse(flags, Arc::from(body))?;
    if publish.qos() == Qos::ExactlyOnce {
        return Err("QoS 2 has not been subscribed to".into());
    }
    Ok(Published {
        topic: publish.topic_name().to_owned(),
        payload: publish.payload().as_slice().to_vec(),
        id: publish.packet_id(),
        retained: publish.retain(),
    })
}

fn refusal(code: ConnectReturnCode) -> Result<(), Refusal> {
    match code {
        ConnectReturnCode::Accepted => Ok(()),
        ConnectReturnCode::UnacceptableProtocolVersion => Err(Refusal::Protocol),
        ConnectReturnCode::IdentifierRejected => Err(Refusal::ClientId),
        ConnectReturnCode::ServerUnavailable => Err(Refusal::Unavailable),
        ConnectReturnCode::BadUserNameOrPassword => Err(Refusal::Credentials),
        ConnectReturnCode::NotAuthorized => Err(Refusal::NotAuthorised),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(credentials: Option<(&str, &[u8])>) -> Hello {
        Hello {
            client_id: "car".to_owned(),
            keep_alive: 10,
            will_topic: "s".to_owned(),
            credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_vec())),
        }
    }

    #[test]
    fn packets_are_those_of_the_specification() {
        let connect = |credentials| connect(&hello(credentials), b"gone".to_vec()).unwrap();
        // Clean session, will, will QoS 1, will retained.
        assert_eq!(connect(None), *b"\x10\x18\0\x04MQTT\x04\x2E\0\x0A\0\x03car\0\x01s\0\x04gone");
        let with_password = b"\x10\x22\0\x04MQTT\x04\xEE\0\x0A\0\x03car\0\x01s\0\x04gone\0\x03ann\0\x03x\0y";
        assert_eq!(connect(Some(("ann", &b"x\0y"[..]))), *with_password);
        let payload: Arc<[u8]> = Arc::from(&b"38.5"[..]);
        assert_eq!(publish("a/b", &payload, None, false).unwrap(), *b"\x30\x09\0\x03a/b38.5");
        assert_eq!(publish("a/b", &payload, Some(258), true).unwrap(), *b"\x33\x0B\0\x03a/b\x01\x0238.5");
        assert_eq!(publish("a/b", &Arc::from([]), None, true).unwrap(), *b"\x31\x05\0\x03a/b");
        assert_eq!(subscribe(1, "a/down").unwrap(), *b"\x82\x0B\0\x01\0\x06a/down\x01");
        assert_eq!(acknowledge(0x1234).unwrap(), *b"\x40\x02\x12\x34");
        assert_eq!((ping(), disconnect()), (b"\xC0\0".to_vec(), b"\xE0\0".to_vec()));
    }

    #[test]
    fn what_a_broker_says_is_read() {
        assert_eq!(read(b"\x20\x02\0\0"), Ok(Incoming::Answered(Ok(()))));
        for (code, refusal) in [
            (1, Refusal::Protocol),
            (2, Refusal::ClientId),
            (3, Refusal::Unavailable),
            (4, Refusal::Credentials),
            (5, Refusal::NotAuthorised),
        ] {
            assert_eq!(read(&[0x20, 2, 0, code]), Ok(Incoming::Answered(Err(refusal))));
        }
        assert_eq!(read(b"\x40\x02\x12\x34"), Ok(Incoming::Acknowledged(0x1234)));
        assert_eq!(read(b"\x90\x03\0\x01\x01"), Ok(Incoming::Subscribed { granted: true }));
        assert_eq!(read(b"\x90\x03\0\x01\x80"), Ok(Incoming::Subscribed { granted: false }));
        assert_eq!(read(b"\xD0\0"), Ok(Incoming::Alive));
        let message = |id, retained| {
            let (topic, payload) = ("a/down".to_owned(), b"go".to_vec());
            Ok(Incoming::Message(Published { topic, payload, id, retained }))
        };
        assert_eq!(read(b"\x30\x0A\0\x06a/downgo"), message(None, false));
        assert_eq!(read(b"\x3B\x0C\0\x06a/down\0\x07go"), message(Some(7), true));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for packet in [
            &b""[..],
            b"\x20",
            b"\x20\x02\0",
            b"\x20\x02\0\x06",
            b"\x20\x01\0",
            b"\x40\x02\0\0",
            b"\x90\x02\0\x01",
            // QoS 2, and 3.
            b"\x34\x07\0\x01a\0\x01go",
            b"\x36\x07\0\x01a\0\x01go",
            // A topic that is longer than the packet, and one that is not UTF-8.
            b"\x30\x03\0\x09a",
            b"\x30\x04\0\x02\xFF\xFE",
            // QoS 1 without a number.
            b"\x32\x03\0\x01a",
            b"\xF0\0",
            b"\x10\0",
        ] {
            assert!(read(packet).is_err(), "{packet:?}: {:?}", read(packet));
        }
    }

    #[test]
    fn what_mqtt_cannot_say_is_an_error() {
        let long = "a".repeat(65_536);
        assert!(connect(&Hello { client_id: long.clone(), ..hello(None) }, Vec::new()).is_err());
        assert!(publish(&long, &Arc::from([]), None, false).is_err());
        assert!(publish("a/+", &Arc::from([]), None, false).is_err());
        assert!(publish("", &Arc::from([]), None, false).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_is_published_is_read_again(
            topic in "[a-zé/]{1,40}",
            payload in prop::collection::vec(any::<u8>(), 0..400),
            id in prop::option::of(1_u16..),
            retained: bool,
        ) {
            let packet = publish(&topic, &Arc::from(&payload[..]), id, retained).unwrap();
            prop_assert_eq!(read(&packet), Ok(Incoming::Message(Published { topic, payload, id, retained })));
        }
    }
}
