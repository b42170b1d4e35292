//! What publishers and subscribers say to each other, as payloads. Pure. The README has the protocol.

use std::fmt::Write;

use crate::Position;

/// What a request names that has no position yet.
const NOTHING: Position = Position { epoch: 0, number: 0 };

/// How much longer a message gets by its number, at most: 20 digits and a colon.
pub(crate) const LONGEST_NUMBER: &str = "01234567890123456789:";

/// What a subscriber says first.
pub(crate) fn request(last: Option<Position>) -> String {
    format!("resume {}", last.unwrap_or(NOTHING))
}

/// Whether a message is a request, and what for.
pub(crate) fn parse_request(message: &[u8]) -> Option<Option<Position>> {
    let position = position_behind("resume ", message)?;
    Some(Some(position).filter(|position| *position != NOTHING))
}

/// What a publisher says before messages that do not follow what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Next comes this message, right behind what was asked for, or came before.
    Resumed(Position),
    /// Next comes this message, and what should come before it never will.
    Gap(Position),
}

impl Answer {
    pub(crate) fn encode(self) -> String {
        match self {
            Self::Resumed(next) => format!("resumed {next}"),
            Self::Gap(next) => format!("gap {next}"),
        }
    }

    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let resumed = position_behind("resumed ", message).map(Self::Resumed);
        resumed.or_else(|| position_behind("gap ", message).map(Self::Gap))
    }
}

fn position_behind(word: &str, message: &[u8]) -> Option<Position> {
    let position = message.strip_prefix(word.as_bytes())?;
    std::str::from_utf8(position).ok()?.parse().ok()
}

/// A message with its number.
pub(crate) fn numbered(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut prefix = String::with_capacity(LONGEST_NUMBER.len() + payload.len());
    write!(prefix, "{number}:").expect("a string takes everything");
    let mut message = prefix.into_bytes();
    message.extend_from_slice(payload);
    message
}

/// The number of a message, and its payload.
pub(crate) fn parse_numbered(message: &[u8]) -> Option<(u64, &[u8])> {
    let digits = message.iter().take(LONGEST_NUMBER.len()).position(|byte| *byte == b':')?;
    let (number, payload) = message.split_at(digits);
    let is_plain = number.iter().all(u8::is_ascii_digit) && number.first().is_some_and(|first| *first != b'0');
    let number = std::str::from_utf8(number).ok().filter(|_| is_plain)?.parse().ok()?;
    Some((number, &payload[1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_said_is_understood(epoch: u64, number: u64, payload: Vec<u8>) {
            let position = Position::new(epoch, number);
            prop_assert_eq!(position.to_string().parse(), Ok(position));
            let last = Some(position).filter(|position| *position != NOTHING);
            prop_assert_eq!(parse_request(request(last).as_bytes()), Some(last));
            for answer in [Answer::Resumed(position), Answer::Gap(position)] {
                prop_assert_eq!(Answer::parse(answer.encode().as_bytes()), Some(answer));
            }
            let number = number.max(1);
            let message = numbered(number, &payload);
            prop_assert!(message.len() <= payload.len() + LONGEST_NUMBER.len());
            prop_assert_eq!(parse_numbered(&message), Some((number, &payload[..])));
        }

        /// What is taken for something is written in that one way.
        #[test]
        fn nothing_else_is_taken_for_it(
            message in "(resume |resumed |gap |)(0{14,17}|[0-9a-fA-F+]{16}|)(:|)[0-9+]{0,21}(:|)[a-z]{0,2}"
        ) {
            let bytes = message.as_bytes();
            if let Some(last) = parse_request(bytes) {
                prop_assert_eq!(request(last), message.clone());
            }
            if let Some(answer) = Answer::parse(bytes) {
                prop_assert_eq!(answer.encode(), message.clone());
            }
            if let Some((number, payload)) = parse_numbered(bytes) {
                prop_assert_eq!(numbered(number, payload), bytes);
            }
        }
    }
}
