//! How services are described before they are built. A builder holds what both kinds are told,
//! and what only a server or a client is; its page lists what it can do, what most programs set first.

use crate::codec::Separator;
use crate::codec::separator::DEFAULT_SEPARATOR;
use crate::error::Error;
use crate::service::callback::Chain;
use crate::settings::{DEFAULT_PORT, Settings, Token};

/// What both kinds of service are told; the builders' methods say what each is.
pub(crate) struct Common {
    pub(crate) callback: Chain,
    pub(crate) port: u16,
    /// Checked when the service is built.
    pub(crate) separator: Vec<u8>,
    /// Checked with it.
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) settings: Settings,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            callback: Chain::default(),
            port: DEFAULT_PORT,
            separator: DEFAULT_SEPARATOR.into(),
            token: None,
            settings: Settings::default(),
        }
    }
}

impl Common {
    /// The settings, checked.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let separator = Separator::new(&self.separator)?;
        let token = self.token.as_ref().map(|secret| Token::new(secret, &separator)).transpose()?;
        let settings = Settings { separator, token, ..self.settings.clone() };
        settings.check()?;
        Ok(settings)
    }
}

/// The methods of both builders that most programs use.
macro_rules! usual_settings {
    () => {
        /// The port: where a server listens (0: a free one), where a client connects. Default
        /// [`DEFAULT_PORT`](crate::DEFAULT_PORT), 16900.
        pub fn port(mut self, port: u16) -> Self {
            self.common.port = port;
            self
        }

        /// The bytes that end each message; the same on both sides. Default `;`. LEADS uses `end;` for video.
        pub fn separator(mut self, separator: impl AsRef<[u8]>) -> Self {
            self.common.separator = separator.as_ref().to_vec();
            self
        }

        /// What is told of everything that happens. Default: nobody.
        pub fn callback(mut self, callback: impl $crate::Callback) -> Self {
            self.common.callback = $crate::service::callback::Chain::of(callback);
            self
        }

        /// A secret that both sides know: a client says it first, and a server lets in only those who do. Not empty, at
        /// most 4096 bytes, and a message that can be sent: without the separator, and not the goodbye. Default: none.
        ///
        /// On the wire it is a message like any other, the first one of each connection; but it is told to no callback,
        /// and is in no statistics. Until it has arrived the caller is no connection: no callback is told of it, no
        /// broadcast reaches it, and it has [`handshake_timeout`](Self::handshake_timeout) and counts for
        /// [`max_handshakes`](crate::ServerBuilder::max_handshakes). A caller whose first message is anything else is
        /// refused, with [`RefusalCause::NotAuthenticated`](crate::RefusalCause::NotAuthenticated). The comparison
        /// takes equally long wherever two tokens of the same length differ.
        ///
        /// The server does not answer, so a client may send its messages right behind: [`start`](crate::Client::start)
        /// returns when the token is written. To a client whose token is wrong the server is one that says goodbye at
        /// once. A client that [connects again](crate::ClientBuilder::reconnect) says its token each time. Peers that
        /// do not know of tokens, such as LEADS's own clients, are let in when they send it as their first message.
        ///
        /// # Failures
        ///
        /// So that nobody can try one token after the other, 5 callers from one IP address who were let try and did not
        /// have it (or whom an [authenticator](crate::ServerBuilder::authenticate) denied) make the server refuse all
        /// callers from there, with [`RefusalCause::TooManyFailures`](crate::RefusalCause::TooManyFailures), before
        /// anything is read from them; also those who are let try at the same time, right or wrong. One of the 5 is
        /// forgotten every 10 s, and then one more may try. Of IPv6 addresses the first 64 bits count. Callers who say
        /// nothing, or leave before, do not, nor does a token that is right take anything back: behind a router many
        /// peers have one address, and one that knows a token is no reason to let others guess. For the same reason a
        /// peer with a wrong token keeps its neighbours out, for as long as it tries again and again; connections that
        /// there are stay. The last 4096 such addresses are remembered. Transports without addresses have no such
        /// limit.
        ///
        /// # Secrecy
        ///
        /// It goes over the wire as it is: whoever can read along can use it. Over a network, that takes an encrypted
        /// transport. No log line, error or `Debug` has it.
        ///
        /// # Examples
        ///
        /// ```
        /// use leads_comm::{Client, Server, callback::{self, Event}};
        ///
        /// let (callback, events) = callback::channel(16);
        /// let server = Server::builder().port(0).token("correct horse battery staple").callback(callback).build()?;
        /// server.start(true)?;
        /// let client = Client::builder().port(server.port()).token("correct horse battery staple").build()?;
        /// client.start("127.0.0.1", true)?;
        /// client.send(b"m1")?;
        /// let message = events.iter().find_map(|event| match event {
        ///     Event::Receive { message, .. } => Some(message),
        ///     _ => None,
        /// });
        /// assert_eq!(message.as_deref(), Some(&b"m1"[..]));
        /// # client.close();
        /// # server.close();
        /// # Ok::<(), leads_comm::Error>(())
        /// ```
        pub fn token(mut self, secret: impl AsRef<[u8]>) -> Self {
            self.common.token = Some(secret.as_ref().to_vec());
            self
        }

        /// The longest message that is received, in payload bytes; a peer that sends a longer one is disconnected. At
        /// least 10, so that the peer can say goodbye, and no more than
        /// [`max_total_unfinished_bytes`](Self::max_total_unfinished_bytes) can hold. Default 1 MiB.
        ///
        /// Of what such a peer goes on sending as much again is read and thrown away, but at least 64 KiB, so that it
        /// gets to read the goodbye; a peer that sends more is given up, and sees a reset where there is one. The same
        /// holds for one that has not finished a message [in time](Self::partial_message_timeout), and behind its own
        /// goodbye.
        pub fn max_received_len(mut self, bytes: usize) -> Self {
            self.common.settings.max_received_len = bytes;
            self
        }

        /// The longest message that `send` and `broadcast` accept, in payload bytes; no more than
        /// [`max_queued_bytes`](Self::max_queued_bytes) can hold. Default 1 MiB, as much as a peer of this library
        /// receives unless it is told otherwise: one that is sent more than it receives ends the connection, and to the
        /// sender that looks like any other goodbye.
        pub fn max_sent_len(mut self, bytes: usize) -> Self {
            self.common.settings.max_sent_len = bytes;
            self
        }

        /// How much may wait to be written to one peer: in bytes, each message charged its length, the separator's, and
        /// 64. Must hold a message of [`max_sent_len`](Self::max_sent_len). Default 4 MiB.
        pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
            self.common.settings.max_queued_bytes = bytes;
            self
        }

        /// What happens when that much waits, for one peer or for all of them. Default
        /// [`SlowConsumer::Disconnect`](crate::SlowConsumer::Disconnect).
        pub fn slow_consumer(mut self, policy: $crate::SlowConsumer) -> Self {
            self.common.settings.slow_consumer = policy;
            self
        }

        /// How long nothing at all may arrive from a peer. Then the connection is closed, with a goodbye and
        /// [`DisconnectCause::IdleTimeout`](crate::DisconnectCause::IdleTimeout). More than 0; `None` is for ever.
        /// Default `None`, because a peer that only listens is as good as one that speaks.
        ///
        /// Any bytes count, also those of a message that is not whole; what is sent to the peer does not, nor do the
        /// probes of [`dead_peer_timeout`](Self::dead_peer_timeout). Silence begins when the callback has returned from
        /// the last message that arrived, so that the time that callbacks take does not count.
        ///
        /// `on_disconnect` comes after this time and a twentieth of a second, in which what has just arrived is read:
        /// such a peer is told the goodbye, and not waited for. Where something still waits to be written to it, that
        /// has its [`flush_timeout`](crate::Closing::flush_timeout) first.
        pub fn idle_timeout(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
            self.common.settings.idle_timeout = time.into();
            self
        }
    };
}

/// The methods of both builders that few programs use.
macro_rules! further_settings {
    () => {
        /// How long a peer may take nothing of what waits for it in its outbox before it is disconnected, with
        /// [`OutboundLimit::Stalled`](crate::OutboundLimit::Stalled). More than 0. Default 30 s with
        /// [`SlowConsumer::Disconnect`](crate::SlowConsumer::Disconnect) and
        /// [`SlowConsumer::Block`](crate::SlowConsumer::Block), and 10 minutes with the policies that drop: they hold
        /// up nobody, and have no reason to end a peer that is alive.
        ///
        /// This is for peers whose system answers and whose program reads nothing. A write is tried four times in that
        /// time, so that a peer which reads slowly, and is never ended for it, is seen to read. Systems open the way
        /// for more in steps, which are what the slowest peer has to read in that time: over TCP on one machine 128
        /// KiB, or a sixteenth of the peer's receive buffer where that is more; over Unix sockets on Linux what was
        /// written at once, up to some 36 KiB. What the system still has room for is taken first, by the next try.
        /// `docs/peers.md` has the whole table.
        ///
        /// `on_disconnect` comes after this time, or up to a quarter of it later; the end itself takes none, because
        /// such a peer is neither flushed to nor waited for.
        pub fn stall_timeout(mut self, time: std::time::Duration) -> Self {
            self.common.settings.stall_timeout = Some(time);
            self
        }

        /// How long a peer may take to finish a message that it has begun: from the time at which its first bytes were
        /// read to the arrival of its separator, however many bytes come in between. Then the connection is ended, with
        /// [`DisconnectCause::PartialMessageTimeout`](crate::DisconnectCause::PartialMessageTimeout). More than 0.
        /// Default 30 s.
        ///
        /// It is counted anew for each message, so that it does not concern a peer that sends many. Nor does the time
        /// that callbacks take count against the peer: while one is running, the connection is not being read, and a
        /// message that has begun to arrive behind the one that it was given counts from its return.
        ///
        /// `on_disconnect` comes after this time and what the regular end takes: nothing, when the peer closes its side
        /// upon the goodbye, and otherwise up to [`drain_timeout`](crate::Closing::drain_timeout), so that what it is
        /// still sending does not cost it the goodbye; with the defaults 30.5 s.
        pub fn partial_message_timeout(mut self, time: std::time::Duration) -> Self {
            self.common.settings.partial_message_timeout = time;
            self
        }

        /// How long the handshake of a stream that [needs](crate::transport::Stream::needs_handshake) one may take, and
        /// what [authenticates](Self::token) a caller, together. More than 0. Default 5 s.
        ///
        /// A server counts from the moment at which it has accepted the stream; when the time is over the caller is
        /// refused ([`RefusalCause::HandshakeTimeout`](crate::RefusalCause::HandshakeTimeout)). A client
        /// [fails to connect](crate::Error::Connect), with a source of the kind `TimedOut`.
        pub fn handshake_timeout(mut self, time: std::time::Duration) -> Self {
            self.common.settings.handshake_timeout = time;
            self
        }

        /// How long, over TCP, no sign of life may come from a peer's *system* before the peer is taken for gone: its
        /// machine has lost its power, or the network between. Then the connection ends, with
        /// [`DisconnectCause::Io`](crate::DisconnectCause::Io), whatever the
        /// [stall time-out](Self::stall_timeout). More than 0. Default 30 s. `None` leaves the sockets as they are,
        /// and it to the system: hours, or a quarter of an hour where something is on its way to the peer.
        ///
        /// - While nothing that was sent is unanswered, the system asks the peer's (keepalive), from half of the time
        ///   on, three times, so that the last answer is missing when it is over: with 30 s after 15 s of silence, then
        ///   every 5 s. That goes by whole seconds, and takes 2 s at least; the first question comes after 32,767 s of
        ///   silence at the latest. See [`Keepalive::within`](crate::transport::Keepalive::within).
        /// - While something is unanswered, data or the system's questions whether there is room again, nothing at all
        ///   may come for that time; this is noticed a quarter of it later at most. Of a peer that has no room, the
        ///   system asks at intervals which double, up to 2 minutes, and two questions have to be unanswered.
        ///
        /// A peer whose system answers stays, also when its program reads nothing for hours: that is a matter of
        /// [`stall_timeout`](Self::stall_timeout). A system that refuses to do this, or a part of it, is no error; what
        /// it refuses is logged, at debug, once for each service. Transports of the program's own do what their
        /// [`Stream::keep_alive`](crate::transport::Stream::keep_alive) and
        /// [`unanswered_for`](crate::transport::Stream::unanswered_for) say.
        ///
        /// What is unanswered, the service asks the system on Linux, four times within the time and only while
        /// something may be, over a socket of the family `AF_NETLINK` (`NETLINK_SOCK_DIAG`), which takes a descriptor
        /// for that moment. Where a sandbox denies such sockets, and on Android and Fuchsia, the socket is given
        /// `TCP_USER_TIMEOUT` instead, which also ends a peer that answers but has had no room for so long. Elsewhere
        /// the system's own patience ends it, within minutes.
        ///
        /// # Examples
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// use leads_comm::Server;
        ///
        /// // Somebody pays for every packet: asked after 75 s of silence, and noticed after two and a half minutes.
        /// let server = Server::builder().dead_peer_timeout(Duration::from_secs(150)).build()?;
        /// # drop(server);
        /// # Ok::<(), leads_comm::Error>(())
        /// ```
        pub fn dead_peer_timeout(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
            self.common.settings.dead_peer_timeout = time.into();
            self
        }

        /// How long the end of a connection, and of the service, may take: see [`Closing`](crate::Closing). Default: 2
        /// s to write what had been accepted, then 0.5 s of silence until the peer has closed its side, 3 s in all.
        pub fn closing(mut self, closing: $crate::Closing) -> Self {
            self.common.settings.closing = closing;
            self
        }

        /// How much memory what waits to be written to all peers together may take, in bytes: the messages themselves,
        /// room for more of them that is kept ready, and what it takes to keep them in order, some 8 to 130 bytes for a
        /// message. One that is broadcast counts once, however many peers it waits for; an entry for it in a peer's
        /// queue, if there has to be one, counts for that peer. Not less than
        /// [`max_queued_bytes`](Self::max_queued_bytes). Default 64 MiB.
        ///
        /// Up to an eighth more is used for messages that are just being written, and what is left of one of up to 4
        /// KiB for each connection. So peers who take what they are sent are always served, whatever call the messages
        /// come by and whatever the [policy](Self::slow_consumer), although others have used everything up. Peers that
        /// have stopped in the middle of longer messages may hold that eighth as well; then room for another long one
        /// is made as the policy has it: the peer with the longest queue is disconnected, or loses the oldest of what
        /// waits for it, or is waited for.
        pub fn max_total_queued_bytes(mut self, bytes: usize) -> Self {
            self.common.settings.max_total_queued_bytes = bytes;
            self
        }

        /// How much the messages that peers have begun and not finished, and the buffers that they are read into, may
        /// take of memory for all connections together, in bytes; besides, each connection has 4 KiB that do not count.
        /// Must hold a message of [`max_received_len`](Self::max_received_len) with its separator. Default 64 MiB.
        ///
        /// When half of it is used, peers are read from in small steps, without large buffers. When all of it is used
        /// and a message needs more, the connection with the longest unfinished message is ended at once, with
        /// [`DisconnectCause::TotalUnfinishedBytes`](crate::DisconnectCause::TotalUnfinishedBytes); so one that
        /// hoards goes before one that sends a little at a time. The message that needs more waits for that memory, at
        /// most for a second, and then its own connection is ended in the same way: also when it is running callbacks
        /// that hold all of it.
        pub fn max_total_unfinished_bytes(mut self, bytes: usize) -> Self {
            self.common.settings.max_total_unfinished_bytes = bytes;
            self
        }

        /// Whether messages that are sent one right after the other may be joined, so that one write carries many of
        /// them. Default true.
        ///
        /// A receiver sees the same stream either way. Without it each write carries one message, and `TCP_NODELAY`
        /// sends each off by itself as long as the peer keeps up. That is many times slower for floods of small
        /// messages, and helps only receivers that break when messages arrive together, as that of LEADS in Python
        /// does; it breaks less often then, and it takes pauses between the messages for it not to break at all.
        pub fn coalesce(mut self, coalesce: bool) -> Self {
            self.common.settings.coalesce = coalesce;
            self
        }

        /// The stack of each reader thread, in bytes, on which the callbacks run. Default 512 KiB: a quarter of what
        /// Rust gives a thread otherwise, so that 10,000 connections take 5 GB of addresses; only what is used of it
        /// costs memory. Callbacks that recurse deeply, or keep large arrays on the stack, need more.
        pub fn reader_stack(mut self, bytes: usize) -> Self {
            self.common.settings.reader_stack = bytes;
            self
        }
    };
}

pub(crate) use further_settings;
pub(crate) use usual_settings;
