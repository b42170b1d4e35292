//! What joins servers and clients in tests: every transport behind the same few questions.
//!
//! Another transport takes a file beside these, with a [`Transport`] and its [`Dial`], a `mod` line, and a line in
//! `each_transport`. Every suite runs over it then.

pub mod blocking;
pub mod memory;
pub mod raw;
#[cfg(all(unix, feature = "serial"))]
pub mod serial;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;

use std::net::SocketAddr;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::deadlocks;
use raw::Raw;

/// Hands every transport to another macro, as `#[cfg(…)] Variant name`. The module is called like the test, and the
/// type in it that implements [`Transport`] like the variant. Whoever uses it has the features `serial` and `tls`.
#[macro_export]
macro_rules! each_transport {
    ($($then:tt)+) => {
        $($then)+! {
            Tcp tcp,
            Memory memory,
            Blocking blocking,
            #[cfg(unix)] Unix unix,
            #[cfg(all(unix, feature = "serial", not(leads_comm_emulated)))] Serial serial,
            #[cfg(feature = "tls")] Tls tls,
        }
    };
}
macro_rules! define_net {
    ($($(#[$available:meta])* $variant:ident $name:ident,)*) => {
        /// What joins a server and its clients in a test.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Net {
            $(
                $(#[$available])*
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $variant,
            )*
        }

        impl Net {
            /// Every one that is built.
            pub const ALL: &[Self] = &[$($(#[$available])* Self::$variant,)*];

            fn transport(self) -> &'static dyn Transport {
                match self {
                    $($(#[$available])* Self::$variant => &$name::$variant,)*
                }
            }
        }
    };
}
each_transport!(define_net);

/// A transport: how its servers are made, and what cannot be expected of it.
pub trait Transport: Sync {
    /// A server's builder, and the way to reach that server once it has been started.
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>);

    /// More bytes than are ever on their way to a peer that does not read, the library's own queue left out.
    fn holds(&self) -> usize {
        300_000
    }

    /// Whether connections have network addresses.
    fn has_addresses(&self) -> bool {
        false
    }

    /// Whether a stream can be written without blocking; otherwise a thread writes, and no refused caller is told.
    fn writes_without_blocking(&self) -> bool {
        true
    }

    /// Whether the goodbye is said to callers who are refused at the door.
    fn tells_the_refused(&self) -> bool {
        self.writes_without_blocking()
    }

    /// Whether a peer learns that a stream was given up, by an error in place of the end.
    fn resets(&self) -> bool {
        true
    }

    /// Whether a peer can end its writing half and leave its reading half open.
    fn has_half_close(&self) -> bool {
        true
    }
}

impl Net {
    /// See [`Transport::server`].
    pub fn server(self) -> (ServerBuilder, Box<dyn Dial>) {
        deadlocks::watch();
        self.transport().server()
    }

    /// A started server that puts its events into a channel.
    pub fn start_server(self, adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
        let (builder, dial) = self.server();
        let (callback, events) = callback::channel(100_000);
        let server = adapt(builder.callback(callback)).build().unwrap();
        server.start(true).unwrap();
        Started { server, events, dial }
    }

    /// See [`Transport::holds`].
    pub fn holds(self) -> usize {
        self.transport().holds()
    }

    /// See [`Transport::has_addresses`].
    pub fn has_addresses(self) -> bool {
        self.transport().has_addresses()
    }

    /// See [`Transport::writes_without_blocking`].
    pub fn writes_without_blocking(self) -> bool {
        self.transport().writes_without_blocking()
    }

    /// See [`Transport::tells_the_refused`].
    pub fn tells_the_refused(self) -> bool {
        self.transport().tells_the_refused()
    }

    /// See [`Transport::resets`].
    pub fn resets(self) -> bool {
        self.transport().resets()
    }

    /// See [`Transport::has_half_close`].
    pub fn has_half_close(self) -> bool {
        self.transport().has_half_close()
    }
}

/// How clients reach one server.
pub trait Dial: Send + Sync {
    /// A client's builder; start the client with [`address`](Self::address).
    fn client(&self, server: &Server) -> ClientBuilder;

    /// A peer that speaks bytes.
    fn raw(&self, server: &Server) -> Raw;

    /// A peer that will never read; its system takes as little as it can.
    fn stalled(&self, server: &Server) -> Raw {
        self.raw(server)
    }

    /// The address with which a client is started.
    fn address(&self) -> &str {
        "127.0.0.1"
    }
}

/// A running server, what it tells, and how to reach it. Closed when dropped.
pub struct Started {
    /// The server.
    pub server: Server,
    /// What its callback is told.
    pub events: Receiver<Event>,
    /// How it is reached.
    pub dial: Box<dyn Dial>,
}

impl Started {
    /// A client's builder; start the client with [`address`](Self::address).
    pub fn client(&self) -> ClientBuilder {
        self.dial.client(&self.server)
    }

    /// The address with which a client is started.
    pub fn address(&self) -> &str {
        self.dial.address()
    }

    /// A started client that puts its events into a channel.
    pub fn start_client(&self) -> (Client, Receiver<Event>) {
        let (callback, events) = callback::channel(100_000);
        (self.start_client_with(callback), events)
    }

    /// A started client with this callback.
    pub fn start_client_with(&self, callback: impl leads_comm::Callback) -> Client {
        let client = self.client().callback(callback).build().unwrap();
        client.start(self.address(), true).unwrap();
        client
    }

    /// A peer that speaks bytes.
    pub fn raw(&self) -> Raw {
        self.dial.raw(&self.server)
    }

    /// A peer that will never read.
    pub fn stalled(&self) -> Raw {
        self.dial.stalled(&self.server)
    }

    /// The address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.local_addr().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.server.close();
    }
}

/// Runs each test once over every transport, as `name::tcp`, `name::memory` and so on.
#[macro_export]
macro_rules! over_every_transport {
    ($($(#[$attribute:meta])* fn $name:ident($net:ident: Net) $body:block)*) => {
        $(
            mod $name {
                use super::*;

                $(#[$attribute])*
                fn run($net: $crate::Net) $body

                $crate::each_transport!($crate::test_over_each);
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! test_over_each {
    ($($(#[$available:meta])* $variant:ident $name:ident,)*) => {
        $(
            $(#[$available])*
            #[test]
            fn $name() {
                run($crate::Net::$variant);
            }
        )*
    };
}
