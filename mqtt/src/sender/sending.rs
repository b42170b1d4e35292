//! Live messages first, and behind them what has waited.

use std::sync::Arc;
use std::time::Instant;

use leads_comm::{Connection, Key};
use log::Level;

use super::own::Own;
use super::{CHUNK, Sender, TELL_FAILED, WINDOW};
use crate::event::Event;
use crate::in_flight::{Cargo, Settled};
use crate::settings::Settings;
use crate::waiting::Message;
use crate::{backlog, fields, foreign, session};

/// How many bytes may be on their way of what is live: they are kept until the broker has them.
const MAX_LIVE_ON_WAY: usize = 8 << 20;

/// How much of the backlog may be on its way, as a part of what may go in a second: little, because what is live comes
/// behind it, and enough that this is what goes where the broker answers within so long.
const BACKLOG_ON_WAY: u64 = 16;

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// The connection is over, which is told.
    Ended,
    /// The packet cannot be, or is too long.
    Refused,
}

impl Sender {
    /// Publishes a message as it comes, or sets it aside where that does not work any more.
    pub(super) fn send_live(&mut self, number: u64, message: Message) {
        let Some(connection) = self.online() else { return self.set_aside(&message) };
        let topic = self.shared.topics.up(message.key.as_ref());
        let is_retained = self.retains() && self.kept.put(&message);
        let id = self.shared.settings.acknowledged.then(|| self.in_flight.next_id());
        if self.publish(&connection, &topic, &message.payload, id, is_retained).is_err() {
            return self.set_aside(&message);
        }
        self.counts.published += 1;
        if self.shared.settings.split_fields {
            self.send_fields(&connection, &message);
        }
        if let Some(id) = id {
            self.in_flight.add(id, Cargo::Live(number, message));
        }
    }

    /// Publishes the numbers of a message, each by itself, where there is room for them: they may be many times as long
    /// as the message, and what the bridge asks the broker waits behind them.
    fn send_fields(&self, connection: &Connection, Message { key, payload, .. }: &Message) {
        for (name, number) in fields::numbers(payload) {
            let topic = self.shared.topics.field(key.as_ref(), name.as_bytes());
            if connection.queued_bytes() >= WINDOW {
                return;
            }
            if self.publish(connection, &topic, &Arc::from(number.as_bytes()), None, false).is_err() {
                return;
            }
        }
    }

    /// Whether something is to be said of what is retained, and there is room for it among what is on its way.
    pub(super) fn may_send_own(&self) -> bool {
        !self.own.is_empty() && self.has_free_id() && self.in_flight.own() < self.half_in_flight()
    }

    /// Says what is to be said of what is retained, as far as there is room.
    pub(super) fn send_own(&mut self) {
        let Some(connection) = self.online() else { return };
        while self.may_send_own() && connection.queued_bytes() < WINDOW {
            self.is_turn_of_own = false;
            let (key, payload) = match self.own.next() {
                // The newest, also where that has gone live meanwhile.
                Some(Own::Retained(key)) => match self.kept.get(&key) {
                    Some(payload) => (key, payload),
                    None => continue,
                },
                Some(Own::Cleared(key)) => (key, Arc::from([])),
                None => return,
            };
            self.publish_own(&connection, &self.up(&key), &payload);
        }
    }

    fn up(&self, key: &Key) -> String {
        self.shared.topics.up(Some(key))
    }

    /// Publishes something that is retained and none of the vehicle's messages.
    pub(super) fn publish_own(&mut self, connection: &Connection, topic: &str, payload: &Arc<[u8]>) {
        let id = self.in_flight.next_id();
        if self.publish(connection, topic, payload, Some(id), true).is_ok() {
            self.in_flight.add(id, Cargo::Own);
        }
    }

    /// Whether something of the backlog may go as soon as its rate has it.
    pub(super) fn may_send_backlog(&self) -> bool {
        let has_room = self.has_free_id() && self.in_flight.backlog() < self.half_in_flight();
        let on_way = self.in_flight.backlog_bytes() as u64;
        let is_little = on_way == 0 || on_way < self.shared.settings.catch_up / BACKLOG_ON_WAY;
        self.farewell.is_none() && self.own.is_empty() && self.backlog.has_next() && has_room && is_little
    }

    /// Whether one more may be published with QoS 1.
    pub(super) fn has_free_id(&self) -> bool {
        self.in_flight.len() < self.shared.settings.max_in_flight
    }

    /// How many may be on their way of what is not live, of each kind: so many that something live finds room.
    fn half_in_flight(&self) -> usize {
        (self.shared.settings.max_in_flight / 2).max(1)
    }

    /// Publishes of the backlog what may go now, while nothing live waits.
    pub(super) fn send_backlog(&mut self) {
        let Some(connection) = self.online() else { return };
        let now = Instant::now();
        let mut sent = 0;
        while sent < CHUNK
            && now >= self.backlog_rests_until
            && connection.queued_bytes() < WINDOW
            && self.may_send_backlog()
            && self.rate.opens_at(now) <= now
        {
            match self.backlog.next() {
                Ok(None) => return,
                Ok(Some(taken)) => match self.send_waiting(&connection, taken.number, &taken.payload) {
                    Some(len) => sent += len,
                    None => return,
                },
                Err(error) => {
                    self.backlog_rests_until = now + TELL_FAILED;
                    self.tell_failed(error);
                }
            }
        }
    }

    /// Publishes one message of the backlog; how long it was, unless the connection is over.
    fn send_waiting(&mut self, connection: &Connection, number: u64, record: &[u8]) -> Option<usize> {
        let Some(message) = backlog::decode(record) else {
            // Of another program, or another version of this one.
            return Some(self.pass_over(number));
        };
        let id = self.in_flight.next_id();
        let topic = self.shared.topics.backlog();
        match self.publish(connection, topic, &backlog::published(&message), Some(id), false) {
            Ok(()) => {}
            Err(NotSent::Ended) => return None,
            // Longer than packets may be today, for instance. It would go as little in any other session.
            Err(NotSent::Refused) => return Some(self.pass_over(number)),
        }
        let len = message.payload.len();
        self.in_flight.add(id, Cargo::Backlog(number, len));
        // An empty one is not for nothing either.
        self.rate.take(len.max(1));
        Some(len)
    }

    /// Gives up a record of the backlog that cannot be published, ever; how long it was, as far as the rate goes.
    fn pass_over(&mut self, number: u64) -> usize {
        self.counts.lost += 1;
        self.in_flight.pass_over(number);
        self.settle();
        0
    }

    /// Hands a message to the client of the broker.
    fn publish(
        &self,
        connection: &Connection,
        topic: &str,
        payload: &Arc<[u8]>,
        id: Option<u16>,
        retain: bool,
    ) -> Result<(), NotSent> {
        match session::publish(topic, payload, id, retain) {
            Ok(packet) => self.send(connection, &packet),
            Err(error) => {
                foreign::log(Level::Warn, format_args!("a message cannot be published: {}", error.0));
                Err(NotSent::Refused)
            }
        }
    }

    /// Hands a packet to the client of the broker.
    pub(super) fn send(&self, connection: &Connection, packet: &[u8]) -> Result<(), NotSent> {
        connection.send(packet).map_err(|error| match error {
            leads_comm::Error::Disconnected => NotSent::Ended,
            error => {
                foreign::log(Level::Warn, format_args!("the broker cannot be sent to: {error:#}"));
                match error {
                    leads_comm::Error::MessageTooLong { .. } | leads_comm::Error::InvalidMessage { .. } => {
                        NotSent::Refused
                    }
                    // The client ends a connection on which it has no room.
                    _ => NotSent::Ended,
                }
            }
        })
    }

    /// The broker has a message.
    pub(super) fn acknowledged(&mut self, id: u16) {
        match self.in_flight.acknowledge(id) {
            Some(Cargo::Live(..) | Cargo::Backlog(..)) => self.counts.acknowledged += 1,
            Some(Cargo::Own | Cargo::PassedOver(_)) => {}
            None => foreign::log(Level::Debug, format_args!("the broker acknowledges what was not published")),
        }
        self.settle();
    }

    /// Has the backlog forget what has arrived.
    fn settle(&mut self) {
        let Settled { replayed, up_to } = self.in_flight.settle();
        let Some(up_to) = up_to else { return };
        self.backlog.acknowledge(up_to);
        self.counts.replayed += replayed;
        let Some(session) = &mut self.session else { return };
        session.replayed += replayed;
        if session.replayed > 0 && self.backlog.extent().messages == 0 {
            let messages = std::mem::take(&mut session.replayed);
            self.events.push_back(Event::CaughtUp { messages });
        }
    }

    /// How many live messages may go before some are acknowledged, and how many bytes of them; `None` where none may.
    pub(super) fn room_in_flight(&self) -> Option<(usize, usize)> {
        let Settings { acknowledged, max_in_flight, .. } = self.shared.settings;
        if !acknowledged {
            return Some((usize::MAX, usize::MAX));
        }
        let messages = max_in_flight.checked_sub(self.in_flight.len())?;
        let bytes = MAX_LIVE_ON_WAY.checked_sub(self.in_flight.live_bytes())?;
        (messages > 0 && bytes > 0).then_some((messages, bytes))
    }
}
