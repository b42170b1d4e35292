//! What peer and library meet over: sockets that are listened on and dialled, and what they are called.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use leads_comm::transport::{Listener, Stream, tcp};
use leads_comm_testing::layer::{self, Layer};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::case::{Case, Step};
use crate::patience;

/// What each buffer of the system holds in a narrow case, in bytes.
const NARROW: usize = 32 * 1024;

/// The transport of this run.
static OVER: RwLock<Over> = RwLock::new(Over::Tcp);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    /// Unix sockets with abstract names, so that nothing is left behind.
    #[cfg(target_os = "linux")]
    Unix,
}

impl Over {
    pub(crate) const ALL: &[Self] = &[
        Self::Tcp,
        #[cfg(target_os = "linux")]
        Self::Unix,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            #[cfg(target_os = "linux")]
            "unix" => Some(Self::Unix),
            _ => None,
        }
    }

    /// Makes it that of the cases which are run from now on.
    pub(crate) fn choose(self) {
        *OVER.write().unwrap() = self;
    }

    /// Whether the transport has what a case is about.
    pub(crate) fn suits(self, case: &Case) -> bool {
        let resets = |step: &Step| matches!(step, Step::Reset);
        self == Self::Tcp || case.door.max_per_address.is_none() && !case.script.iter().any(resets)
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            #[cfg(target_os = "linux")]
            Self::Unix => "Unix sockets",
        })
    }
}

fn over() -> Over {
    *OVER.read().unwrap()
}

/// Whether a stream that is given up looks different from one that ends.
pub(crate) fn has_resets() -> bool {
    over() == Over::Tcp
}

/// A listening socket on this machine.
pub(crate) fn listen(narrow: bool) -> io::Result<Socket> {
    let socket = socket(narrow)?;
    socket.bind(&match over() {
        Over::Tcp => SocketAddr::from(([127, 0, 0, 1], 0)).into(),
        #[cfg(target_os = "linux")]
        Over::Unix => fresh_name()?,
    })?;
    socket.listen(16)?;
    Ok(socket)
}

/// A connected socket, which has a name that no other has.
pub(crate) fn dial(address: &SockAddr, narrow: bool) -> io::Result<Socket> {
    let socket = socket(narrow)?;
    match over() {
        Over::Tcp => socket.connect_timeout(address, patience())?,
        #[cfg(target_os = "linux")]
        Over::Unix => {
            socket.bind(&fresh_name()?)?;
            socket.connect(address)?;
        }
    }
    Ok(socket)
}

/// Accepted sockets take the buffers of their listener's over.
fn socket(narrow: bool) -> io::Result<Socket> {
    let domain = match over() {
        Over::Tcp => Domain::IPV4,
        #[cfg(target_os = "linux")]
        Over::Unix => Domain::UNIX,
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    if narrow {
        socket.set_send_buffer_size(NARROW)?;
        socket.set_recv_buffer_size(NARROW)?;
    }
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn fresh_name() -> io::Result<SockAddr> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    SockAddr::unix(format!("\0leads-comm-conformance-{}-{number}", std::process::id()))
}

/// What a socket of that address is called by the library.
pub(crate) fn name(address: &SockAddr) -> String {
    match address.as_socket() {
        Some(address) => address.to_string(),
        None => abstract_name(address).unwrap_or_else(|| "unknown".to_owned()),
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SockAddr) -> Option<String> {
    address.as_abstract_namespace().map(|name| format!("@{}", String::from_utf8_lossy(name)))
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &SockAddr) -> Option<String> {
    None
}

/// The library's stream on a connected socket.
pub(crate) fn stream(socket: Socket) -> io::Result<Box<dyn Stream>> {
    Ok(match over() {
        Over::Tcp => Box::new(tcp::TcpStream::new(socket.into())?),
        #[cfg(target_os = "linux")]
        Over::Unix => Box::new(leads_comm::transport::unix::UnixStream::new(socket.into())?),
    })
}

/// The library's listener on a listening socket, under a layer.
pub(crate) fn listener(socket: Socket, layer: &Arc<impl Layer>) -> io::Result<impl Listener> {
    Ok(match over() {
        Over::Tcp => layer::listener(tcp::TcpListener::new(socket.into())?, layer),
        #[cfg(target_os = "linux")]
        Over::Unix => layer::listener(leads_comm::transport::unix::UnixListener::new(socket.into())?, layer),
    })
}
