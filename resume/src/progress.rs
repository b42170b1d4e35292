//! What a subscriber makes of what it receives. Pure: no lock, no connection.

use crate::wire::{self, Answer};
use crate::{Gap, Position};

#[derive(Debug)]
pub(crate) struct Progress {
    /// The last message that the program has.
    last: Option<Position>,
    /// The next one on this connection, once the publisher has said which that is.
    next: Option<Position>,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// Of no interest: from before the answer, or there already.
    Nothing,
    /// Messages are missing; where this was seen by a number, the same message has to be looked at again.
    Gap { gap: Gap, again: bool },
    /// The next one. It counts when it is [done](Progress::done) with.
    Message(Position, &'a [u8]),
    /// The publisher has sent it by itself, without a number.
    Unnumbered(&'a [u8]),
}

impl Progress {
    pub(crate) fn new(last: Option<Position>) -> Self {
        Self { last, next: None }
    }

    pub(crate) fn last(&self) -> Option<Position> {
        self.last
    }

    /// Whether the publisher of this connection has answered.
    pub(crate) fn is_resumed(&self) -> bool {
        self.next.is_some()
    }

    /// There is a new connection: what is said on it first.
    pub(crate) fn begin(&mut self) -> String {
        self.next = None;
        wire::request(self.last)
    }

    pub(crate) fn end(&mut self) {
        self.next = None;
    }

    pub(crate) fn receive<'a>(&mut self, message: &'a [u8]) -> Received<'a> {
        match (Answer::parse(message), self.next) {
            (Some(Answer::Gap(next)), _) => self.gap(next, false),
            (Some(Answer::Resumed(next)), before) => {
                self.next = Some(next);
                let expected =
                    before.map(|before| before.number).or(self.last.map(|last| last.number.saturating_add(1)));
                // A publisher that errs is not believed.
                match expected.is_none_or(|expected| expected == next.number) {
                    true => Received::Nothing,
                    false => self.gap(next, false),
                }
            }
            (_, None) => Received::Nothing,
            (_, Some(next)) => match wire::parse_numbered(message) {
                None => Received::Unnumbered(message),
                Some((number, payload)) if number == next.number => Received::Message(next, payload),
                Some((number, _)) if number < next.number => Received::Nothing,
                Some((number, _)) => self.gap(Position { number, ..next }, true),
            },
        }
    }

    fn gap(&mut self, next: Position, again: bool) -> Received<'static> {
        self.next = Some(next);
        Received::Gap { gap: Gap { last: self.last, next }, again }
    }

    /// The program has this message.
    pub(crate) fn done(&mut self, position: Position) {
        self.last = Some(position);
        self.next = Some(Position { number: position.number.saturating_add(1), ..position });
    }
}

#[cfg(test)]
mod tests;
