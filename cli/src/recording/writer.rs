//! MCAP: messages and notes, made into bytes of a file. It touches no file itself.
//!
//! ```text
//!   message ──▶ its channel, made when it is first met ──▶ a chunk, in memory ──▶ whole records ──▶ take
//! ```

use std::collections::HashMap;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use mcap::records::{MessageHeader, Metadata};
use mcap::write::NoSeek;
use mcap::{Compression, McapError, WriteOptions, Writer};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::Form;
use super::channels::Origin;
use super::queue::Received;
use super::record::{Channel, records};

/// Of how many places the messages have channels of their own; MCAP has room for some thousands.
const MOST_ORIGINS: usize = 1000;

/// The peer of all the others.
const OTHERS: &str = "others";

/// A part of a recording, of its own: it can be read without the others.
pub(crate) struct McapWriter {
    /// The topic of JSON objects.
    name: String,
    writer: Writer<NoSeek<Shared>>,
    written: Shared,
    pending: usize,
    channels: HashMap<Arc<Origin>, HashMap<Channel, u16>>,
}

/// What the writer has written; writing to it does not fail.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl McapWriter {
    pub(crate) fn new(name: &str) -> Result<Self, McapError> {
        let written = Shared::default();
        let writer = WriteOptions::new()
            .library(format!("leads-comm {}", env!("CARGO_PKG_VERSION")))
            .compression(Some(Compression::Zstd))
            // Compressing is a small part of the work of one thread.
            .compression_threads(0)
            // A chunk stays in memory until it is flushed, so that a file never ends with half of one.
            .chunk_size(None)
            .disable_seeking(true)
            .create(NoSeek::new(written.clone()))?;
        Ok(Self { name: name.into(), writer, written, pending: 0, channels: HashMap::new() })
    }

    fn take(&mut self) -> Vec<u8> {
        self.pending = 0;
        mem::take(&mut self.written.0.lock())
    }

    /// The channel of a kind of message from there.
    fn channel(
        &mut self,
        origin: &Arc<Origin>,
        channel: Channel,
        object: Option<&Map<String, Value>>,
    ) -> Result<u16, McapError> {
        if let Some(id) = self.channels.get(origin).and_then(|channels| channels.get(&channel)) {
            return Ok(*id);
        }
        let origin = match self.channels.contains_key(origin) || self.channels.len() < MOST_ORIGINS {
            true => Arc::clone(origin),
            false => Arc::new(Origin { peer: OTHERS.into(), ..Origin::clone(origin) }),
        };
        let (topic, (schema, text)) = (channel.topic(&self.name), channel.schema(object));
        let metadata = channel.metadata(&origin);
        let channels = self.channels.entry(origin).or_default();
        if let Some(id) = channels.get(&channel) {
            return Ok(*id);
        }
        let schema = self.writer.add_schema(schema, "jsonschema", text.as_bytes())?;
        let id = self.writer.add_channel(schema, &topic, "json", &metadata)?;
        channels.insert(channel, id);
        Ok(id)
    }
}

impl Form for McapWriter {
    fn message(&mut self, received: &Received) -> Result<bool, McapError> {
        let Received { time, sequence, ref origin, ref message } = *received;
        records(message, time, |record| {
            let channel_id = self.channel(origin, record.channel, record.object)?;
            self.pending += record.data.len();
            let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: record.publish_time };
            self.writer.write_to_known_channel(&header, &record.data)
        })?;
        Ok(true)
    }

    fn note(&mut self, note: &Metadata) -> Result<(), McapError> {
        self.writer.write_metadata(note)
    }

    fn pending(&self) -> usize {
        self.pending
    }

    fn flush(&mut self) -> Result<Vec<u8>, McapError> {
        self.writer.flush()?;
        Ok(self.take())
    }

    fn finish(&mut self) -> Result<Vec<u8>, McapError> {
        self.writer.finish()?;
        Ok(self.take())
    }
}

#[cfg(test)]
mod tests {
    use leads_comm_testing::seed::Random;
    use serde_json::json;

    use super::*;

    /// What LEADS sends 30 times a second, about, with sensors that are a little noisy.
    fn frame(index: u64) -> Value {
        let mut chance = Random::new(index);
        let mut near = |value: f64, noise: f64| value + noise * (chance.number() % 1000) as f64 / 1000.0;
        let time = index as f64 / 30.0;
        let speed = 30.0 + 20.0 * (time / 10.0).sin();
        json!({
            "brake": 0.0, "forward_acceleration": near(2.0 * (time / 10.0).cos(), 0.2), "front_proximity": -1.0,
            "front_wheel_speed": near(speed, 0.5), "gps_ground_speed": near(speed, 1.0), "gps_valid": true,
            "lap_times": [], "lateral_acceleration": near(0.0, 0.2), "latitude": near(43.65 + time * 1e-5, 1e-6),
            "left_proximity": -1.0, "longitude": near(-79.38 + time * 1e-5, 1e-6), "m1_mode": "D", "m3_mode": "D",
            "mileage": time * 0.01, "pitch": near(0.0, 0.5), "rear_proximity": -1.0,
            "rear_wheel_speed": near(speed, 0.5),
            "right_proximity": -1.0, "roll": near(0.0, 0.5), "speed": near(speed, 0.5), "speed_trend": near(0.0, 0.1),
            "steering_position": near(0.0, 0.1), "t": 1_795_897_762_603_u64 + index * 1000 / 30,
            "throttle": near(0.5, 0.01), "vertical_acceleration": near(9.81, 0.1), "voltage": near(48.0, 0.1),
            "yaw": near(90.0, 0.5),
        })
    }

    fn size(messages: u64, at_once: u64) -> usize {
        let mut writer = McapWriter::new("leads").unwrap();
        let origin = Arc::new(Origin { role: "client", peer: "10.0.0.4".into(), separator: ";".into() });
        let mut len = 0;
        for index in 0..messages {
            let message = frame(index).to_string().into_bytes();
            let time = 1_795_897_762_603_000_000 + index * 1_000_000_000 / 30;
            writer.message(&Received { time, sequence: index as u32, origin: Arc::clone(&origin), message }).unwrap();
            if index % at_once == at_once - 1 {
                len += writer.flush().unwrap().len();
            }
        }
        len + writer.finish().unwrap().len()
    }

    /// What is flushed twice a second is not much larger for it.
    #[test]
    fn a_minute_of_frames_is_small() {
        let received: usize = (0..1800).map(|index| frame(index).to_string().len()).sum();
        let (often, once) = (size(1800, 15), size(1800, 1800));
        println!("{received} bytes: {often} flushed twice a second, {once} in one chunk, {} a second", size(1800, 30));
        assert!(often < received / 2, "{often} of {received}");
    }
}
