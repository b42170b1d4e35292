//! Files as recorders leave them: whole, cut off at any byte, damaged.

use std::cell::RefCell;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::rc::Rc;

use ::mcap::records::{MessageHeader, Metadata, op};
use ::mcap::{WriteOptions, Writer};
use leads_comm_testing::folder::Folder;
use proptest::prelude::*;

use super::super::channels::{self, Wrap};
use super::chunk::{HEAD, is_chunk};
use super::mcap::McapMessages;
use super::*;

/// A few kinds of messages, an empty one among them.
fn payload(number: usize) -> Vec<u8> {
    match number % 5 {
        0 => format!("{{\"speed\": {number}, \"t\":1795897762603}}").into_bytes(),
        1 => b"time_lap".into(),
        2 => vec![0xff, 0xd8, number as u8],
        3 => b"frvc:/9j/4A==".into(),
        _ => Vec::new(),
    }
}

/// A file that can be looked into while it is being written.
#[derive(Debug, Default, Clone)]
struct Disk(Rc<RefCell<Cursor<Vec<u8>>>>);

impl Disk {
    fn content(&self) -> Vec<u8> {
        self.0.borrow().get_ref().clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(position)
    }
}

/// A recording of so many messages, with a chunk for every `in_chunk` of them, and how long it was behind each chunk.
fn recording(count: usize, in_chunk: usize, is_finished: bool) -> (Vec<u8>, Vec<(u64, usize)>) {
    let disk = Disk::default();
    let mut writer = WriteOptions::new().library("test").create(disk.clone()).unwrap();
    let mut ends = Vec::new();
    for number in 0..count {
        let payload = payload(number);
        let wrapped = channels::wrap(&payload, number as u64);
        write(&mut writer, &wrapped, number);
        if (number + 1) % in_chunk == 0 {
            writer.flush().unwrap();
            ends.push((disk.content().len() as u64, number + 1));
        }
    }
    let metadata = [("at".to_owned(), "5".to_owned())].into();
    writer.write_metadata(&Metadata { name: "leads.clock".into(), metadata }).unwrap();
    if is_finished {
        writer.finish().unwrap();
    }
    (disk.content(), ends)
}

fn write(writer: &mut Writer<Disk>, wrapped: &channels::Wrapped<'_>, number: usize) {
    let wrap = wrapped.kind.wrap();
    let schema = writer.add_schema("leads.Frame", "jsonschema", b"{\"type\":\"object\"}").unwrap();
    let metadata = [("wrap".to_owned(), wrap.name().to_owned()), ("direction".to_owned(), "in".to_owned())].into();
    let channel = writer.add_channel(schema, &wrapped.kind.topic("leads"), "json", &metadata).unwrap();
    let time = 1_000 + number as u64;
    let header = MessageHeader { channel_id: channel, sequence: number as u32, log_time: time, publish_time: time };
    writer.write_to_known_channel(&header, &wrapped.data).unwrap();
}

/// All messages, what was said about damage, and how it ends.
fn read(file: &[u8]) -> (Vec<Vec<u8>>, Vec<String>, Option<End>) {
    let mut messages = McapMessages::new(Records::behind_magic(&file[MAGIC.len().min(file.len())..]));
    let (mut payloads, mut damages) = (Vec::new(), Vec::new());
    while let Some(item) = messages.next().unwrap() {
        match item {
            Item::Message(message) => payloads.push(message.payload),
            Item::Damaged(text) => damages.push(text),
            _ => {}
        }
    }
    (payloads, damages, messages.end())
}

#[test]
fn a_finished_recording_is_read_to_its_end() {
    let (file, _) = recording(23, 5, true);
    let expected: Vec<_> = (0..23).map(payload).collect();
    assert_eq!(read(&file), (expected, Vec::new(), Some(End::Finished)));
}

#[test]
fn a_recording_that_is_cut_off_at_any_byte_gives_what_was_flushed() {
    let (file, ends) = recording(23, 5, true);
    for len in MAGIC.len()..file.len() {
        let (payloads, damages, end) = read(&file[..len]);
        let flushed = ends.iter().rev().find(|(end, _)| *end <= len as u64).map_or(0, |(_, count)| *count);
        assert!(payloads.len() >= flushed, "{len}: {} of {flushed}", payloads.len());
        assert!(payloads.iter().enumerate().all(|(number, message)| *message == payload(number)), "{len}");
        assert_eq!((damages, end), (Vec::new(), Some(End::CutOff)), "{len}");
    }
}

#[test]
fn a_chunk_that_was_being_written_gives_what_is_there() {
    // Larger than what the compressor holds back, so that something of it is in the file.
    let disk = Disk::default();
    let options = WriteOptions::new().chunk_size(None).compression_threads(0);
    let mut writer = options.create(disk.clone()).unwrap();
    let mut seed = 1_u32;
    for number in 0..2_000 {
        let payload: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(900)
        .collect();
        write(&mut writer, &channels::wrap(&payload, 0), number);
    }
    let (payloads, damages, end) = read(&disk.content());
    assert!(!payloads.is_empty() && damages.is_empty(), "{damages:?}");
    assert_eq!(end, Some(End::CutOff));
}

#[test]
fn a_damaged_chunk_is_passed_over() {
    let (file, ends) = recording(25, 5, true);
    let mut damaged = file.clone();
    // In the middle of the third chunk: behind it are its indexes.
    let (begin, end) = (ends[1].0 as usize, ends[2].0 as usize);
    damaged[begin + (end - begin) / 4] ^= 0x55;
    let (payloads, damages, end) = read(&damaged);
    let expected: Vec<_> = (0..10).chain(15..25).map(payload).collect();
    assert_eq!((payloads, end), (expected, Some(End::Finished)));
    assert_eq!(damages.len(), 1);
    assert!(damages[0].starts_with(&format!("it is damaged at byte {begin}: ")), "{damages:?}");
}

/// The first bytes behind a chunk are those of its first index.
#[test]
fn what_is_damaged_between_chunks_costs_no_more_than_that() {
    let (file, ends) = recording(25, 5, true);
    let chunks: Vec<_> = (0..file.len()).filter(|at| is_chunk(&file[*at..])).collect();
    assert_eq!(chunks.len(), 5);
    let len = |chunk: usize| HEAD + u64::from_le_bytes(file[chunk + 1..chunk + HEAD].try_into().unwrap()) as usize;
    for chunk in 1..4 {
        let index = chunks[chunk] + len(chunks[chunk]);
        assert_eq!(file[index], op::MESSAGE_INDEX);
        // Of the index, what it is and how long; of the chunk, too.
        for (at, lost) in [(index, 0), (index + 1, 0), (index + 4, 0), (index + 8, 0), (index + HEAD + 2, 0)]
            .into_iter()
            .chain((0..HEAD).map(|byte| (chunks[chunk] + byte, 5)))
        {
            for with in [0x01, 0x08, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= with;
                let (payloads, damages, end) = read(&damaged);
                let first = ends[chunk].1 - 5;
                let expected: Vec<_> = (0..first).chain(first + lost..25).map(payload).collect();
                assert_eq!((payloads, end), (expected, Some(End::Finished)), "{at} {with:#x}: {damages:?}");
                // Programs may have records of their own, which are passed over.
                let is_own = [chunks[chunk], index].contains(&at) && damaged[at] >= 0x80;
                assert!(damages.len() == 1 || is_own, "{at} {with:#x}: {damages:?}");
            }
        }
        // A block of a disk that was never written.
        let mut damaged = file.clone();
        damaged[chunks[chunk] - 3..index + 3].fill(0);
        let (payloads, damages, end) = read(&damaged);
        let expected: Vec<_> = (0..ends[chunk].1 - 5).chain(ends[chunk].1..25).map(payload).collect();
        assert_eq!((payloads, end), (expected, Some(End::Finished)), "{damages:?}");
        assert!(damages[0].contains("makes no sense; it goes on at byte "), "{damages:?}");
    }
}

#[test]
fn a_damaged_end_costs_no_message() {
    let (file, _) = recording(25, 5, true);
    let behind = (0..file.len()).rfind(|at| is_chunk(&file[*at..])).unwrap() + 200;
    let mut damaged = file.clone();
    damaged[behind..file.len() - MAGIC.len()].fill(0xee);
    let (payloads, damages, end) = read(&damaged);
    assert!(payloads.len() >= 20 && payloads.iter().enumerate().all(|(number, message)| *message == payload(number)));
    // Of the chunk, and of all that is behind it.
    assert_eq!((damages.len(), end), (2, Some(End::Finished)), "{damages:?}");
}

/// All channels are described in the first chunk, and again at the end.
#[test]
fn what_was_described_in_a_damaged_chunk_is_described_at_the_end() {
    let (mut file, _) = recording(25, 5, true);
    let chunk = (0..file.len()).find(|at| is_chunk(&file[*at..])).unwrap();
    file[chunk + 80] ^= 0xff;
    let folder = Folder::new("damaged");
    let path = folder.path().join("a.mcap");
    std::fs::write(&path, &file).unwrap();
    let mut recording = Recording::open(&path).unwrap();
    let (mut payloads, mut damages) = (Vec::new(), 0);
    while let Some(item) = recording.next() {
        match item {
            Item::Message(message) => payloads.push(message.payload),
            Item::Damaged(_) => damages += 1,
            _ => {}
        }
    }
    assert_eq!((payloads, damages), ((5..25).map(payload).collect(), 1));
}

#[test]
fn channels_of_other_programs_are_played_if_they_are_json() {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (topic, encoding, metadata) in [
        ("/json", "json", None),
        ("/ros", "cdr", None),
        ("/leads/location", "json", Some(("derived", "true"))),
        ("/new", "json", Some(("wrap", "not yet known"))),
    ] {
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let channel_id = writer.add_channel(0, topic, encoding, &metadata).unwrap();
        let header = MessageHeader { channel_id, sequence: 0, log_time: 7, publish_time: 7 };
        writer.write_to_known_channel(&header, b"{ }").unwrap();
    }
    writer.finish().unwrap();
    let file = writer.into_inner().into_inner();
    let mut messages = McapMessages::new(Records::behind_magic(&file[MAGIC.len()..]));
    let mut uses = Vec::new();
    while let Some(item) = messages.next().unwrap() {
        match item {
            Item::Message(message) => uses.push((message.channel.topic.clone(), message.channel.used)),
            Item::Other { channel, .. } => uses.push((channel.topic.clone(), channel.used)),
            _ => {}
        }
    }
    let expected = [
        ("/json", Use::Message(Wrap::None)),
        ("/ros", Use::Unknown),
        ("/leads/location", Use::Derived),
        ("/new", Use::Unknown),
    ];
    assert_eq!(uses, expected.map(|(topic, used)| (topic.to_owned(), used)));
}

/// Each byte of the summary is damaged once: it tells what it told, or nothing, or something else.
#[test]
fn no_damage_of_the_summary_is_too_much() {
    let (file, _) = recording(20, 4, true);
    let folder = Folder::new("summary");
    let path = folder.path().join("damaged.mcap");
    let begin = u64::from_le_bytes(*file[file.len() - MAGIC.len() - 20..].first_chunk().unwrap()) as usize;
    std::fs::write(&path, &file).unwrap();
    let whole = index::descriptions(&path).len();
    assert!(whole > 1 && extent(&path).is_some());
    let mut same = 0;
    for (at, bit) in (begin..file.len()).flat_map(|at| [(at, 0x80), (at, 1)]) {
        let mut damaged = file.clone();
        damaged[at] ^= bit;
        std::fs::write(&path, &damaged).unwrap();
        let found = index::descriptions(&path).len();
        assert!(found <= whole, "{at}: {found}");
        same += usize::from(found == whole);
        let _ = received(&path);
    }
    assert!(same < 2 * (file.len() - begin), "nothing is damaged");
}

proptest! {
    #[test]
    fn no_damage_is_too_much(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
        in_chunk in 1_usize..9,
    ) {
        let (mut file, _) = recording(20, in_chunk, true);
        for (at, with) in flips {
            let at = at.index(file.len());
            file[at] ^= with;
        }
        let len = cut.index(file.len() * 2).min(file.len());
        let (payloads, _, _) = read(&file[..len]);
        prop_assert!(payloads.len() <= 40);
    }
}
