//! What the peers of the soak say to each other: one byte for the kind of message, then numbers or a
//! [stamp](leads_comm_testing::stamp).

/// Who speaks: the name of its role.
pub const HELLO: u8 = b'h';
/// Stamped, from a client; to be entered into the server's book.
pub const COUNTED: u8 = b's';
/// The same, to be [replied](REPLY) to with the same stamp.
pub const ECHO: u8 = b'e';
pub const REPLY: u8 = b'r';
/// Stamped, from the server to everyone.
pub const BROADCAST: u8 = b'b';
/// The same, with the sender for a key.
pub const STATE: u8 = b'k';
/// The server's first word: of each sender, how many broadcasts it has begun. Those behind have to arrive.
pub const WELCOME: u8 = b'w';
/// Asks to be served as a [viewer](crate::viewers::Viewer), by its number.
pub const WANT: u8 = b'v';
/// The reply to it, to who wants no states: of each sender, how many it has begun. Those behind may not arrive.
pub const SERVED: u8 = b'V';
/// How many messages each of a client's senders has sent. All of them have to have arrived.
pub const FINISH: u8 = b'f';
/// The reply to it: how many broadcasts each sender has finished. All of them have to have arrived.
pub const FINISHED: u8 = b'F';
/// Asks for so many bytes at once.
pub const BURST: u8 = b'x';
pub const JUNK: u8 = b'j';
/// Asks for a panic in the callback.
pub const PANIC: u8 = b'p';
/// Says that the last thing to come is so many bytes without a separator.
pub const UNFINISHED: u8 = b'u';

/// A message of a kind, and numbers.
pub fn numbers(kind: u8, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let text: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    [&[kind], text.join(",").as_bytes()].concat()
}

/// The numbers behind the kind.
pub fn read_numbers(message: &[u8]) -> Option<Vec<u64>> {
    std::str::from_utf8(message.get(1..)?).ok()?.split(',').map(|number| number.parse().ok()).collect()
}

/// The parts that peers play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A client of the library that sends, checks what it gets, and leaves in good order. Nobody may end it.
    Healthy,
    /// The same, from the beginning until the server closes; then it has to have got everything.
    Resident,
    /// The same in a process of its own.
    Process,
    /// The same in a process that is stopped for a moment.
    Paused,
    /// The same, served in one of the ways that [viewers](crate::viewers::Viewer) are.
    Viewer,
    /// A client of the library that the server may close or abort, and that may abort by itself.
    Guest,
    /// A process that is killed.
    Killed,
    /// A process that is stopped for good, while much is sent to it.
    Stopped,
    /// Connects and is gone.
    Vanish,
    Reset,
    HalfClose,
    Flood,
    /// Asks all the time whether the server still answers.
    Probe,
    /// Sends byte by byte.
    Drip,
    /// Sends what is no message, and ends.
    Garbage,
    /// Sends more without a separator than may be.
    TooLong,
    /// Asks for much and reads nothing.
    Stall,
    /// Makes the server's callback panic.
    Panic,
}

pub const ROLES: [Role; 18] = [
    Role::Healthy,
    Role::Resident,
    Role::Process,
    Role::Paused,
    Role::Viewer,
    Role::Guest,
    Role::Killed,
    Role::Stopped,
    Role::Vanish,
    Role::Reset,
    Role::HalfClose,
    Role::Flood,
    Role::Probe,
    Role::Drip,
    Role::Garbage,
    Role::TooLong,
    Role::Stall,
    Role::Panic,
];

impl Role {
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn of_name(name: &[u8]) -> Option<Self> {
        ROLES.into_iter().find(|role| role.name().as_bytes() == name)
    }

    /// What such a peer says first.
    pub fn hello(self) -> Vec<u8> {
        [&[HELLO], self.name().as_bytes()].concat()
    }

    /// Whether it may not be ended before it has said its last word.
    pub fn is_healthy(self) -> bool {
        matches!(
            self,
            Self::Healthy | Self::Resident | Self::Process | Self::Paused | Self::Viewer | Self::Flood | Self::Probe
        )
    }

    /// Whether the server may end it as it likes.
    pub fn is_fair_game(self) -> bool {
        self == Self::Guest
    }

    pub fn is_process(self) -> bool {
        matches!(self, Self::Process | Self::Paused | Self::Killed | Self::Stopped)
    }

    /// The reasons for which the server may see it end, by name.
    pub fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Healthy | Self::Process | Self::Paused | Self::Viewer | Self::Flood | Self::Probe => &["PeerGoodbye"],
            Self::Resident => &["ServiceClosed"],
            // Its own abort is a reset, or the end of the stream where it had been read from.
            Self::Guest => &["PeerGoodbye", "LocalClose", "LocalAbort", "Io", "PeerClosed"],
            Self::Killed | Self::Reset => &["Io", "PeerClosed"],
            Self::Vanish => &["PeerClosed", "Io"],
            Self::HalfClose | Self::Garbage => &["PeerClosed"],
            Self::Drip if crate::settings::DRIPPERS_ARE_ENDED => &["PartialMessageTimeout"],
            Self::Drip => &["PeerGoodbye"],
            Self::TooLong => &["MessageTooLong"],
            Self::Stall | Self::Stopped => &["SlowConsumer"],
            Self::Panic => &["CallbackPanicked"],
        }
    }
}
