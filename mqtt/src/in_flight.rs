//! What was published with QoS 1 and has not been acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::waiting::Message;

/// What such a message is, and so what becomes of it when the session ends without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// One of the vehicle's, with its number; it waits from then on.
    Live(u64, Message),
    /// The one with this number in the backlog, where it still is, and how many bytes it has.
    Backlog(u64, usize),
    /// The one with this number in the backlog cannot be published, and is passed over.
    PassedOver(u64),
    /// One of the bridge's own: its state, or that something is not retained any more. Nothing becomes of it.
    Own,
}

impl Cargo {
    fn live_bytes(&self) -> usize {
        if let Self::Live(_, message) = self { message.charge() } else { 0 }
    }

    fn backlog_bytes(&self) -> usize {
        if let Self::Backlog(_, len) = self { *len } else { 0 }
    }
}

/// In the order of publishing, which is that of the answers of a broker that keeps to its protocol.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    entries: VecDeque<Entry>,
    /// The numbers of those that have one.
    ids: HashSet<u16>,
    last_id: u16,
    /// How many have gone.
    gone: u64,
    /// How many of the backlog have not been acknowledged, and how many bytes they have.
    backlog: usize,
    backlog_bytes: usize,
    /// How many of the bridge's own have not.
    own: usize,
    /// What the live ones are charged that have not.
    live_bytes: usize,
}

/// What the backlog can forget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// How many of its messages have arrived.
    pub(crate) replayed: u64,
    /// The last number that it need not keep.
    pub(crate) up_to: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    id: u16,
    cargo: Cargo,
    is_acknowledged: bool,
}

impl InFlight {
    /// A number that no message has which is on its way.
    pub(crate) fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.ids.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }

    /// A message has been published with this number.
    pub(crate) fn add(&mut self, id: u16, cargo: Cargo) {
        self.backlog += usize::from(matches!(cargo, Cargo::Backlog(..)));
        self.backlog_bytes += cargo.backlog_bytes();
        self.own += usize::from(cargo == Cargo::Own);
        self.live_bytes += cargo.live_bytes();
        self.ids.insert(id);
        self.entries.push_back(Entry { id, cargo, is_acknowledged: false });
    }

    /// A message of the backlog is passed over, as if it had been published and acknowledged.
    pub(crate) fn pass_over(&mut self, number: u64) {
        self.entries.push_back(Entry { id: 0, cargo: Cargo::PassedOver(number), is_acknowledged: true });
    }

    /// The broker has a message: which, if one is on its way that it can mean.
    pub(crate) fn acknowledge(&mut self, id: u16) -> Option<&Cargo> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id && !entry.is_acknowledged)?;
        entry.is_acknowledged = true;
        self.backlog -= usize::from(matches!(entry.cargo, Cargo::Backlog(..)));
        self.backlog_bytes -= entry.cargo.backlog_bytes();
        self.own -= usize::from(entry.cargo == Cargo::Own);
        self.live_bytes -= entry.cargo.live_bytes();
        // Others may be in front of it for long.
        if let Cargo::Live(_, message) = &mut entry.cargo {
            message.payload = Arc::new([]);
        }
        Some(&entry.cargo)
    }

    /// Lets those go in front of which everything has been acknowledged.
    pub(crate) fn settle(&mut self) -> Settled {
        let mut settled = Settled::default();
        while self.entries.front().is_some_and(|entry| entry.is_acknowledged) {
            let Some(Entry { id, cargo, .. }) = self.entries.pop_front() else { break };
            self.ids.remove(&id);
            self.gone += 1;
            match cargo {
                Cargo::Backlog(number, _) => {
                    settled.replayed += 1;
                    settled.up_to = Some(number);
                }
                Cargo::PassedOver(number) => settled.up_to = Some(number),
                Cargo::Live(..) | Cargo::Own => {}
            }
        }
        settled
    }

    /// The number of the first live message that has not been acknowledged.
    pub(crate) fn first_live(&self) -> Option<u64> {
        self.entries.iter().filter(|entry| !entry.is_acknowledged).find_map(|entry| match entry.cargo {
            Cargo::Live(number, _) => Some(number),
            _ => None,
        })
    }

    /// How many are on their way, or behind one that is.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of the backlog are on their way.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }

    /// How many bytes those have.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// Which is the first that has not been acknowledged: the number of those before it, in all sessions.
    pub(crate) fn first(&self) -> Option<u64> {
        (!self.entries.is_empty()).then_some(self.gone)
    }

    /// How many of the bridge's own are on their way.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// What the live ones that are on their way are charged.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// The session is over: the messages of the vehicle that nobody has acknowledged, in their order.
    pub(crate) fn end(&mut self) -> Vec<Message> {
        (self.backlog, self.backlog_bytes, self.own, self.live_bytes) = (0, 0, 0, 0);
        self.gone += self.entries.len() as u64;
        self.ids.clear();
        let left = self.entries.drain(..).filter(|entry| !entry.is_acknowledged);
        left.filter_map(|entry| if let Cargo::Live(_, message) = entry.cargo { Some(message) } else { None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(at: u64) -> Cargo {
        Cargo::Live(at, Message { at, key: None, payload: [].into() })
    }

    fn send(in_flight: &mut InFlight, cargo: Cargo) -> u16 {
        let id = in_flight.next_id();
        in_flight.add(id, cargo);
        id
    }

    #[test]
    fn the_backlog_is_acknowledged_up_to_the_first_gap() {
        let mut in_flight = InFlight::default();
        let ids: Vec<u16> = (10..14).map(|number| send(&mut in_flight, Cargo::Backlog(number, 100))).collect();
        assert_eq!((in_flight.backlog(), in_flight.backlog_bytes(), in_flight.first()), (4, 400, Some(0)));
        assert_eq!(in_flight.acknowledge(ids[1]), Some(&Cargo::Backlog(11, 100)));
        assert_eq!(in_flight.settle(), Settled::default());
        assert!(in_flight.acknowledge(ids[0]).is_some());
        assert_eq!(in_flight.settle(), Settled { replayed: 2, up_to: Some(11) });
        assert!(in_flight.acknowledge(ids[0]).is_none(), "it has been acknowledged before");
        assert_eq!((in_flight.len(), in_flight.backlog(), in_flight.backlog_bytes()), (2, 2, 200));
        assert_eq!(in_flight.first(), Some(2));
        in_flight.pass_over(14);
        assert!(in_flight.acknowledge(ids[3]).is_some() && in_flight.acknowledge(ids[2]).is_some());
        assert_eq!(in_flight.settle(), Settled { replayed: 2, up_to: Some(14) });
        assert_eq!((in_flight.len(), in_flight.backlog(), in_flight.backlog_bytes()), (0, 0, 0));
        assert_eq!(in_flight.first(), None);
    }

    #[test]
    fn what_nobody_has_acknowledged_is_given_back() {
        let mut in_flight = InFlight::default();
        let first = send(&mut in_flight, live(1));
        let second = send(&mut in_flight, live(2));
        send(&mut in_flight, Cargo::Own);
        send(&mut in_flight, Cargo::Backlog(7, 9));
        send(&mut in_flight, live(3));
        assert_eq!(in_flight.first_live(), Some(1));
        let of_one = live(0).live_bytes();
        assert_eq!(in_flight.live_bytes(), 3 * of_one);
        assert!(in_flight.acknowledge(second).is_some() && second != first);
        assert_eq!(in_flight.live_bytes(), 2 * of_one);
        assert_eq!(in_flight.first_live(), Some(1));
        assert_eq!((in_flight.len(), in_flight.backlog(), in_flight.own()), (5, 1, 1));
        assert_eq!(in_flight.end().iter().map(|message| message.at).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((in_flight.len(), in_flight.backlog(), in_flight.own()), (0, 0, 0));
        assert_eq!((in_flight.first_live(), in_flight.live_bytes(), in_flight.backlog_bytes()), (None, 0, 0));
        assert!(in_flight.acknowledge(first).is_none());
        let own = send(&mut in_flight, Cargo::Own);
        assert!(in_flight.acknowledge(own).is_some());
        assert_eq!(in_flight.own(), 0);
    }

    #[test]
    fn a_number_is_not_given_twice_at_once_and_never_0() {
        let mut in_flight = InFlight::default();
        let mut stay = Vec::new();
        for number in 0..100_000 {
            match number % 1000 {
                0 => stay.push(send(&mut in_flight, live(0))),
                1 if number < 60_000 => stay.push(send(&mut in_flight, live(0))),
                2 => in_flight.pass_over(number),
                _ => drop(in_flight.next_id()),
            }
        }
        assert_eq!(stay.iter().collect::<HashSet<_>>().len(), stay.len());
        for _ in 0..200_000 {
            let id = in_flight.next_id();
            assert!(id != 0 && !stay.contains(&id));
        }
        // Those that are settled are free again.
        in_flight.end();
        for _ in 0..200_000 {
            let id = send(&mut in_flight, live(0));
            assert!(in_flight.acknowledge(id).is_some());
            in_flight.settle();
        }
    }
}
