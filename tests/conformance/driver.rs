//! Runs a case.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use leads_comm::{Connection, Error, Service};

use crate::case::{Case, Role, Step};
use crate::ours::{self, Ours, Seen, Told};
use crate::patience;
use crate::peer::Peer;
use crate::show::{compare, show};

/// How much a slow peer reads at once.
const SLOW_READ: usize = 1000;

/// Runs a case with the library in `role`; says what was expected and what was seen where they differ.
pub(crate) fn run(case: &Case, role: Role) -> Result<(), String> {
    let talk = || {
        let mut talk = Talk::open(case, role)?;
        let outcome = talk.follow(case).and_then(|()| talk.finish(case));
        // Also after a failure: nothing is left behind for other cases.
        talk.peers.clear();
        talk.ours.service.close();
        outcome
    };
    catch_unwind(AssertUnwindSafe(talk)).unwrap_or_else(|_| Err("the driver panicked".to_owned()))
}

/// A conversation under way.
struct Talk {
    ours: Ours,
    told: Told,
    peers: Vec<Peer>,
    /// Of each peer, whether the end of its connection has been seen.
    ended: Vec<bool>,
    at: usize,
    meanwhile: Vec<(&'static str, Receiver<Result<(), String>>)>,
}

impl Talk {
    fn open(case: &Case, role: Role) -> Result<Self, String> {
        let (ours, told, peers) = ours::open(case, role)?;
        Ok(Self { ours, told, ended: vec![false; peers.len()], peers, at: 0, meanwhile: Vec::new() })
    }

    fn follow(&mut self, case: &Case) -> Result<(), String> {
        for (number, step) in case.script.iter().enumerate() {
            self.step(step).map_err(|error| format!("step {}, {}: {error}", number + 1, step.show()))?;
        }
        Ok(())
    }

    /// The connection to the peer at hand.
    fn connection(&self) -> Result<&Connection, String> {
        self.ours.connections[self.at].as_ref().ok_or_else(|| "there is no connection to this peer".to_owned())
    }

    /// One more peer, at hand from now on.
    fn add(&mut self, peer: Peer) {
        self.at = self.peers.len();
        self.peers.push(peer);
        self.ended.push(false);
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let peer = &mut self.peers[self.at];
        let name = peer.name.clone();
        let name = Some(&*name);
        match step {
            Step::Peer(number) => self.at = *number,
            Step::Send(pieces) => peer.send(pieces)?,
            Step::AwaitRead => peer.await_read()?,
            Step::Flood(bytes) => peer.flood(bytes.clone())?,
            Step::Drip(bytes) => peer.drip(bytes.clone())?,
            Step::Call { first, admitted } => {
                let peer = self.ours.call(&mut self.told, first, *admitted)?;
                self.add(peer);
            }
            Step::ComeAgain { attempt } => {
                let peer = self.ours.come_again(&mut self.told, *attempt)?;
                self.add(peer);
            }
            Step::StayAway => self.ours.stay_away()?,
            Step::HalfClose => peer.half_close()?,
            Step::Close => peer.close(),
            Step::Reset => peer.reset()?,
            Step::Read(bytes) => peer.read(bytes, usize::MAX)?,
            Step::ReadSlowly(bytes) => peer.read(bytes, SLOW_READ)?,
            Step::ReadCopies(copy) => peer.read_copies(copy)?,
            Step::ReadGoodbye => peer.read_goodbye()?,
            Step::ReadEnd => peer.read_end()?,
            Step::ReadReset => peer.read_reset()?,
            Step::ReadAway => peer.read_away()?,
            Step::Receive(message) => match self.told.next(name)? {
                Seen::Receive(seen) => compare(message, &seen)?,
                other => return Err(format!("saw {}", other.show())),
            },
            Step::End(end) => {
                self.ended[self.at] = true;
                match self.told.next(name)? {
                    Seen::Disconnect(reason) => end.check(&reason)?,
                    other => return Err(format!("saw {}", other.show())),
                }
            }
            Step::Fail(name) => match self.told.next(None)? {
                Seen::Fail(Error::CallbackPanicked { callback, .. }) if callback == *name => {}
                other => return Err(format!("saw {}", other.show())),
            },
            Step::ProgramSend(message) => {
                self.connection()?.send(message).map_err(|error| error.to_string())?;
            }
            Step::Refuse(message) => match self.connection()?.send(message) {
                Err(Error::InvalidMessage(_) | Error::MessageTooLong { .. }) => {}
                other => return Err(format!("saw {other:?}")),
            },
            Step::Broadcast { message, reaching } => match self.ours.service.broadcast(message) {
                Ok(reached) if reached == *reaching => {}
                other => return Err(format!("expected Ok({reaching}), saw {other:?}")),
            },
            Step::Act(_, act) => act(&*self.ours.service, self.connection()?)?,
            Step::Meanwhile(name, act) => {
                let (act, connection) = (*act, self.connection()?.clone());
                self.meanwhile(name, move |service| act(service, &connection));
            }
            Step::CloseService => self.meanwhile("close", |service| {
                service.close();
                Ok(())
            }),
        }
        Ok(())
    }

    fn meanwhile(&mut self, name: &'static str, act: impl FnOnce(&dyn Service) -> Result<(), String> + Send + 'static) {
        let service = self.ours.service.clone();
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || done.send(act(&*service)));
        self.meanwhile.push((name, outcome));
    }

    /// What every script ends with.
    fn finish(&mut self, case: &Case) -> Result<(), String> {
        for (number, end) in case.ends.iter().enumerate() {
            let whose = if case.ends.len() == 1 { String::new() } else { format!(" of peer {number}") };
            let peer = &mut self.peers[number];
            let name = peer.name.clone();
            if peer.is_open() {
                if end.is_some_and(|end| !end.expected) && !self.ended[number] {
                    peer.say_goodbye()?;
                }
                peer.read_rest().map_err(|error| format!("at the end{whose}: {error}"))?;
                peer.close();
            }
            let Some(end) = end.filter(|_| !self.ended[number]) else { continue };
            match self.told.next(Some(&name)).map_err(|error| format!("at the end{whose}: {error}"))? {
                Seen::Disconnect(reason) => end.check(&reason)?,
                other => return Err(format!("at the end{whose}: expected on_disconnect, saw {}", other.show())),
            }
        }
        for (name, outcome) in self.meanwhile.drain(..) {
            let outcome = outcome.recv_timeout(patience());
            outcome.map_err(|_| format!("`{name}` does not return"))?.map_err(|error| format!("`{name}`: {error}"))?;
        }
        self.ours.service.close();
        self.ours.stay_away()?;
        let left = self.ours.service.num_connections();
        let (rest, refused) = self.told.rest();
        let rest: Vec<String> = rest.iter().map(Seen::show).collect();
        if left > 0 || !rest.is_empty() {
            return Err(format!("too much: {left} connections, {rest:?}"));
        }
        let callers = case.ends.iter().filter(|end| end.is_none()).count();
        if u64::try_from(callers) == Ok(refused) { Ok(()) } else { Err(format!("{refused} of {callers} callers told")) }
    }
}

impl Step {
    pub(crate) fn show(&self) -> String {
        let with = |what: &str, bytes: &[u8]| format!("{what} {}", show(bytes));
        match self {
            Step::Send(pieces) => {
                let pieces: Vec<_> = pieces.iter().map(|piece| show(piece)).collect();
                format!("the peer sends {}", pieces.join(" / "))
            }
            Step::Flood(bytes) => with("the peer floods", bytes),
            Step::Drip(bytes) => with("the peer drips", bytes),
            Step::Read(bytes) => with("the peer reads", bytes),
            Step::ReadSlowly(bytes) => with("the peer reads slowly", bytes),
            Step::ReadCopies(bytes) => with("the peer reads copies of", bytes),
            Step::Receive(message) => with("the callback receives", message),
            Step::ProgramSend(message) => with("the program sends", message),
            Step::Refuse(message) => with("the program is refused", message),
            Step::Broadcast { message, .. } => with("the program broadcasts", message),
            Step::Act(name, _) | Step::Meanwhile(name, _) => format!("the program {name}"),
            other => format!("{other:?}"),
        }
    }
}
