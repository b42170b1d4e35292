//! Where somebody is in what has been published.

use std::fmt;
use std::str::FromStr;

/// Which message of which publisher: a number, and the *epoch* in which it was given.
///
/// Numbers begin with 1, go up by 1, and go on over restarts of the publisher, for as long as it has its
/// [`History`](crate::History). An epoch is a number by chance that each start of the publisher has for its own. It
/// tells those numbers from the same ones of a publisher that has begun anew, or has lost the last of its history.
///
/// Displayed, and read again, as 16 hexadecimal digits, a colon, and the number: `00c0ffee00c0ffee:42`. A recorder
/// stores it with each message, and gives the last one to its [`Subscriber`](crate::Subscriber) when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which start of the publisher.
    pub epoch: u64,
    /// Which message.
    pub number: u64,
}

impl Position {
    /// The position of the message with this number.
    pub fn new(epoch: u64, number: u64) -> Self {
        Self { epoch, number }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.epoch, self.number)
    }
}

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParsePositionError;

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is 16 hexadecimal digits, a colon, and a number")
    }
}

impl std::error::Error for ParsePositionError {}

impl FromStr for Position {
    type Err = ParsePositionError;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position = text.split_once(':').and_then(|(epoch, number)| {
            Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, number: number.parse().ok()? })
        });
        position.filter(|position| position.to_string() == text).ok_or(ParsePositionError)
    }
}
