//! Who is admitted: the limits on connections, and the program's own say.

mod authenticator;
pub(crate) mod goodbye;
pub(crate) mod handshakes;
mod origin;
mod penalties;
mod refusals;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, RefusalCause};
use crate::settings::{Delivery, require};
use crate::sync::user_code::{self, Foreign, info, warn};
pub use authenticator::Authenticator;
use handshakes::MAX_HANDSHAKES;
use origin::Origin;
use refusals::RefusalCounts;

/// How many connections a server takes unless it is told otherwise.
const MAX_CONNECTIONS: usize = 1024;

/// How many descriptors are left to the service itself, to the callers that it refuses, and to the program.
const RESERVED_DESCRIPTORS: usize = 32;

/// Asked whether a caller is admitted.
pub(crate) type Admit = dyn Fn(&Caller<'_>) -> bool + Send + Sync;

/// Asked how a newcomer is served.
pub(crate) type DeliveryFor = dyn Fn(&Caller<'_>) -> Delivery + Send + Sync;

/// Who asks for a connection, as [`ServerBuilder::admit`](crate::ServerBuilder::admit),
/// [`delivery_for`](crate::ServerBuilder::delivery_for) and an [`Authenticator`] see it.
#[derive(Debug)]
pub struct Caller<'a> {
    peer: &'a str,
    peer_addr: Option<SocketAddr>,
    num_connections: usize,
    num_connections_from_address: usize,
    peer_certificates: &'a [Vec<u8>],
}

impl Caller<'_> {
    /// What the caller is called, as its connection would be: for TCP `ip:port`.
    pub fn peer(&self) -> &str {
        self.peer
    }

    /// The caller's network address; `None` on a transport that has none.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// How many connections the server has now, without this one. Those who are still [on their
    /// way](crate::ServerBuilder::max_handshakes) to become one count.
    pub fn num_connections(&self) -> usize {
        self.num_connections
    }

    /// How many of them come from the caller's IP address, or with IPv6 from its network of 64 bits; 0 on a transport
    /// without addresses.
    pub fn num_connections_from_address(&self) -> usize {
        self.num_connections_from_address
    }

    /// The certificates by which the caller has proved who it is, as in
    /// [`Connection::peer_certificates`](crate::Connection::peer_certificates). None in
    /// [`ServerBuilder::admit`](crate::ServerBuilder::admit), which is asked before the caller can prove anything.
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        self.peer_certificates
    }
}

/// What a server's builder is told about who may connect.
pub(crate) struct AdmissionSettings {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_per_address: Option<usize>,
    pub(crate) max_handshakes: usize,
    pub(crate) authenticator: Option<Arc<Foreign<dyn Authenticator>>>,
    pub(crate) admit: Option<Arc<Foreign<Admit>>>,
    pub(crate) delivery_for: Option<Arc<Foreign<DeliveryFor>>>,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_per_address: None,
            max_handshakes: MAX_HANDSHAKES,
            authenticator: None,
            admit: None,
            delivery_for: None,
        }
    }
}

impl AdmissionSettings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        require(self.max_connections != Some(0), "max_connections", "must not be 0")?;
        require(self.max_per_address != Some(0), "max_connections_per_address", "must not be 0")?;
        require(self.max_handshakes != 0, "max_handshakes", "must not be 0")
    }
}

impl fmt::Debug for AdmissionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionSettings")
            .field("max_connections", &self.max_connections)
            .field("max_per_address", &self.max_per_address)
            .field("max_handshakes", &self.max_handshakes)
            .finish_non_exhaustive()
    }
}

/// Decides who becomes a connection. A client admits its server without asking.
pub(crate) struct Admission {
    max_connections: Option<usize>,
    max_per_address: Option<usize>,
    /// The program's say, until the service has ended.
    admit: Mutex<Option<Arc<Foreign<Admit>>>>,
    /// How it wants newcomers to be served, as long.
    delivery_for: Mutex<Option<Arc<Foreign<DeliveryFor>>>>,
    /// The limit on connections, once the start has fitted it to the system's.
    limit: AtomicUsize,
    /// How many there are from each origin, connections or on their way to become one; kept only where somebody asks.
    by_origin: Option<Mutex<HashMap<Origin, usize>>>,
    refusals: RefusalCounts,
}

/// Why a caller is not admitted.
pub(crate) struct Refusal {
    pub(crate) cause: RefusalCause,
    /// What is told besides, where a hook of the program's is to blame.
    pub(crate) error: Option<Error>,
}

impl Admission {
    pub(crate) fn new(settings: AdmissionSettings) -> Self {
        let counts_origins = settings.max_per_address.is_some()
            || settings.admit.is_some()
            || settings.authenticator.is_some()
            || settings.delivery_for.is_some();
        Self {
            limit: AtomicUsize::new(settings.max_connections.unwrap_or(MAX_CONNECTIONS)),
            by_origin: counts_origins.then(Mutex::default),
            max_connections: settings.max_connections,
            max_per_address: settings.max_per_address,
            admit: Mutex::new(settings.admit),
            delivery_for: Mutex::new(settings.delivery_for),
            refusals: RefusalCounts::default(),
        }
    }

    /// How many callers have been refused.
    pub(crate) fn refusals(&self) -> &RefusalCounts {
        &self.refusals
    }

    /// At the start: lowers the limit to what the process has descriptors for, of which each stream takes as many.
    pub(crate) fn fit(&self, server: &str, descriptors_per_stream: usize) {
        let wanted = self.max_connections.unwrap_or(MAX_CONNECTIONS);
        let Some(descriptors) = descriptor_limit().filter(|_| descriptors_per_stream > 0) else { return };
        let limit = (descriptors.saturating_sub(RESERVED_DESCRIPTORS) / descriptors_per_stream).max(1);
        if limit >= wanted {
            return;
        }
        self.limit.store(limit, Ordering::Relaxed);
        // A program that has asked for a number wants to know that it is another.
        match self.max_connections {
            Some(_) => warn!("{server} takes {limit} connections, not {wanted}: it may have {descriptors} descriptors"),
            None => info!("{server} takes {limit} connections: it may have {descriptors} descriptors"),
        }
    }

    /// Whether a caller is admitted while there are so many connections, and it `may_enter`. Asks the program last.
    pub(crate) fn check(
        &self,
        peer: &str,
        peer_addr: Option<SocketAddr>,
        num_connections: usize,
        may_enter: impl FnOnce() -> Result<(), RefusalCause>,
    ) -> Result<(), Refusal> {
        let limit = self.limit.load(Ordering::Relaxed);
        if num_connections >= limit {
            return Err(RefusalCause::MaxConnections { limit }.into());
        }
        let num_connections_from_address = self.num_from(peer_addr);
        if let Some(limit) = self.max_per_address.filter(|limit| num_connections_from_address >= *limit) {
            return Err(RefusalCause::MaxConnectionsPerAddress { limit }.into());
        }
        may_enter()?;
        let Some(admit) = self.admit.lock().clone() else { return Ok(()) };
        let caller = Caller { peer, peer_addr, num_connections, num_connections_from_address, peer_certificates: &[] };
        let mut admitted = false;
        match user_code::call(|| admitted = admit(&caller)) {
            Ok(()) if admitted => Ok(()),
            Ok(()) => Err(RefusalCause::NotAdmitted.into()),
            Err(message) => Err(Refusal::by_panic("admit", message)),
        }
    }

    /// How the program wants newcomers to be served, where it says so; until the service has ended.
    pub(crate) fn delivery_for(&self) -> Option<Arc<Foreign<DeliveryFor>>> {
        self.delivery_for.lock().clone()
    }

    /// A caller among `num` with the connections that there are; one that is pending counts already.
    pub(crate) fn caller<'a>(
        &self,
        peer: &'a str,
        peer_addr: Option<SocketAddr>,
        num: usize,
        is_pending: bool,
        peer_certificates: &'a [Vec<u8>],
    ) -> Caller<'a> {
        let without_itself = |num: usize| num.saturating_sub(usize::from(is_pending));
        let (num_connections, num_connections_from_address) =
            (without_itself(num), without_itself(self.num_from(peer_addr)));
        Caller { peer, peer_addr, num_connections, num_connections_from_address, peer_certificates }
    }

    /// Lets the program's hooks go, which may well hold a handle of this service.
    pub(crate) fn drop_hooks(&self) {
        let (admit, delivery_for) = (self.admit.lock().take(), self.delivery_for.lock().take());
        // Without the locks: their drop is the program's code.
        drop((admit, delivery_for));
    }

    fn num_from(&self, address: Option<SocketAddr>) -> usize {
        let (Some(by_origin), Some(address)) = (&self.by_origin, address) else { return 0 };
        by_origin.lock().get(&Origin::of(address)).copied().unwrap_or(0)
    }

    /// A connection has been made, or somebody has begun to become one.
    pub(crate) fn enter(&self, address: Option<SocketAddr>) {
        let (Some(by_origin), Some(address)) = (&self.by_origin, address) else { return };
        *by_origin.lock().entry(Origin::of(address)).or_default() += 1;
    }

    /// One that had [entered](Self::enter) has ended.
    pub(crate) fn leave(&self, address: Option<SocketAddr>) {
        let (Some(by_origin), Some(address)) = (&self.by_origin, address) else { return };
        let (mut by_origin, origin) = (by_origin.lock(), Origin::of(address));
        if let Some(count) = by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                by_origin.remove(&origin);
            }
        }
    }
}

impl From<RefusalCause> for Refusal {
    fn from(cause: RefusalCause) -> Self {
        Self { cause, error: None }
    }
}

impl Refusal {
    /// Because a hook of the program's has panicked.
    pub(crate) fn by_panic(hook: &'static str, message: String) -> Self {
        Self::by_error(Error::CallbackPanicked { callback: hook, message })
    }

    /// Because a hook of the program's has not done what it should.
    pub(crate) fn by_error(error: Error) -> Self {
        Self { cause: RefusalCause::NotAdmitted, error: Some(error) }
    }
}

/// How many descriptors the process may have; `None` where there is no such limit.
#[cfg(unix)]
fn descriptor_limit() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    // Systems of Apple name any number, or none, and poll no more than so many at once (`OPEN_MAX`).
    #[cfg(target_vendor = "apple")]
    let limit = Some(limit.map_or(10_240, |limit| limit.min(10_240)));
    limit
}

#[cfg(not(unix))]
fn descriptor_limit() -> Option<usize> {
    None
}
