//! Message-oriented client/server communication for synchronous programs.
//!
//! A program makes a [`Server`] or a [`Client`], gives it a callback, and sends. Sending is the only thing that a
//! program does actively, on either side. Messages, newcomers, departures and failures come to it through the callback.
//! Everything blocks and runs on threads of the standard library; there is no async runtime. It is the communication
//! system of LEADS, a vehicle telemetry system in Python, remade in Rust: the same words, the same bytes on the wire,
//! and right where the original goes wrong.
//!
//! What it is not:
//!
//! - Not a broker: no topics, no storage, no acknowledgements, nothing is sent twice.
//! - Not a serialiser: a message is bytes. Bring JSON or whatever suits, as long as the separator does not occur in it.
//! - Not safe on a hostile network by itself: encryption (TLS) and authentication (tokens, certificates) are off unless
//!   asked for. A server listens on `127.0.0.1` unless told otherwise. The repository's `SECURITY.md` says what each
//!   configuration protects.
//! - Not self-healing unless told so: a client connects again only [on request](#reconnecting). A peer that vanishes
//!   without a word is noticed, over TCP as a rule within half a minute; see
//!   [receiving](#receiving-and-peers-that-vanish).
//!
//! # Quick start
//!
//! ```
//! use std::sync::mpsc;
//! use std::time::Duration;
//!
//! use leads_comm::{Callback, Client, Connection, Server, Service, callback};
//!
//! struct Vehicle;
//!
//! impl Callback for Vehicle {
//!     fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
//!         println!("{connection} commands {}", message.escape_ascii());
//!         // An error says that the message cannot be framed; this one can.
//!         let _ = service.broadcast(br#"{"speed": 12}"#);
//!     }
//! }
//!
//! let server = Server::builder().port(0).callback(Vehicle).build()?;
//! server.start(true)?;
//!
//! let (states, received) = mpsc::channel();
//! let client = Client::builder()
//!     .port(server.port())
//!     .callback(callback::on_receive(move |_connection, message| {
//!         let _ = states.send(message.to_vec());
//!     }))
//!     .build()?;
//! client.start("127.0.0.1", true)?;
//! client.send(b"time_lap")?;
//! assert_eq!(received.recv_timeout(Duration::from_secs(10))?, br#"{"speed": 12}"#);
//!
//! client.close();
//! server.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Programs that come from LEADS find its functions as well: [`create_server`], [`start_server`], [`create_client`],
//! [`start_client`], [`my_ip_addresses`]. The repository's README has a table of every LEADS name and what it is here.
//!
//! # Threads
//!
//! ```text
//!  peers            the service                                                   your code
//!
//!        connects   accept loop · one per server
//!        ────────▶    accept ──▶ admission ──▶ table ──▶ starts a reader          on_initialize, on_fail, admit
//!
//!           bytes   reader · one per connection                                   on_connect
//!        ────────▶    read ──▶ Decoder ──▶ whole messages ─────────────────────▶  on_receive
//!                                                                                 on_disconnect
//!
//!           bytes   senders · any thread of yours, callbacks included
//!        ◀────────    write ◀── Outbox, one per peer ◀── encode ◀───────────────  send, broadcast
//!                                 │
//!                                 │ the peer takes no more for now
//!           bytes   pump · one per service
//!        ◀────────    write when the stream is ready, or when messages have been collected for long enough
//! ```
//!
//! A caller who has to shake hands or to [authenticate itself](#who-may-connect) comes into the table later: its reader
//! takes it through the *entrance* first.
//!
//! A client has no accept loop; its one reader calls `on_initialize` and `on_reconnect` too, and serves one connection
//! after the other when the client connects again. With `start(true)` accept loop and reader are threads of their own,
//! with `start(false)` they take over the calling thread. A stream that cannot be polled, for instance one in memory,
//! gets a writing thread of its own in place of the pump. All threads have names that begin with `leads-comm`.
//!
//! No lock is held while your code runs or while bytes move.
//!
//! # How a message travels
//!
//! 1. [`send`](Connection::send) or [`broadcast`](Server::broadcast) encodes it: `payload ++ separator`, once, for
//!    however many peers. A payload that a receiver could not read back as this one message is refused ([`codec`] has
//!    the rule).
//! 2. It is put into the *outbox* of each peer. If nobody is writing to that peer, the calling thread writes, straight
//!    from where the message lies; if somebody is, that thread takes a copy along. Messages never mix, and each
//!    sender's arrive in the order in which they were sent.
//! 3. When messages are sent one right after the other, each with a write of its own would spend nearly all the time on
//!    writing. So after some 16 without a pause they are collected, and written when there are 64 KiB of them, or when
//!    the pump finds that some have been waiting: a fraction of a millisecond later. A lone message never waits.
//!    [`coalesce(false)`](ServerBuilder::coalesce) turns this off.
//! 4. When the peer's stream takes no more, the pump carries on, and the sender goes its way.
//! 5. On the other side the reader passes what arrives to a [`Decoder`](codec::Decoder), and each whole message to
//!    [`on_receive`](Callback::on_receive), without copying it.
//!
//! # Callbacks
//!
//! A [`Callback`] is told of everything, in one of three ways: an object that implements it, closures
//! ([`callback::on_receive`], [`callback::closures`]), or a channel of [`Event`](callback::Event)s for programs that
//! would rather wait with `select!` ([`callback::channel`]). Several can be combined: in a pair, or with
//! [`set_callback`](Server::set_callback), which adds to those that are there. A connection keeps the callbacks that it
//! began with.
//!
//! - For each connection: `on_connect` once, then `on_receive` for each message in order, then `on_disconnect` once,
//!   all on its reader thread. Callbacks of different connections run side by side.
//! - A callback that takes its time holds up its own peer and no other.
//! - A callback may call anything: send, broadcast, close this connection, another one, or the service.
//! - A callback that panics ends its own connection at most; the service goes on.
//!
//! # Sending and slow consumers
//!
//! `Ok` from `send` means *accepted*: the message is in the operating system's hands already, or it waits in the outbox
//! behind what was accepted before. It does not mean that the peer has it. If the connection breaks first, what was
//! still waiting is counted in the [`DisconnectReason`]; what the operating system had taken over but not delivered,
//! nobody can count.
//!
//! An outbox holds up to [`max_queued_bytes`](ServerBuilder::max_queued_bytes), and those of all peers together up to
//! [`max_total_queued_bytes`](ServerBuilder::max_total_queued_bytes); a broadcast that waits for many peers is held
//! once. What happens when that is not enough is a [`SlowConsumer`] policy. By default a peer that reads so slowly that
//! its outbox is full, or that takes nothing at all for [`stall_timeout`](ServerBuilder::stall_timeout), is
//! disconnected. Nobody else waits for it, whatever the policy.
//!
//! | Policy | When an outbox is full | `send` returns | `broadcast` |
//! |---|---|---|---|
//! | `Disconnect` | the peer is disconnected | `Error::SlowConsumer` | does not count it |
//! | `DropOldest` | the oldest messages in it make room | `Ok` | counts it |
//! | `DropNewest` | the new message is not sent | `Error::Dropped` | does not count it |
//! | `Block(time)` | the sender waits for room, then as `Disconnect` | `Ok`, later | waits once for all |
//!
//! What is dropped is counted, in [`Connection::dropped_messages`], in the [statistics](self#statistics), and in the
//! end in the [`DisconnectReason`].
//!
//! ```
//! use std::time::Duration;
//!
//! use leads_comm::{Server, SlowConsumer};
//!
//! // A display that wants the newest state rather than all of them.
//! let display = Server::builder().max_queued_bytes(2 * 1024 * 1024).slow_consumer(SlowConsumer::DropOldest).build()?;
//! // A recorder that wants all of them.
//! let recorder = Server::builder().slow_consumer(SlowConsumer::Block(Duration::from_secs(1))).build()?;
//! # drop((display, recorder));
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! [`flush`](Connection::flush) waits until what was accepted is with the operating system, for one connection or for
//! [all of a service](Service::flush), which does not wait for those that end. [`send_all`](Connection::send_all) sends
//! a batch in one go.
//!
//! # Receiving, and peers that vanish
//!
//! A peer is read from as fast as the callback takes its messages, and no faster: what a slow callback has not taken
//! stays with the peer. What it may cost is limited, and so is how long it may keep the connection waiting:
//!
//! | What the peer does | It is ended after | Set with |
//! |---|---|---|
//! | sends a message over the limit | 1 MiB | [`max_received_len`](ServerBuilder::max_received_len) |
//! | begins a message and does not finish it | 30 s | [`partial_message_timeout`](ServerBuilder::partial_message_timeout) |
//! | has the longest unfinished message, when those of all peers use up their memory | 64 MiB in sum | [`max_total_unfinished_bytes`](ServerBuilder::max_total_unfinished_bytes) |
//! | sends nothing | never, unless set | [`idle_timeout`](ServerBuilder::idle_timeout) |
//! | vanishes (TCP; while something is on its way to it, on Linux) | 30 s | [`dead_peer_timeout`](ServerBuilder::dead_peer_timeout) |
//! | stops reading while messages wait for it | 30 s; with a policy that drops 10 minutes | [`stall_timeout`](ServerBuilder::stall_timeout) |
//! | reads, less than it is sent | never; its outbox becomes full | [`slow_consumer`](ServerBuilder::slow_consumer) |
//!
//! The time that callbacks take never counts against a peer. There is no heartbeat of messages, which other peers would
//! take for data; over a transport without [`keep_alive`](transport::Stream::keep_alive), a peer that vanishes while
//! nothing is sent to it is noticed by the idle time-out or not at all.
//!
//! # Closing
//!
//! Closing is a conversation. [`Connection::close`] refuses further messages, writes what was accepted, says *goodbye*
//! (the message `disconnect`), ends its half of the stream, and reads on, without delivering, until the peer has done
//! the same. Each step has its time-out ([`flush_timeout`](Closing::flush_timeout),
//! [`drain_timeout`](Closing::drain_timeout), [`close_timeout`](Closing::close_timeout) for all of it).
//! [`Connection::abort`] does none of this.
//!
//! [`Server::close`] and [`Client::close`] do it for every connection at once, and return when the service's threads
//! are done and the port is free, at the latest a moment after the close time-out. Inside a callback they only start it
//! and return.
//!
//! Handles are cheap clones. Dropping them does not stop a service, and nothing is closed at the end of the process by
//! itself; [`CloseOnDrop`] does it at the end of a scope.
//!
//! ```
//! use leads_comm::{Client, CloseOnDrop, DisconnectReason, Server, callback::{self, Event}};
//!
//! let (callback, events) = callback::channel(16);
//! let server = CloseOnDrop::new(Server::builder().port(0).callback(callback).build()?);
//! server.start(true)?;
//! {
//!     let client = CloseOnDrop::new(Client::builder().port(server.port()).build()?);
//!     client.start("127.0.0.1", true)?;
//!     client.send(b"m1")?;
//! } // The client has sent its message, and said goodbye.
//! let reason = events.iter().find_map(|event| match event {
//!     Event::Disconnect { reason, .. } => Some(reason),
//!     _ => None,
//! });
//! assert!(matches!(reason, Some(DisconnectReason::PeerGoodbye { .. })));
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # Who may connect
//!
//! A server has up to [`max_connections`](ServerBuilder::max_connections), if need be [fewer from one
//! address](ServerBuilder::max_connections_per_address), and the program may [have its say](ServerBuilder::admit) on
//! each [`Caller`]. Whoever is refused is told the goodbye, and its stream ended, without a thread and without an
//! `on_connect`. Callers for whom the system has no thread left, or (on Unix) no descriptor, are refused as
//! well, and accepting goes on. [`on_fail`](Callback::on_fail) is told how many were refused and why, at most once a
//! second for each [cause](RefusalCause).
//!
//! ```
//! use std::time::Duration;
//!
//! use leads_comm::{Client, Server, callback};
//!
//! let (failures, failed) = std::sync::mpsc::channel();
//! let server = Server::builder()
//!     .port(0)
//!     .max_connections(100)
//!     .admit(|caller| caller.peer_addr().is_some_and(|address| !address.ip().is_loopback()))
//!     .callback(callback::closures().on_fail(move |_service, error| drop(failures.send(error.to_string()))))
//!     .build()?;
//! server.start(true)?;
//!
//! // To the client that is a server which closes at once.
//! let client = Client::builder().port(server.port()).build()?;
//! client.start("127.0.0.1", true)?;
//! client.wait();
//! let failure = failed.recv_timeout(Duration::from_secs(10))?;
//! assert_eq!(failure, "a caller was refused: not admitted by the program");
//! # server.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The goodbye is written without blocking: a stream without a non-blocking write (also TCP on systems other than Unix)
//! is ended without one. A refused caller's stream is kept for a moment, as
//! [`drain_timeout`](Closing::drain_timeout) says, so that what it has sent does not turn the goodbye into a
//! reset. No more than 16 are kept, none where the process has run out of descriptors, and none where the
//! [`Listener`](transport::Listener) cannot wait for a limited time.
//!
//! A server may also ask callers who they are, by the first thing that they say: a [`token`](ServerBuilder::token) that
//! both sides know, or whatever an [`Authenticator`] of the program's understands.
//!
//! ```
//! use std::time::Duration;
//!
//! use leads_comm::{Client, Server, callback};
//!
//! let (failures, failed) = std::sync::mpsc::channel();
//! let server = Server::builder()
//!     .port(0)
//!     .token("correct horse battery staple")
//!     .callback(callback::closures().on_fail(move |_service, error| drop(failures.send(error.to_string()))))
//!     .build()?;
//! server.start(true)?;
//!
//! let guess = Client::builder().port(server.port()).token("open sesame").build()?;
//! guess.start("127.0.0.1", true)?;
//! guess.wait();
//! let failure = failed.recv_timeout(Duration::from_secs(10))?;
//! assert_eq!(failure, "a caller was refused: not authenticated: its first message is not the token");
//!
//! let client = Client::builder().port(server.port()).token("correct horse battery staple").build()?;
//! client.start("127.0.0.1", true)?;
//! client.send(b"m1")?;
//! # client.close();
//! # server.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! That, and the handshake of a stream that [needs](transport::Stream::needs_handshake) one, takes place in the
//! *entrance*, on the thread that becomes the caller's reader, within
//! [`handshake_timeout`](ServerBuilder::handshake_timeout) and for no more than
//! [`max_handshakes`](ServerBuilder::max_handshakes) callers at once. Whoever is in it counts for the limits on
//! connections and is none yet: no callback has been told of it, and no broadcast reaches it. Addresses from which [too
//! many](ServerBuilder::token) fail are refused for a while.
//!
//! What this protects: nobody is listened to, or told anything but the goodbye, without the token. What it does not: a
//! token goes over the wire as it is, and what follows can be read and changed by whoever is in between. Over a network
//! that is not trusted it takes [TLS](self#tls) besides.
//!
//! # Reconnecting
//!
//! A client ends with its connection, unless [`ClientBuilder::reconnect`] says otherwise. Then it connects again
//! whenever a connection has ended, for whatever reason, until it is closed itself. Each connection is a new one, with
//! its own `on_connect` and `on_disconnect`; in between, [`on_reconnect`](Callback::on_reconnect) is told of each
//! attempt before the client waits for it, and `on_fail` of each that fails.
//!
//! The delays are drawn at random below a cap, which doubles from 250 ms to 30 s, so that the clients of a server that
//! comes back do not all come at once; [`Reconnect`] has the settings. The cap is the first one again after a
//! connection on which a message was received, or which lasted longer than the longest delay.
//!
//! ```
//! use std::time::Duration;
//!
//! use leads_comm::{Client, Reconnect, Server, callback};
//!
//! let server = Server::builder().port(0).build()?;
//! server.start(true)?;
//!
//! let (attempts, tried) = std::sync::mpsc::channel();
//! let client = Client::builder()
//!     .port(server.port())
//!     // Keeps 1 MiB of what is sent while it is not connected.
//!     .reconnect(Reconnect::new().longest_delay(Duration::from_secs(5)).keep_bytes(1 << 20))
//!     .callback(callback::closures().on_reconnect(move |_service, attempt| {
//!         println!("attempt {} in {:?}", attempt.number, attempt.delay);
//!         let _ = attempts.send(attempt.number);
//!     }))
//!     .build()?;
//! client.start("127.0.0.1", true)?;
//! server.close();
//! assert_eq!(tried.recv_timeout(Duration::from_secs(10))?, 1);
//! client.send(b"for the next connection")?;
//! client.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is sent while there is no connection is refused ([`Error::NotConnected`]), or kept up to
//! [`keep_bytes`](Reconnect::keep_bytes) and sent on the next connection before anything newer. Nothing is sent
//! twice: what a connection had accepted and not written is reported by its [`DisconnectReason`], and lost. What a
//! client still keeps when it ends, [`Error::Unsent`] tells `on_fail`.
//!
//! [`Client::close`] ends all this at once, in the middle of a delay and of connecting too. Looking a name up is the
//! one thing that cannot be interrupted; it is left to a thread of its own, for which nobody waits.
//!
//! # Errors and reasons
//!
//! Each failure is told in one place. What the caller asked for and did not get is an [`Error`] from that very call: a
//! port that is taken from `start`, a message that cannot be framed from `send`. What a thread of the service meets
//! later goes to [`on_fail`](Callback::on_fail). Why a connection ended is no error but a [`DisconnectReason`], given
//! to [`on_disconnect`](Callback::on_disconnect) and kept in the [`Connection`].
//!
//! ```
//! use leads_comm::{Client, Error, Server, codec::EncodeError};
//!
//! let server = Server::builder().port(0).build()?;
//! assert_eq!(server.broadcast(b"nobody is here")?, 0);
//! let refused = server.broadcast(b"bye;disconnect").unwrap_err();
//! assert!(matches!(refused, Error::InvalidMessage(EncodeError::ContainsSeparator { at: 3 })));
//!
//! let client = Client::builder().build()?;
//! assert!(matches!(client.send(b"hello"), Err(Error::NotConnected)));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Transports
//!
//! TCP is what a service uses unless it is told otherwise. On Unix, programs on one machine can meet at a path instead:
//! a server with `ServerBuilder::unix(path)`, a client with `ClientBuilder::unix()` and the path as its address;
//! `transport::unix` says how such a socket is protected, cleaned up, and what its peers are called. Beyond that, a
//! server takes anything that is a [`Listener`](transport::Listener), a client a [`Connector`](transport::Connector),
//! both giving out [`Stream`](transport::Stream)s; [`transport`] says how to write one, and [`transport::conformance`]
//! checks it. [`transport::memory`] joins both ends inside one process, which is handy in tests:
//!
//! ```
//! use leads_comm::{Client, Server, transport::memory};
//!
//! let (listener, connector) = memory::listener();
//! let server = Server::builder().transport(listener).build()?;
//! server.start(true)?;
//! let client = Client::builder().transport(connector).build()?;
//! client.start("in memory the address means nothing", true)?;
//! client.send(b"hello")?;
//! client.close();
//! server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! With the feature `serial`, `transport::serial` makes clients of devices on serial lines, at ports that are named or
//! found by what the device says.
//!
//! The framing is usable without any of this: see [`codec`]. The wire protocol is written down in the repository, in
//! `docs/protocol.md`, for peers in other languages.
//!
//! # TLS
//!
//! With the feature `tls`, `tls` of their builders encrypts whatever a server or a client runs over, and has one side
//! or both prove who they are, by certificates. Callers shake hands before they become connections. `transport::tls`
//! has all about it; in short:
//!
//! ```
//! # #[cfg(feature = "tls")]
//! # fn services() -> Result<(), Box<dyn std::error::Error>> {
//! use leads_comm::transport::tls::{Authorities, ClientConfig, Identity, ServerConfig};
//! use leads_comm::{Client, Server};
//!
//! let identity = Identity::from_pem_files("server.pem", "server.key")?;
//! let server = Server::builder().tls(ServerConfig::new(identity)).build()?;
//!
//! let client = Client::builder().tls(ClientConfig::new(Authorities::from_pem_file("ca.pem")?)).build()?;
//! # drop((server, client));
//! # Ok(())
//! # }
//! ```
//!
//! # Statistics
//!
//! [`Connection::stats`] and [`Service::stats`] tell in numbers what has gone through a connection, also after its end,
//! and through all of a service's. Every message is accounted for, and every connection that has ended is counted by
//! [kind](DisconnectKind); [`stats`] says what is counted when. The numbers are plain fields, and each `Display` is one
//! line:
//!
//! ```
//! use leads_comm::{DisconnectKind, Server};
//!
//! let server = Server::builder().port(0).build()?;
//! server.start(true)?;
//! let stats = server.stats();
//! println!("{stats}"); // 0 connections (0 so far), in 0 messages 0 B, out 0 messages 0 B, queued 0 B (peak 0 B), …
//! assert_eq!(stats.traffic.received.messages, 0);
//! assert_eq!(stats.ended.get(DisconnectKind::SlowConsumer), 0);
//! server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```
//!
//! # Logging
//!
//! The library logs through the crate [`log`](https://docs.rs/log) and installs no logger. The targets are its module
//! paths, all below `leads_comm`, so that `leads_comm=debug` is a filter for all of it. The levels:
//!
//! | Level | What |
//! |---|---|
//! | error | `on_fail`, or the destructor of a callback, a hook, an authenticator, a listener or a connector, panicked |
//! | warn | a peer dropped for cause; whatever is told to `on_fail`; connections cut off by the close time-out; waiting for streams failed; `max_connections`, where it was set, lowered to the descriptors that there are; a server that listens on every address of the machine and lets everybody in, at its start; how many lines were left out |
//! | info | a server listens; a client is connected, each time; a service has closed; `max_connections`, where it was not set, lowered |
//! | debug | a connection opened, or ended, and why; the destructor of a stream panicked; a caller refused, or gone before it was accepted; an attempt to connect again; that the system refuses a socket option, once for each service; what became of a serial port on which a device was looked for, in numbers |
//! | trace | the length of each message accepted or received, and how much waits for a peer that reads slowly |
//!
//! A peer is dropped for cause when its message is too long, is not finished in time, or takes memory that others need;
//! when it reads too slowly; or when its callback panics. The contents of messages are never logged. The text of a
//! panic in a callback is logged; what it says is up to the program.
//!
//! A peer may cause lines, by what it does or by the panics that it provokes, but cannot flood the log with them: of
//! warnings and errors about dropped connections, about failures told to `on_fail`, and about panics of `on_fail`, a
//! service logs at most 10 of each within a second. How many more there were is one of these lines, logged as soon as
//! there is room for it, and at the latest when the service closes. Debug and trace lines are not limited: there are as
//! many as there are connections and messages, so they are for looking into something, not for every day. A connection
//! dropped for cause whose warning is left out has a debug line in its place.
//!
//! The logger is called on every thread, the program's own and those of the library, and never under a lock. It is the
//! program's code like a callback: it may panic, which costs nothing but the line, and it may call the library, where
//! [`close`](Service::close) only starts the end. What the library would log about that is left out, so that it does
//! not go round in circles; but what the logger sends, is logged by whoever receives it. A logger that takes its time
//! holds up the thread that logs.
//!
//! # Features
//!
//! None is on by default, and each only adds.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `metrics` | `metrics::Exporter`, which exports the [statistics](self#statistics) of a service through the facade of the crate `metrics`, whenever its `publish` is called |
//! | `net-info` | [`my_ip_addresses`] lists every interface, not only the ones that lead out (crate `if-addrs`) |
//! | `serial` | `transport::serial`: clients of devices on serial lines (crate `serial2`) |
//! | `tls` | `ServerBuilder::tls`, `ClientBuilder::tls`, `transport::tls`: [TLS](self#tls) 1.3 and 1.2 over any transport (crate `rustls`, with `ring`) |
//!
//! # Glossary
//!
//! | Word | Meaning |
//! |---|---|
//! | service | a server or a client |
//! | connection | what joins a service to one peer, and the handle to it |
//! | peer | who is at the far end of a connection |
//! | caller | who asks a server for a connection |
//! | refused | of a caller: answered with the goodbye instead of a connection |
//! | entrance | what callers pass between being admitted and being a connection: the handshake, and the first message where they have to say who they are |
//! | token | a secret that both sides know, and that a client says first |
//! | attempt | one try of a client to connect again |
//! | callback | what a service tells the program through |
//! | reader | the thread that reads a connection, and calls its callbacks |
//! | pump | the thread that writes what peers did not take at once |
//! | message | the bytes between two separators |
//! | separator | the bytes that end each message, `;` unless told otherwise |
//! | goodbye | the message `disconnect`, which says that its sender is about to close |
//! | unfinished | of a message: it has begun to arrive, and its separator has not come yet |
//! | remainder | the bytes of an unfinished message |
//! | kept | what a client that connects again has been given to send while there was no connection |
//! | chunk | what one read brings |
//! | broadcast | one message to every connection |
//! | accepted | of a message: taken for sending, and written or accounted for from then on |
//! | outbox | the queue of what waits to be written to one peer |
//! | policy | what becomes of a peer whose queue is full: [`SlowConsumer`] |
//! | parallel | on a thread of its own, not on the one that calls `start` |

mod accepting;
mod addresses;
mod admission;
mod backoff;
mod broadcast;
mod buffered;
mod builder;
pub mod callback;
mod client;
pub mod codec;
mod config;
mod connection;
mod context;
mod disconnect;
mod entrance;
mod error;
mod exposure;
mod handle;
mod leads;
mod life;
mod limited;
mod line;
mod link;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(all(test, loom))]
mod model;
mod outbox;
mod pump;
mod reader;
mod refusal;
mod server;
mod service;
pub mod stats;
mod sync;
mod table;
mod threads;
pub mod transport;
mod user_code;

pub use addresses::my_ip_addresses;
pub use admission::Caller;
pub use backoff::Attempt;
pub use builder::{BindAddress, ClientBuilder, ServerBuilder};
pub use callback::contract::Callback;
pub use client::{Client, Reconnect};
pub use codec::separator::DEFAULT_SEPARATOR;
pub use config::{Closing, SlowConsumer};
pub use connection::Connection;
/// The crate whose channels [`callback::channel`] gives out.
pub use crossbeam_channel;
pub use disconnect::{DisconnectReason, OutboundLimit, Undelivered};
pub use entrance::{Authenticator, DenialReason, Denied};
pub use error::Error;
pub use handle::CloseOnDrop;
pub use leads::{create_client, create_server, start_client, start_server};
pub use link::ConnectionId;
pub use refusal::RefusalCause;
pub use server::Server;
pub use service::Service;
pub use stats::kind::DisconnectKind;

/// The port of LEADS, used where no other is chosen.
pub const DEFAULT_PORT: u16 = 16900;

/// Compiles and runs the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
