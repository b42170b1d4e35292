//! What a receiver has to make of a stream, said naively, and every way to have the decoder do it.

use leads_comm::codec::{self, DecodeError, Decoder, EncodeError, Framing, Separator};

/// The separators that the suites go through: LEADS's own, some that overlap themselves, and one of full length that
/// its payloads nearly form over and over.
pub(crate) const SEPARATORS: [&[u8]; 7] = [
    b";",
    b"end;",
    b"aa",
    b"aab",
    b";;x",
    b"\r\n",
    b"ababababababababababababababababababababababababababababababac;;",
];

/// No limit that a test could reach.
pub(crate) const NO_LIMIT: usize = usize::MAX;

/// What has become of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// These bytes wait for the rest of their message.
    Remainder(Vec<u8>),
    /// The next message is over the limit.
    TooLong,
    /// It is no frame.
    Malformed,
}

/// Cuts at the first match of the separator and begins again behind it.
pub(crate) fn split(stream: &[u8], separator: &[u8], limit: usize) -> Decoded {
    let mut messages = Vec::new();
    let mut rest = stream;
    loop {
        match rest.windows(separator.len()).position(|window| window == separator) {
            Some(at) if at <= limit => {
                messages.push(rest[..at].to_vec());
                rest = &rest[at + separator.len()..];
            }
            // A payload within the limit could still end here.
            None if rest.len() < limit.saturating_add(separator.len()) => {
                return Decoded { messages, end: End::Remainder(rest.to_vec()) };
            }
            _ => return Decoded { messages, end: End::TooLong },
        }
    }
}

/// Reads length after length, of a stream whose messages are told apart by those.
pub(crate) fn split_by_length(stream: &[u8], limit: usize) -> Decoded {
    let mut messages = Vec::new();
    let mut rest = stream;
    let end = loop {
        let [a, b, c, d, behind @ ..] = rest else { break End::Remainder(rest.to_vec()) };
        let len = [a, b, c, d].iter().fold(0, |len, byte| len * 256 + usize::from(**byte));
        if len > limit {
            break End::TooLong;
        }
        if behind.len() < len {
            break End::Remainder(rest.to_vec());
        }
        messages.push(behind[..len].to_vec());
        rest = &behind[len..];
    };
    Decoded { messages, end }
}

/// Cuts behind each zero, and undoes consistent overhead byte stuffing by the book.
pub(crate) fn split_stuffed(stream: &[u8], limit: usize) -> Decoded {
    let longest = limit.saturating_mul(2).saturating_add(64);
    let mut messages = Vec::new();
    let mut rest = stream;
    let end = loop {
        let Some(at) = rest.iter().position(|byte| *byte == 0) else {
            break if rest.len() < longest { End::Remainder(rest.to_vec()) } else { End::TooLong };
        };
        match unstuffed(&rest[..at]) {
            None => break End::Malformed,
            Some(payload) if payload.len() > limit || at + 1 > longest => break End::TooLong,
            Some(payload) => messages.push(payload),
        }
        rest = &rest[at + 1..];
    };
    Decoded { messages, end }
}

/// The payload of what stands in front of a zero.
fn unstuffed(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    let mut rest = stuffed;
    let mut owes_zero = false;
    if rest.is_empty() {
        return None;
    }
    while let [code, behind @ ..] = rest {
        if owes_zero {
            payload.push(0);
        }
        let run = behind.get(..usize::from(*code) - 1)?;
        payload.extend_from_slice(run);
        owes_zero = *code < 255;
        rest = &behind[run.len()..];
    }
    Some(payload)
}

/// How a chunk is given to the decoder, and how many of its messages are taken out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By `decode`, taking out every message.
    Decode,
    /// By `decode`, leaving its iterator after this many messages.
    DecodeUpTo(usize),
    /// By `space` and `filled`, taking out every message.
    Fill,
    /// By `space` and `filled`, taking out this many messages at most.
    FillUpTo(usize),
    /// By `read_from`, taking out every message.
    Read,
}

pub(crate) const WAYS: [Way; 6] =
    [Way::Decode, Way::DecodeUpTo(0), Way::DecodeUpTo(1), Way::Fill, Way::FillUpTo(1), Way::Read];

/// Gives one chunk to the decoder and collects the messages that are taken out.
pub(crate) fn feed(
    decoder: &mut Decoder,
    chunk: &[u8],
    way: Way,
    messages: &mut Vec<Vec<u8>>,
) -> Result<(), DecodeError> {
    match way {
        Way::Decode => return lend(decoder, chunk, usize::MAX, messages),
        Way::DecodeUpTo(count) => return lend(decoder, chunk, count, messages),
        Way::Fill | Way::FillUpTo(_) => {
            // More room than is used, as when a read falls short of what it may give.
            decoder.space(chunk.len() + 3)[..chunk.len()].copy_from_slice(chunk);
            decoder.filled(chunk.len());
        }
        Way::Read => {
            let mut reader = chunk;
            assert_eq!(decoder.read_from(&mut reader, chunk.len()).unwrap(), chunk.len());
        }
    }
    let count = if let Way::FillUpTo(count) = way { count } else { usize::MAX };
    take(decoder, count, messages)
}

fn lend(decoder: &mut Decoder, chunk: &[u8], count: usize, into: &mut Vec<Vec<u8>>) -> Result<(), DecodeError> {
    let mut messages = decoder.decode(chunk);
    for _ in 0..count {
        match messages.next_message()? {
            Some(message) => into.push(message.to_vec()),
            None => break,
        }
    }
    Ok(())
}

fn take(decoder: &mut Decoder, count: usize, into: &mut Vec<Vec<u8>>) -> Result<(), DecodeError> {
    for _ in 0..count {
        match decoder.next_message()? {
            Some(message) => into.push(message.to_vec()),
            None => break,
        }
    }
    Ok(())
}

/// Gives all chunks to a new decoder, each in its way, takes out what was left behind, and tells what came of it.
pub(crate) fn decode<'a>(
    framing: &(impl Into<Framing> + Clone),
    limit: usize,
    chunks: impl IntoIterator<Item = (&'a [u8], Way)>,
) -> Decoded {
    let mut decoder = Decoder::new(framing.clone(), limit);
    let mut messages = Vec::new();
    let outcome = chunks
        .into_iter()
        .try_for_each(|(chunk, way)| feed(&mut decoder, chunk, way, &mut messages))
        .and_then(|()| take(&mut decoder, usize::MAX, &mut messages));
    let end = match outcome {
        Ok(()) => End::Remainder(decoder.remainder().to_vec()),
        Err(DecodeError::Malformed(_)) => End::Malformed,
        Err(error) => {
            assert_eq!(error, DecodeError::MessageTooLong { limit });
            End::TooLong
        }
    };
    Decoded { messages, end }
}

pub(crate) fn encode(message: &[u8], separator: &Separator) -> Result<Vec<u8>, EncodeError> {
    codec::encode(message, &separator.clone().into())
}

pub(crate) fn encode_into(message: &[u8], separator: &Separator, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    codec::encode_into(message, &separator.clone().into(), buffer)
}

pub(crate) fn check(message: &[u8], separator: &Separator) -> Result<(), EncodeError> {
    codec::check(message, &separator.clone().into())
}

/// Whether a message has not been copied from there.
pub(crate) fn lies_in(message: &[u8], place: &[u8]) -> bool {
    let (message, place) = (message.as_ptr_range(), place.as_ptr_range());
    place.start <= message.start && message.end <= place.end
}

/// Every word of `letters` that is as long as `lens` says.
pub(crate) fn words(letters: &[u8], lens: std::ops::RangeInclusive<usize>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut longest = vec![Vec::new()];
    for len in 0..=*lens.end() {
        if lens.contains(&len) {
            all.extend_from_slice(&longest);
        }
        longest = longest
            .iter()
            .flat_map(|word| letters.iter().map(move |letter| [word.as_slice(), &[*letter]].concat()))
            .collect();
    }
    all
}
