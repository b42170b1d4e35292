//! What the framing costs: decoding against a bare walk from separator to separator over the same bytes, and encoding
//! against a search and a copy.
//!
//! ```sh
//! cargo bench --bench codec
//! ```
//!
//! `decode` goes through 1 MiB of messages, chunk by chunk, and adds up their lengths, in four ways:
//!
//! - `Walk` calls `memchr` (`memmem` for `end;`) for each separator, and does nothing else. It keeps nothing from one
//!   chunk for the next, as a decoder has to. The yardstick of `Lend`.
//! - `Lend` is `Decoder::decode`. By length (`len`), without a search, it is to be at least 1.1 times as fast for
//!   messages of 16 KiB; so is `Fill`.
//! - `CopyAndWalk` copies each chunk to a buffer first, as a read would. The yardstick of `Fill`.
//! - `Fill` is `Decoder::space`, with such a copy in place of the read, then `Decoder::next_message`.
//!
//! `encode` frames one message in a new allocation; `encode_yardstick` is what that takes at least, one search and one
//! copy. `encode_into` appends to a buffer that has room, and `check` copies nothing.
//!
//! The items are messages. Only medians of one run can be compared.

use std::fmt;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use leads_comm::codec::{self, Decoder, Framing, Separator};
use memchr::memmem::Finder;

const KIB: usize = 1024;
const STREAM_LEN: usize = 1024 * KIB;
const MAX_MESSAGE_LEN: usize = 1024 * KIB;
const LENGTH: &str = "len";

fn main() {
    divan::main();
}

#[divan::bench(args = cases())]
fn decode(bencher: Bencher<'_, '_>, case: &Case) {
    match case.way {
        Way::Walk => case.measure(bencher, walker(case.framing)),
        Way::Lend => {
            let mut decoder = decoder(case.framing);
            case.measure(bencher, |chunk| {
                let (mut messages, mut total) = (decoder.decode(chunk), 0);
                while let Some(message) = messages.next_message().unwrap() {
                    total += message.len();
                }
                total
            });
        }
        Way::CopyAndWalk => {
            let (walk, mut buffer) = (walker(case.framing), vec![0; case.chunk_len]);
            case.measure(bencher, |chunk| {
                buffer[..chunk.len()].copy_from_slice(chunk);
                walk(black_box(&buffer[..chunk.len()]))
            });
        }
        Way::Fill => {
            let mut decoder = decoder(case.framing);
            case.measure(bencher, |chunk| {
                decoder.space(chunk.len()).copy_from_slice(chunk);
                decoder.filled(chunk.len());
                let mut total = 0;
                while let Some(message) = decoder.next_message().unwrap() {
                    total += message.len();
                }
                total
            });
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Walk,
    Lend,
    CopyAndWalk,
    Fill,
}

impl Way {
    const ALL: [Self; 4] = [Self::Walk, Self::Lend, Self::CopyAndWalk, Self::Fill];
}

struct Case {
    message_len: usize,
    /// A separator, or `len`.
    framing: &'static str,
    chunk_len: usize,
    way: Way,
}

fn cases() -> impl Iterator<Item = Case> {
    let sizes = [
        (64, ";", 4 * KIB),
        (64, ";", 128 * KIB),
        (64, "end;", 4 * KIB),
        (64, "end;", 128 * KIB),
        (64, LENGTH, 4 * KIB),
        (64, LENGTH, 128 * KIB),
        (16 * KIB, ";", 4 * KIB),
        (16 * KIB, ";", 128 * KIB),
        (16 * KIB, LENGTH, 4 * KIB),
        (16 * KIB, LENGTH, 128 * KIB),
    ];
    sizes.into_iter().flat_map(|(message_len, framing, chunk_len)| {
        let ways: &[_] = if framing == LENGTH { &[Way::Lend, Way::Fill] } else { &Way::ALL };
        ways.iter().map(move |way| Case { message_len, framing, chunk_len, way: *way })
    })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_len, framing, chunk_len, way } = self;
        write!(f, "{message_len} B with {framing} in {} KiB: {way:?}", chunk_len / KIB)
    }
}

impl Case {
    /// Measures how long `decode` takes for all chunks; of each, it tells the sum of the messages' lengths.
    fn measure(&self, bencher: Bencher<'_, '_>, mut decode: impl FnMut(&[u8]) -> usize) {
        let message = codec::encode(&b"x".repeat(self.message_len), &framing(self.framing)).unwrap();
        let count = STREAM_LEN / message.len();
        let stream = message.repeat(count);
        bencher
            .counter(ItemsCount::new(count))
            .bench_local(|| stream.chunks(self.chunk_len).map(|chunk| decode(black_box(chunk))).sum::<usize>());
    }
}

fn framing(name: &str) -> Framing {
    match name {
        LENGTH => Framing::Length,
        separator => Separator::new(separator).unwrap().into(),
    }
}

fn decoder(name: &str) -> Decoder {
    Decoder::new(framing(name), MAX_MESSAGE_LEN)
}

/// Goes from separator to separator as fast as `memchr` can.
fn walker(separator: &'static str) -> impl Fn(&[u8]) -> usize {
    let finder = Finder::new(separator);
    move |chunk| match *separator.as_bytes() {
        [byte] => walk(chunk, 1, |rest| memchr::memchr(byte, rest)),
        _ => walk(chunk, separator.len(), |rest| finder.find(rest)),
    }
}

fn walk(chunk: &[u8], separator_len: usize, find: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let (mut rest, mut total) = (chunk, 0);
    while let Some(at) = find(rest) {
        total += at;
        rest = &rest[at + separator_len..];
    }
    total
}

#[divan::bench(args = [64, 16 * KIB])]
fn encode(bencher: Bencher<'_, '_>, len: usize) {
    let (message, framing) = (b"x".repeat(len), Framing::default());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| codec::encode(black_box(&message), &framing).unwrap());
}

#[divan::bench(args = [64, 16 * KIB])]
fn encode_into(bencher: Bencher<'_, '_>, len: usize) {
    let (message, framing, mut buffer) = (b"x".repeat(len), Framing::default(), Vec::new());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        buffer.clear();
        codec::encode_into(black_box(&message), &framing, black_box(&mut buffer)).unwrap();
    });
}

#[divan::bench(args = [64, 16 * KIB])]
fn check(bencher: Bencher<'_, '_>, len: usize) {
    let (message, framing) = (b"x".repeat(len), Framing::default());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| codec::check(black_box(&message), &framing));
}

#[divan::bench(args = [64, 16 * KIB])]
fn encode_yardstick(bencher: Bencher<'_, '_>, len: usize) {
    let message = b"x".repeat(len);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let message = black_box(message.as_slice());
        assert!(memchr::memchr(b';', message).is_none());
        let mut frame = Vec::with_capacity(message.len() + 1);
        frame.extend_from_slice(message);
        frame.push(b';');
        frame
    });
}
