//! The language in which cases are written.
//!
//! A case is a script. Three take part in it, and the verb says who acts: the *peer*, a plain socket (`sends`, `reads`,
//! `half_closes`, `resets` …); the library, through what its callback is told (`receives`, `ends`); and the *program*
//! that uses the library (`program_sends`, `program_closes` …). A step that waits for something waits until it is
//! there, and for nothing else.
//!
//! What a script leaves out is the regular end. After its last step the peer says goodbye unless the connection is
//! ending, reads the library's goodbye and the end of the stream, and closes; `on_disconnect` comes with the reason
//! that the script [names](Case::ends), or else with `PeerGoodbye`. Whatever else comes, on the wire or to the
//! callback, fails the case.

use std::fmt;

use leads_comm::{Caller, Connection, Service};

use crate::end::End;
use crate::ours::Setting;

/// What the library is in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// What a program does in `on_connect` and `on_disconnect`, and in `on_receive`.
pub(crate) type Reaction = fn(&dyn Service, &Connection);
pub(crate) type Answer = fn(&dyn Service, &Connection, &[u8]);

/// What the program does in its callbacks, besides noting what it is told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Program {
    pub(crate) on_connect: Option<Reaction>,
    pub(crate) on_receive: Option<Answer>,
    pub(crate) on_disconnect: Option<Reaction>,
    /// Whether each message is answered with the same.
    pub(crate) echoes: bool,
    /// Whether messages are not noted, because nobody knows how many there will be.
    pub(crate) ignores_messages: bool,
}

/// What the program does with a connection, outside of its callbacks; an error fails the case.
pub(crate) type Act = fn(&dyn Service, &Connection) -> Result<(), String>;

/// One step of a script.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The steps that follow concern this peer.
    Peer(usize),
    /// The peer writes, each piece when the library has read the one before.
    Send(Vec<Vec<u8>>),
    /// The peer waits until the library has read everything.
    AwaitRead,
    /// The peer writes the same again and again, beside everything that follows, as long as it can.
    Flood(Vec<u8>),
    /// The same, each time when the library has read what was before.
    Drip(Vec<u8>),
    /// One more peer connects, writes this before it is accepted, and is let in or not. The steps that follow concern
    /// this one.
    Call {
        first: Vec<u8>,
        admitted: bool,
    },
    /// The client connects again, in so many attempts. The steps that follow concern this connection.
    ComeAgain {
        attempt: u32,
    },
    /// The client does not connect.
    StayAway,
    HalfClose,
    Close,
    Reset,
    Read(Vec<u8>),
    /// The same in many small reads.
    ReadSlowly(Vec<u8>),
    /// The peer reads one message again and again, then the goodbye and the end of the stream.
    ReadCopies(Vec<u8>),
    ReadGoodbye,
    ReadEnd,
    ReadReset,
    /// The peer reads whatever comes, until the stream ends or breaks.
    ReadAway,
    /// `on_receive` is called.
    Receive(Vec<u8>),
    /// `on_disconnect` is called, although the peer does nothing for it.
    End(End),
    /// `on_fail` is called for a panic of this callback.
    Fail(&'static str),
    ProgramSend(Vec<u8>),
    /// The program tries to send what cannot be framed.
    Refuse(Vec<u8>),
    Broadcast {
        message: Vec<u8>,
        reaching: usize,
    },
    Act(&'static str, Act),
    /// An act on a thread of its own, beside everything that follows.
    Meanwhile(&'static str, Act),
    CloseService,
}

/// How messages are told apart, said without the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    Separator(Vec<u8>),
    Length,
}

impl Wire {
    /// A message as it goes over the wire.
    pub(crate) fn frame(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Separator(separator) => [message, separator].concat(),
            Self::Length => [&(message.len() as u32).to_be_bytes(), message].concat(),
        }
    }

    pub(crate) fn goodbye(&self) -> Vec<u8> {
        self.frame(b"disconnect")
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::Separator(b";".to_vec())
    }
}

/// One conversation, and what has to come of it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) roles: &'static [Role],
    pub(crate) wire: Wire,
    pub(crate) settings: Vec<Setting>,
    pub(crate) narrow: bool,
    pub(crate) program: Program,
    pub(crate) peers: usize,
    /// Who may connect to a server.
    pub(crate) door: Door,
    /// Whether a client connects again by itself.
    pub(crate) reconnects: bool,
    pub(crate) script: Vec<Step>,
    /// How the connection of each peer ends; `None` for a caller who has none.
    pub(crate) ends: Vec<Option<End>>,
}

/// What a server is told about who may connect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Door {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_per_address: Option<usize>,
    pub(crate) admit: Option<fn(&Caller<'_>) -> bool>,
}

/// The setting of a case.
impl Case {
    pub(crate) fn new(id: String, name: String) -> Self {
        Self {
            id,
            name,
            roles: &[Role::Server, Role::Client],
            wire: Wire::default(),
            settings: Vec::new(),
            narrow: false,
            program: Program::default(),
            peers: 1,
            door: Door::default(),
            reconnects: false,
            script: Vec::new(),
            ends: vec![Some(End::default())],
        }
    }

    /// A case about what only a server has.
    pub(crate) fn server_only(mut self) -> Self {
        self.roles = &[Role::Server];
        self
    }

    /// Who may connect to the server: everybody, where this is not said.
    pub(crate) fn door(mut self, door: Door) -> Self {
        self.door = door;
        self.server_only()
    }

    /// The client connects again by itself. Such a case ends with the service, or the client comes again after it.
    pub(crate) fn reconnecting(mut self) -> Self {
        self.reconnects = true;
        self.roles = &[Role::Client];
        self
    }

    /// Separator `;` where none is given.
    pub(crate) fn separator(mut self, separator: impl AsRef<[u8]>) -> Self {
        self.wire = Wire::Separator(separator.as_ref().to_vec());
        self
    }

    /// Messages are told apart by their lengths.
    pub(crate) fn by_length(mut self) -> Self {
        self.wire = Wire::Length;
        self
    }

    /// The library's defaults where nothing else is given, but for time-outs: those are never over by themselves.
    pub(crate) fn with(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// Small buffers in the system, so that a peer that does not read is soon noticed.
    pub(crate) fn narrow(mut self) -> Self {
        self.narrow = true;
        self
    }

    /// So many peers, of a server; the script begins with peer 0.
    pub(crate) fn peers(mut self, peers: usize) -> Self {
        self.peers = peers;
        self.ends = vec![Some(End::default()); peers];
        self.server_only()
    }

    /// The program does this in `on_connect`.
    pub(crate) fn on_connect(mut self, callback: Reaction) -> Self {
        self.program.on_connect = Some(callback);
        self
    }

    /// The program does this in `on_receive`.
    pub(crate) fn on_receive(mut self, callback: Answer) -> Self {
        self.program.on_receive = Some(callback);
        self
    }

    /// The program does this in `on_disconnect`.
    pub(crate) fn on_disconnect(mut self, callback: Reaction) -> Self {
        self.program.on_disconnect = Some(callback);
        self
    }

    /// The program answers each message with the same.
    pub(crate) fn echoing(mut self) -> Self {
        self.program.echoes = true;
        // Fails when the connection is ending, which is not what such a case is about.
        self.on_receive(|_, connection, message| drop(connection.send(message)))
    }

    /// The program does not note messages.
    pub(crate) fn ignoring_messages(mut self) -> Self {
        self.program.ignores_messages = true;
        self
    }
}

/// The script.
impl Case {
    fn step(mut self, step: Step) -> Self {
        self.script.push(step);
        self
    }

    /// The steps that follow are those of this peer, counted from 0.
    pub(crate) fn peer(self, peer: usize) -> Self {
        assert!(peer < self.ends.len());
        self.step(Step::Peer(peer))
    }

    /// The peer writes in one go: a few bytes travel in one segment.
    pub(crate) fn sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.sends_in([bytes])
    }

    /// The peer writes in pieces, each in a segment of its own, which the library reads by itself.
    pub(crate) fn sends_in<B: AsRef<[u8]>>(self, pieces: impl IntoIterator<Item = B>) -> Self {
        self.step(Step::Send(pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect()))
    }

    /// The peer writes each byte by itself, in a segment of its own.
    pub(crate) fn sends_byte_by_byte(self, bytes: impl AsRef<[u8]>) -> Self {
        self.sends_in(bytes.as_ref().chunks(1))
    }

    /// The peer writes in two pieces, the second from byte `at` on.
    pub(crate) fn sends_cut(self, bytes: impl AsRef<[u8]>, at: usize) -> Self {
        let (first, second) = bytes.as_ref().split_at(at);
        self.sends_in([first, second])
    }

    /// The peer goes on when the library has read everything that it wrote.
    pub(crate) fn until_read(self) -> Self {
        self.step(Step::AwaitRead)
    }

    /// The peer writes the same without pause, until the stream ends or breaks.
    pub(crate) fn floods(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Flood(bytes.as_ref().to_vec()))
    }

    /// The peer writes the same without pause, until the stream ends or breaks, each time when the library has read
    /// what it wrote.
    pub(crate) fn drips(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Drip(bytes.as_ref().to_vec()))
    }

    /// One more peer connects, is let in, and is the one at hand.
    pub(crate) fn another_connects(mut self) -> Self {
        self.ends.push(Some(End::default()));
        self.step(Step::Call { first: Vec::new(), admitted: true })
    }

    /// One more peer connects, and is the one at hand. It is not let in: it reads the goodbye and the end of the
    /// stream, and the callback is not told of it, but by number.
    pub(crate) fn another_is_refused(self) -> Self {
        self.another_is_refused_behind("")
    }

    /// The same, and it has written this before the library sees it.
    pub(crate) fn another_is_refused_behind(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.ends.push(None);
        self.step(Step::Call { first: bytes.as_ref().to_vec(), admitted: false })
    }

    /// The client connects again, and this is the connection at hand; `on_reconnect` has told of this attempt, the
    /// latest since a message was received. Nor does it connect once more.
    pub(crate) fn comes_again(mut self, attempt: u32) -> Self {
        self.ends.push(Some(End::default()));
        self.step(Step::ComeAgain { attempt })
    }

    /// Up to now the client has not connected again.
    pub(crate) fn stays_away(self) -> Self {
        self.step(Step::StayAway)
    }

    /// The peer says goodbye; it is answered in the end.
    pub(crate) fn says_goodbye(self) -> Self {
        let goodbye = self.wire.goodbye();
        self.sends(goodbye)
    }

    /// The peer ends its half of the stream.
    pub(crate) fn half_closes(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// The peer closes its socket, with whatever it has not read.
    pub(crate) fn closes(self) -> Self {
        self.step(Step::Close)
    }

    /// The peer goes as a crashed one does: by a reset.
    pub(crate) fn resets(self) -> Self {
        self.step(Step::Reset)
    }

    /// The peer reads exactly these bytes.
    pub(crate) fn reads(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Read(bytes.as_ref().to_vec()))
    }

    /// The peer reads exactly these bytes, few at a time.
    pub(crate) fn reads_slowly(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::ReadSlowly(bytes.as_ref().to_vec()))
    }

    /// The peer reads this message, nobody knows how often, but whole each time; then the goodbye and the end of the
    /// stream.
    pub(crate) fn reads_copies_of(self, message: impl AsRef<[u8]>) -> Self {
        let copy = self.wire.frame(message.as_ref());
        self.step(Step::ReadCopies(copy))
    }

    /// The peer reads the library's goodbye.
    pub(crate) fn reads_goodbye(self) -> Self {
        self.step(Step::ReadGoodbye)
    }

    /// The peer reads the regular end of the stream.
    pub(crate) fn reads_end(self) -> Self {
        self.step(Step::ReadEnd)
    }

    /// The peer reads a reset.
    pub(crate) fn reads_reset(self) -> Self {
        self.step(Step::ReadReset)
    }

    /// The peer reads whatever comes, until the stream ends or breaks.
    pub(crate) fn reads_away(self) -> Self {
        self.step(Step::ReadAway)
    }

    /// `on_receive` is called with each of these, in this order.
    pub(crate) fn receives<M: AsRef<[u8]>>(mut self, messages: impl IntoIterator<Item = M>) -> Self {
        self.script.extend(messages.into_iter().map(|message| Step::Receive(message.as_ref().to_vec())));
        self
    }

    /// How the connection of the peer at hand ends, after the script. Where this is not said, the peer says goodbye.
    pub(crate) fn ends(mut self, end: impl Into<End>) -> Self {
        // Peers that come later have numbers behind those that are there from the beginning.
        let mut coming = self.peers..;
        let peer = self.script.iter().fold(0, |peer, step| match step {
            Step::Peer(peer) => *peer,
            Step::Call { .. } | Step::ComeAgain { .. } => coming.next().expect("there is always a next number"),
            _ => peer,
        });
        self.ends[peer] = Some(end.into().expected());
        self
    }

    /// The connection ends here and now, before the peer does anything else.
    pub(crate) fn has_ended(self, end: impl Into<End>) -> Self {
        self.step(Step::End(end.into().expected()))
    }

    /// `on_fail` is called for a panic of this callback.
    pub(crate) fn fails(self, callback: &'static str) -> Self {
        self.step(Step::Fail(callback))
    }

    /// The program sends a message to the peer.
    pub(crate) fn program_sends(self, message: impl AsRef<[u8]>) -> Self {
        self.step(Step::ProgramSend(message.as_ref().to_vec()))
    }

    /// The program tries to send what cannot be framed, and is refused.
    pub(crate) fn program_is_refused(self, message: impl AsRef<[u8]>) -> Self {
        self.step(Step::Refuse(message.as_ref().to_vec()))
    }

    /// The program broadcasts a message, and is told that so many connections accepted it.
    pub(crate) fn program_broadcasts(self, message: impl AsRef<[u8]>, reaching: usize) -> Self {
        self.step(Step::Broadcast { message: message.as_ref().to_vec(), reaching })
    }

    /// The program does something else with the connection.
    pub(crate) fn program(self, does: &'static str, act: Act) -> Self {
        self.step(Step::Act(does, act))
    }

    /// The same on a thread of its own, beside everything that follows.
    pub(crate) fn meanwhile_program(self, does: &'static str, act: Act) -> Self {
        self.step(Step::Meanwhile(does, act))
    }

    /// The program closes the connection.
    pub(crate) fn program_closes(self) -> Self {
        self.program("closes the connection", |_, connection| {
            connection.close();
            Ok(())
        })
    }

    /// The program aborts the connection.
    pub(crate) fn program_aborts(self) -> Self {
        self.program("aborts the connection", |_, connection| {
            connection.abort();
            Ok(())
        })
    }

    /// The program closes the service, beside everything that follows.
    pub(crate) fn service_closes(self) -> Self {
        self.step(Step::CloseService)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Server => "server",
            Role::Client => "client",
        })
    }
}
