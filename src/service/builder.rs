//! How services are described before they are built. A builder holds what both kinds are told,
//! and what only a server or a client is; its page lists what it can do, what most programs set first.

use crate::codec::{Framing, SeparatorError};
use crate::error::Error;
use crate::service::callback::Chain;
use crate::settings::{DEFAULT_PORT, Settings, Token, contained};

/// What both kinds of service are told; the builders' methods say what each is.
pub(crate) struct Common {
    pub(crate) callback: Chain,
    pub(crate) port: u16,
    /// Told when the service is built, if it cannot be used.
    pub(crate) framing: Result<Framing, SeparatorError>,
    /// Checked when the service is built.
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) settings: Settings,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            callback: Chain::default(),
            port: DEFAULT_PORT,
            framing: Ok(Framing::default()),
            token: None,
            settings: Settings::default(),
        }
    }
}

impl Common {
    /// The settings, checked.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let framing = contained(self.framing.clone()?);
        let token = self.token.as_ref().map(|secret| Token::new(secret, &framing)).transpose()?;
        let settings = Settings { framing, token, ..self.settings.clone() };
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

        /// The bytes that end each message; the same on both sides. Default `;`. Other ways to tell messages apart:
        /// [`framing`](Self::framing). LEADS uses `end;` for video.
        pub fn separator(mut self, separator: impl AsRef<[u8]>) -> Self {
            self.common.framing = $crate::codec::Separator::new(separator).map($crate::codec::Framing::from);
            self
        }

        /// How messages are told apart, the same on both sides: by a separator, by their
        /// [length](crate::codec::Framing::Length), with which any bytes can be sent, or by the
        /// [program](crate::codec::Framing::custom). [`separator`](Self::separator) is a shortcut for the first, and
        /// what is called last holds. Default: the separator `;`.
        ///
        /// Where a limit or a number counts a message with its separator, it counts what the framing adds: 4 bytes of
        /// length, or whatever the program's makes of it, which may be twice the message and 64 bytes. By length,
        /// [`max_received_len`](Self::max_received_len) and [`max_sent_len`](Self::max_sent_len) are at most
        /// [`u32::MAX`].
        pub fn framing(mut self, framing: impl Into<$crate::codec::Framing>) -> Self {
            self.common.framing = Ok(framing.into());
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
        /// broadcast reaches it, and it has [`handshake_timeout`](crate::Timeouts::handshake_timeout) and counts for
        /// [`max_handshakes`](crate::ServerBuilder::max_handshakes). A caller whose first message is anything else is
        /// refused, with [`RefusalCause::NotAuthenticated`](crate::RefusalCause::NotAuthenticated). The comparison
        /// takes equally long wherever two tokens of the same length differ.
        ///
        /// A client of this library is told that it has been let in, before anything else is sent: then
        /// [`start`](crate::Client::start) returns, `on_connect` is called, and what was
        /// [kept](crate::Reconnect::keep_bytes) is sent. One that is not let in has
        /// [`Error::NotLetIn`](crate::Error::NotLetIn), whatever the reason, which it is not told; one that has no
        /// answer within [`handshake_timeout`](crate::Timeouts::handshake_timeout), as of a server that is frozen,
        /// [`Error::Connect`](crate::Error::Connect). A client that [connects
        /// again](crate::ClientBuilder::reconnect) says its token each time.
        ///
        /// Peers that do not know of this, such as LEADS's own clients, are let in when they send the token as their
        /// first message, and are not answered. A server that cannot be asked, such as LEADS's own, sees a caller that
        /// says goodbye at once; then the client connects a second time and says the token by itself, and has been let
        /// in as far as it can know when it is not refused within half a second (for which it does not wait over
        /// TLS). The repository's `docs/protocol.md` has the bytes.
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
        /// [`max_total_unfinished_bytes`](crate::MemoryLimits::max_total_unfinished_bytes) can hold. Default 1 MiB.
        ///
        /// Of what such a peer goes on sending as much again is read and thrown away, but at least 64 KiB, so that it
        /// gets to read the goodbye; a peer that sends more is given up, and sees a reset where there is one. The same
        /// holds for one that has not finished a message [in time](crate::Timeouts::partial_message_timeout), and
        /// behind its own goodbye.
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
            self.common.settings.delivery.max_queued_bytes = bytes;
            self
        }

        /// What happens when that much waits, for one peer or for all of them. Default
        /// [`SlowConsumer::Disconnect`](crate::SlowConsumer::Disconnect).
        pub fn slow_consumer(mut self, policy: $crate::SlowConsumer) -> Self {
            self.common.settings.delivery.slow_consumer = policy;
            self
        }

        /// How long nothing at all may arrive from a peer. Then the connection is closed, with a goodbye and
        /// [`DisconnectCause::IdleTimeout`](crate::DisconnectCause::IdleTimeout). More than 0; `None` is for ever.
        /// Default `None`, because a peer that only listens is as good as one that speaks.
        ///
        /// Any bytes count, also those of a message that is not whole; what is sent to the peer does not, nor do the
        /// probes of [`dead_peer_timeout`](crate::Timeouts::dead_peer_timeout). Silence begins when the callback has
        /// returned from the last message that arrived, so that the time that callbacks take does not count.
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
        /// How a connection is served that is not [told otherwise](crate::Connection::set_delivery): see
        /// [`Delivery`](crate::Delivery). [`max_queued_bytes`](Self::max_queued_bytes) and
        /// [`slow_consumer`](Self::slow_consumer) each set a part of it.
        pub fn delivery(mut self, delivery: $crate::Delivery) -> Self {
            self.common.settings.delivery = delivery;
            self
        }

        /// What the key of a message is: messages of one key replace one another where a [`Delivery`](crate::Delivery)
        /// says so. `None` is for an event, which is never replaced. Default: there are no keys.
        /// [`key`](mod@crate::key) has functions for common cases.
        ///
        /// Called once for each message that is sent, on the thread that sends it, without any lock of the library's. A
        /// panic is an error of that call: [`Error::CallbackPanicked`](crate::Error::CallbackPanicked). It should hold
        /// no handle of the service, which lets it go when nobody has one any more.
        pub fn key(mut self, key: impl Fn(&[u8]) -> Option<$crate::Key> + Send + Sync + 'static) -> Self {
            self.common.settings.key = Some($crate::settings::KeyFunction::new(key));
            self
        }

        /// How long the end of a connection, and of the service, may take: see [`Closing`](crate::Closing). Default: 2
        /// s to write what had been accepted, then 0.5 s of silence until the peer has closed its side, 3 s in all.
        pub fn closing(mut self, closing: $crate::Closing) -> Self {
            self.common.settings.closing = closing;
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

        /// Whether what an end leaves unsent is kept, for the program to
        /// [take](crate::Connection::take_unsent) and send elsewhere, or again. Default false: it is counted, and gone.
        ///
        /// What is kept is the program's, and counts for no limit any more: of each connection it is at most what could
        /// [wait for it](Self::max_queued_bytes), until it is taken or the last handle of the connection goes.
        pub fn keep_unsent(mut self, keep: bool) -> Self {
            self.common.settings.keep_unsent = keep;
            self
        }

        /// How long a peer may leave undone what it has to do: see [`Timeouts`](crate::Timeouts). Default: 30 s to take
        /// something of what waits for it, or 10 minutes with the policies that drop; 30 s to finish a message that it
        /// has begun; 5 s for a handshake; 30 s for a sign of life from its system.
        pub fn timeouts(mut self, timeouts: $crate::Timeouts) -> Self {
            self.common.settings.timeouts = timeouts;
            self
        }

        /// How much memory the connections may take together: see [`MemoryLimits`](crate::MemoryLimits). Default: 64
        /// MiB for what waits to be written, as much for what comes in, and 512 KiB of stack for each reader thread.
        pub fn memory_limits(mut self, limits: $crate::MemoryLimits) -> Self {
            self.common.settings.memory_limits = limits;
            self
        }
    };
}

pub(crate) use further_settings;
pub(crate) use usual_settings;
