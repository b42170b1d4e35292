//! MQTT's packets as messages of the library: one packet is one message, whole, as it is on the wire. Knows where a
//! packet ends, and nothing of what is in it.
//!
//! A service of the library says a goodbye, and may have to say an empty message. MQTT has neither:
//!
//! - The *goodbye* is five PINGREQ. A broker answers them, and takes the end of the stream behind them for what it is:
//!   an end without DISCONNECT, which has it publish the will. So it has to be, because the library says its goodbye
//!   also where it ends a connection for a fault; who ends in order sends DISCONNECT before.
//! - The *empty message*, which no client says, is a packet of the type that MQTT 3.1.1 has not given to any.

use leads_comm::codec::{CustomFraming, Frame, FramingError, GOODBYE};

/// Says the goodbye. As long as the message that it is read as, which is lent from where it lies.
const GOODBYE_FRAME: [u8; GOODBYE.len()] = [PINGREQ, 0, PINGREQ, 0, PINGREQ, 0, PINGREQ, 0, PINGREQ, 0];

const EMPTY_FRAME: [u8; 2] = [0xF0, 0];

/// Only clients say it, so that one which arrives here can only begin a goodbye.
const PINGREQ: u8 = 0xC0;

/// The longest that any packet may be: a first byte, four of length, and what those can count.
pub(crate) const LONGEST: usize = 1 + 4 + 0x0FFF_FFFF;

/// Tells packets apart, none of them longer than `max_len` bytes.
#[derive(Debug)]
pub(crate) struct Packets {
    pub(crate) max_len: usize,
}

impl CustomFraming for Packets {
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
        match message {
            GOODBYE => frame.extend_from_slice(&GOODBYE_FRAME),
            b"" => frame.extend_from_slice(&EMPTY_FRAME),
            packet if packet_len(packet)? == Some(packet.len()) => frame.extend_from_slice(packet),
            _ => return Err(FramingError::new("what is to be sent is not one packet")),
        }
        Ok(())
    }

    fn decode(&self, bytes: &mut [u8], _seen: usize) -> Result<Option<Frame>, FramingError> {
        match bytes.first() {
            Some(&PINGREQ) => return goodbye(bytes),
            Some(first) if !is_of_broker(*first) => return Err(FramingError::new("a broker says nothing of the kind")),
            _ => {}
        }
        // A length is read again with each part that arrives: it is at most four bytes.
        let Some(len) = packet_len(bytes)? else { return Ok(None) };
        if len > self.max_len {
            return Err(FramingError::new(format!("a packet of {len} bytes is over the limit of {}", self.max_len)));
        }
        if bytes.len() < len {
            return Ok(None);
        }
        let payload = if bytes[..len] == EMPTY_FRAME { 0..0 } else { 0..len };
        Ok(Some(Frame { payload, len }))
    }
}

/// Whether a packet of a broker may begin so, or the empty message: so that what speaks something else is found out at
/// once, and not when as much has come as its second byte seems to say.
fn is_of_broker(first: u8) -> bool {
    matches!(first, 0x20 | 0x30..=0x3F | 0x40 | 0x50 | 0x62 | 0x70 | 0x90 | 0xB0 | 0xD0) || first == EMPTY_FRAME[0]
}

fn goodbye(bytes: &mut [u8]) -> Result<Option<Frame>, FramingError> {
    let there = bytes.len().min(GOODBYE_FRAME.len());
    if bytes[..there] != GOODBYE_FRAME[..there] {
        return Err(FramingError::new("a broker does not ask for a sign of life"));
    }
    if there < GOODBYE_FRAME.len() {
        return Ok(None);
    }
    bytes[..GOODBYE.len()].copy_from_slice(GOODBYE);
    Ok(Some(Frame { payload: 0..GOODBYE.len(), len: GOODBYE_FRAME.len() }))
}

/// How long the packet is that begins here, as far as that can be told yet (MQTT 3.1.1, section 2.2.3).
pub(crate) fn packet_len(bytes: &[u8]) -> Result<Option<usize>, FramingError> {
    let mut rest = 0;
    for at in 0..4 {
        let Some(byte) = bytes.get(1 + at) else { return Ok(None) };
        rest |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(2 + at + rest));
        }
    }
    Err(FramingError::new("the length of a packet has more than four bytes"))
}

#[cfg(test)]
mod tests {
    use leads_comm::codec::{Decoder, Framing, encode};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 16;

    fn framing() -> Framing {
        Framing::custom(Packets { max_len: MAX }).unwrap()
    }

    fn packet(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        let mut len = body.len();
        loop {
            let more = if len > 0x7F { 0x80 } else { 0 };
            packet.push((len & 0x7F) as u8 | more);
            len >>= 7;
            if len == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        packet
    }

    fn decoded(decoder: &mut Decoder, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = decoder.decode(chunk);
        let mut all = Vec::new();
        while let Some(message) = messages.next_message().unwrap() {
            all.push(message.to_vec());
        }
        all
    }

    #[test]
    fn the_library_takes_it() {
        assert_eq!(framing().goodbye(), [0xC0, 0, 0xC0, 0, 0xC0, 0, 0xC0, 0, 0xC0, 0]);
    }

    #[test]
    fn only_whole_packets_are_sent() {
        let framing = framing();
        assert_eq!(encode(&packet(0x30, b"\0\x01ahello"), &framing).unwrap(), packet(0x30, b"\0\x01ahello"));
        for other in [&b"hello"[..], b"\x30", b"\x30\x02a", b"\x30\x00b", b"\x30\xFF\xFF\xFF\xFF\x01"] {
            assert!(encode(other, &framing).is_err(), "{other:?}");
        }
    }

    #[test]
    fn lengths_of_one_to_four_bytes_are_read() {
        for (bytes, len) in [
            (&b"\x30\x00"[..], Some(2)),
            (b"\x30\x7F", Some(129)),
            (b"\x30\x80\x01", Some(131)),
            (b"\x30\xFF\x7F", Some(16_386)),
            (b"\x30\x80\x80\x01", Some(16_388)),
            (b"\x30\x80\x80\x80\x01", Some(2_097_157)),
            (b"\x30\xFF\xFF\xFF\x7F", Some(LONGEST)),
            (b"\x30", None),
            (b"", None),
            (b"\x30\x80", None),
            (b"\x30\x80\x80\x80", None),
        ] {
            assert_eq!(packet_len(bytes).unwrap(), len, "{bytes:?}");
        }
        assert!(packet_len(b"\x30\x80\x80\x80\x80").is_err());
    }

    #[test]
    fn a_packet_over_the_limit_is_refused_before_it_has_arrived() {
        let mut decoder = Decoder::new(framing(), MAX);
        // 65,537 bytes in all.
        assert!(decoder.decode(b"\x30\xFD\xFF\x03").next_message().is_err());
        let mut decoder = Decoder::new(framing(), MAX);
        let longest = packet(0x30, &vec![b'a'; MAX - 4]);
        assert_eq!(longest.len(), MAX);
        assert!(decoded(&mut decoder, &longest) == vec![longest]);
    }

    #[test]
    fn what_only_clients_say_is_refused() {
        for bytes in [&b"\xC0\x00\x30"[..], b"\x10", b"\x82", b"\xE0", b"\x41", b"HTTP/1.1 400", b"\x16\x03"] {
            let mut decoder = Decoder::new(framing(), MAX);
            assert!(decoder.decode(bytes).next_message().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn packets_are_found_at_every_split() {
        let packets = [packet(0x20, b"\0\0"), packet(0x31, &[7; 200]), packet(0xD0, b""), packet(0x40, b"\0\x01")];
        let stream = packets.concat();
        for at in 0..=stream.len() {
            let mut decoder = Decoder::new(framing(), MAX);
            let mut found = decoded(&mut decoder, &stream[..at]);
            found.extend(decoded(&mut decoder, &stream[at..]));
            assert_eq!(found, packets, "split at {at}");
        }
    }

    fn any_packet() -> impl Strategy<Value = Vec<u8>> {
        let first = any::<u8>().prop_filter("no broker says it", |first| *first != 0xF0 && is_of_broker(*first));
        (first, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(first, body)| packet(first, &body))
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives_however_it_is_cut(
            packets in prop::collection::vec(any_packet(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let framing = framing();
            let stream: Vec<u8> = packets.iter().flat_map(|packet| encode(packet, &framing).unwrap()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let mut decoder = Decoder::new(framing, MAX);
            let (mut found, mut from) = (Vec::new(), 0);
            for to in cuts {
                found.extend(decoded(&mut decoder, &stream[from..to]));
                from = to;
            }
            prop_assert_eq!(found, packets);
        }

        #[test]
        fn no_bytes_are_too_much_for_it(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let framing = Packets { max_len: MAX };
            if let Ok(Some(Frame { payload, len })) = framing.decode(&mut bytes, 0) {
                prop_assert!(len > 0 && len <= bytes.len() && payload.end <= len);
            }
        }
    }
}
