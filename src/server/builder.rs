use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use super::bind::BindAddress;
use crate::admission::{AdmissionSettings, Authenticator, Caller};
use crate::service::builder::{Common, further_settings, usual_settings};
use crate::settings::{Delivery, Snapshot};
use crate::sync::user_code::Foreign;
use crate::transport::Listener;
use crate::transport::tcp::ListenOptions;

/// What only a server is told.
#[derive(Debug)]
pub(crate) struct ServerSide {
    pub(crate) bind: BindAddress,
    pub(crate) listen_options: ListenOptions,
    #[cfg(unix)]
    pub(crate) unix_mode: Option<u32>,
    pub(crate) admission: AdmissionSettings,
    pub(crate) source: ListenerSource,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::transport::tls::ServerConfig>,
}

/// Where a server's connections come from.
#[derive(Debug)]
pub(crate) enum ListenerSource {
    /// A TCP address, bound at the start.
    Address,
    /// A Unix socket, bound at the start.
    #[cfg(unix)]
    Path(PathBuf),
    /// A TCP socket that the program has bound.
    Socket(TcpListener),
    /// Another transport.
    Transport(Foreign<dyn Listener>),
}

/// Builds a [`Server`](crate::Server): see [`Server::builder`](crate::Server::builder).
///
/// Every setting has a default, named at its method. What does not fit together is refused by [`build`](Self::build).
/// What most programs set comes first, and then what few of them do.
#[must_use]
pub struct ServerBuilder {
    pub(crate) common: Common,
    pub(crate) side: ServerSide,
}

impl ServerBuilder {
    pub(crate) fn new() -> Self {
        Self { common: Common::default(), side: ServerSide::default() }
    }

    /// The address to listen on, an IP address or its text. Default `127.0.0.1`, which only programs on this machine
    /// reach.
    ///
    /// `0.0.0.0` listens on every IPv4 address of the machine; `::` on every IPv6 *and* IPv4 address, on every system
    /// alike but for OpenBSD, where it is IPv6 alone (on a host without IPv6 it is taken for `0.0.0.0`). All who reach
    /// such an address may connect unless there is a [`token`](Self::token), an [authenticator](Self::authenticate), a
    /// hook to [admit](Self::admit) callers, or TLS; a server on all addresses that has none of these logs a warning
    /// when it starts.
    ///
    /// A link-local IPv6 address needs its zone, the interface by name or number: `fe80::1%eth0`, as text, which the
    /// start asks the system for.
    ///
    /// Text that is no IP address, such as a host name or one with a port, is an
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) of [`build`](Self::build).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::Server;
    ///
    /// let server = Server::builder().bind("0.0.0.0").port(16900).build()?;
    /// # drop(server);
    /// let error = Server::builder().bind("0.0.0.0:16900").build().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid setting: bind must be an IP address, such as 0.0.0.0, :: or 192.168.0.7; \
    ///      the port is set by itself",
    /// );
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn bind(mut self, address: impl Into<BindAddress>) -> Self {
        self.side.bind = address.into();
        self
    }

    usual_settings!();

    /// How many connections the server has at most. At least 1. Default 1024.
    ///
    /// A caller over the limit is refused: its stream is accepted, told the goodbye, and ended, at once. It costs no
    /// thread, no callback hears of it but [`on_fail`](crate::Callback::on_fail)
    /// ([`Error::Refused`](crate::Error::Refused)), and nobody waits for it. A stream without a non-blocking write
    /// (also TCP on systems other than Unix) is ended without the goodbye. A connection counts until just before its
    /// `on_disconnect`; while that runs, it has its thread.
    ///
    /// On Unix, over TCP and Unix sockets, the start lowers the limit to what the process has descriptors for (`ulimit
    /// -n`), less 32 for everything else, and logs that: at warn where this was called, at info where not. Two servers
    /// of one process share its descriptors, and neither knows of the other.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.side.admission.max_connections = Some(connections);
        self
    }

    /// Asks the program whether a caller is admitted. Default: everybody is, up to the limits.
    ///
    /// Asked for each caller that the limits allow, on the accepting thread: everybody who connects waits for it, so it
    /// should not take long. It may call anything, as a callback may. Where it returns false the caller is refused as
    /// with [`max_connections`](Self::max_connections). A panic refuses the caller as well, and is told to
    /// [`on_fail`](crate::Callback::on_fail). The hook is dropped when the server has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::Server;
    ///
    /// // The last two places are for programs on this machine.
    /// let server = Server::builder().port(0).max_connections(10).admit(|caller| {
    ///     caller.num_connections() < 8 || caller.peer_addr().is_some_and(|address| address.ip().is_loopback())
    /// });
    /// let server = server.build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn admit(mut self, hook: impl Fn(&Caller<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.side.admission.admit = Some(Arc::new(Foreign::new("the hook `admit`", Box::new(hook))));
        self
    }

    /// Speaks TLS over whatever the server listens on; [`transport::tls`](crate::transport::tls) has all about it.
    /// Default: no TLS.
    ///
    /// Callers shake hands before they become connections: on their reader threads, within
    /// [`handshake_timeout`](crate::Timeouts::handshake_timeout), no more than [`max_handshakes`](Self::max_handshakes)
    /// at once. Takes a configuration of [rustls] as well.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<crate::transport::tls::ServerConfig>) -> Self {
        self.side.tls = Some(config.into());
        self
    }

    /// Listens on a Unix socket instead of TCP: a path, or on Linux an abstract name such as `@leads`. Bound at the
    /// start; the file is removed when the server closes, and one that a server left behind when it was killed makes
    /// way at the next start. See [`transport::unix`](crate::transport::unix) for names, and for who may connect.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Client, Server};
    ///
    /// # let directory = std::env::temp_dir().join(format!("leads-comm-unix-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("leads.sock");
    /// # let path = path.to_str().unwrap();
    /// # const _: &str = stringify! {
    /// let path = "/run/vehicle/leads.sock";
    /// # };
    /// let server = Server::builder().unix(path).unix_mode(0o660).build()?;
    /// server.start(true)?;
    ///
    /// let client = Client::builder().unix().build()?;
    /// client.start(path, true)?;
    /// client.send(b"hello")?;
    /// # client.close();
    /// # server.close();
    /// # std::fs::remove_dir(directory)?; // Nothing is left in it.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(unix)]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.side.source = ListenerSource::Path(path.into());
        self
    }
}

/// What few servers set.
impl ServerBuilder {
    /// The permissions of the socket file, such as `0o660` for its owner and group; on most systems, all who may write
    /// to it may connect. Only with [`unix`](Self::unix), and not for an abstract name. Default: what the process's
    /// umask leaves.
    #[cfg(unix)]
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.side.unix_mode = Some(mode);
        self
    }

    /// Listens on a socket that the program has bound; address, port and backlog are the socket's then.
    ///
    /// The program may keep a clone (`try_clone`). On Unix, accepting by it does not block as long as the server has
    /// the socket; behind that it does, if it did before.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.side.source = ListenerSource::Socket(listener);
        self
    }

    /// Accepts streams of another transport instead of TCP.
    pub fn transport(mut self, listener: impl Listener) -> Self {
        self.side.source = ListenerSource::Transport(Foreign::new("the listener", Box::new(listener)));
        self
    }

    /// How a server listens that binds a TCP address or a Unix socket: see
    /// [`ListenOptions`]. Default: up to 4096 connections are kept while the
    /// server is busy accepting, and `::` serves IPv4 as well. Of a Unix socket only the first counts.
    pub fn listen_options(mut self, options: ListenOptions) -> Self {
        self.side.listen_options = options;
        self
    }

    /// How many connections the server has at most from one IP address; with IPv6, where a host commonly has a whole
    /// network of 64 bits to itself, from one such network. At least 1. Default `None`: as many as there may be in all.
    ///
    /// Many peers may share an address, behind a router or on one machine, and the hosts of a local network share those
    /// 64 bits. An IPv4 address counts as such, also where it comes as an IPv6 one (`::ffff:192.0.2.1`).
    ///
    /// Callers over it are refused as with [`max_connections`](Self::max_connections). On a transport without
    /// addresses nobody is.
    pub fn max_connections_per_address(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.side.admission.max_per_address = connections.into();
        self
    }

    /// Has the program decide by a caller's first message whether it is let in. Default: nobody is asked for anything.
    ///
    /// The first message, of up to 4096 bytes, is for the authenticator only: no callback is told of it, and it is in
    /// no statistics. Until the authenticator has let the caller in, everything is as with a [`token`](Self::token),
    /// which is the simple case of this; the two cannot be combined. The authenticator also sees who calls, with the
    /// certificates where the transport has some.
    ///
    /// A caller whom it denies is told the goodbye and not the reason, and is refused with
    /// [`RefusalCause::NotAuthenticated`](crate::RefusalCause::NotAuthenticated). So is one on whom it panics; the
    /// panic is told to [`on_fail`](crate::Callback::on_fail). It is dropped when the server has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Caller, Denied, Server};
    ///
    /// let server = Server::builder().port(0).authenticate(|_caller: &Caller<'_>, message: &[u8]| {
    ///     match message.strip_prefix(b"version ") {
    ///         Some(b"2" | b"3") => Ok(()),
    ///         _ => Err(Denied::new("an old version")),
    ///     }
    /// });
    /// let server = server.build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn authenticate(mut self, authenticator: impl Authenticator) -> Self {
        self.side.admission.authenticator = Some(Arc::new(Foreign::new("the authenticator", Box::new(authenticator))));
        self
    }

    /// How each newcomer is served, before anything can be sent to it: for instance a recorder by its address, or by
    /// its certificate. Default: each as [`delivery`](Self::delivery) says.
    /// [`set_delivery`](crate::Connection::set_delivery) changes it at any time.
    ///
    /// Asked last, when nothing else stands in the caller's way: on the accepting thread, where everybody who connects
    /// waits for it; after a handshake or an [authentication](Self::authenticate), on the thread that becomes the
    /// caller's reader, before the caller is told that it is let in. It may call anything, as a callback may. Where it
    /// panics, or gives a delivery that `set_delivery` would refuse, the caller is refused with
    /// [`RefusalCause::NotAdmitted`](crate::RefusalCause::NotAdmitted), and what is wrong is told to
    /// [`on_fail`](crate::Callback::on_fail). It is dropped when the server has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use leads_comm::{Delivery, Server, SlowConsumer};
    ///
    /// // The recorder on this machine is waited for; viewers from elsewhere lose what they do not take in time.
    /// let recorder = Delivery::new().slow_consumer(SlowConsumer::Block(Duration::from_secs(5)));
    /// let viewer = Delivery::new().slow_consumer(SlowConsumer::DropOldest);
    /// let server = Server::builder().bind("0.0.0.0").port(0).delivery_for(move |caller| {
    ///     let is_here = caller.peer_addr().is_some_and(|address| address.ip().is_loopback());
    ///     if is_here { recorder.clone() } else { viewer.clone() }
    /// });
    /// let server = server.build()?;
    /// # drop(server);
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn delivery_for(mut self, hook: impl Fn(&Caller<'_>) -> Delivery + Send + Sync + 'static) -> Self {
        self.side.admission.delivery_for = Some(Arc::new(Foreign::new("the hook `delivery_for`", Box::new(hook))));
        self
    }

    /// How many callers may be on their way in at once, on streams that
    /// [need](crate::transport::Stream::needs_handshake) a handshake, or to a server that
    /// [authenticates](Self::authenticate) them, if only by a [`token`](Self::token). At least 1. Default 64.
    ///
    /// Each of them has a thread, which becomes its reader, and no more than
    /// [`handshake_timeout`](crate::Timeouts::handshake_timeout). They are no connections: no callback has been told of
    /// them, no broadcast reaches them. They count for [`max_connections`](Self::max_connections) and
    /// [`max_connections_per_address`](Self::max_connections_per_address) all the same, so that a caller who comes
    /// through finds a place. Callers over this limit are refused as with
    /// [`max_connections`](Self::max_connections). One that was refused on its way counts here until it has ended its
    /// stream, at most for [`drain_timeout`](crate::Closing::drain_timeout).
    pub fn max_handshakes(mut self, callers: usize) -> Self {
        self.side.admission.max_handshakes = callers;
        self
    }

    /// Keeps the last message of each [key](Self::key), and gives it to each newcomer: see [`Snapshot`]. Default:
    /// nothing is kept. Needs a key function.
    ///
    /// What is kept is what [`broadcast`](crate::Server::broadcast) has sent and has a key; not what `send` and
    /// `broadcast_where` have. A newcomer gets it before anything else, the oldest first, and from then on every
    /// broadcast: there is no gap between the two, and nothing comes twice. The [filter](crate::Delivery::filter) of
    /// its delivery is asked about each message, on its reader thread, before `on_connect`; where it panics the
    /// connection is ended. A peer that connects again gets all of it again.
    ///
    /// It counts for the memory of [all queues together](crate::MemoryLimits::max_total_queued_bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm::{Client, Server, Snapshot, callback::{self, Event}, key};
    ///
    /// let server = Server::builder().port(0).key(key::prefix(b':')).snapshot(Snapshot::new()).build()?;
    /// server.start(true)?;
    /// server.broadcast(b"speed:37.9")?;
    /// server.broadcast(b"voltage:48.2")?;
    /// server.broadcast(b"speed:38.5")?;
    ///
    /// let (callback, events) = callback::channel(16);
    /// let late = Client::builder().port(server.port()).callback(callback).build()?;
    /// late.start("127.0.0.1", true)?;
    /// let messages = events.iter().filter_map(|event| match event {
    ///     Event::Receive { message, .. } => Some(message),
    ///     _ => None,
    /// });
    /// assert!(messages.take(2).eq([&b"voltage:48.2"[..], b"speed:38.5"]));
    /// # late.close();
    /// # server.close();
    /// # Ok::<(), leads_comm::Error>(())
    /// ```
    pub fn snapshot(mut self, snapshot: Snapshot) -> Self {
        self.common.settings.snapshot = Some(snapshot);
        self
    }

    further_settings!();
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("port", &self.common.port).finish_non_exhaustive()
    }
}

impl Default for ServerSide {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            listen_options: ListenOptions::default(),
            #[cfg(unix)]
            unix_mode: None,
            admission: AdmissionSettings::default(),
            source: ListenerSource::Address,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
