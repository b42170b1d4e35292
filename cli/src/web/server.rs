//! The address that is listened on, and a thread for each request.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leads_comm::my_ip_addresses;
use leads_comm_websocket::Access;
use log::warn;
use parking_lot::{Condvar, Mutex};

use super::exchange::{self, Large, Services};
use super::guard::{self, Guard};
use super::response::{Refused, Response};
use super::{Door, Site};

/// How many requests are answered at once. Each has a thread.
const MOST_REQUESTS: usize = 64;

/// How many bytes of large answers may wait to be taken, unless told otherwise.
const MOST_WAITING: usize = 512 << 20;

/// For how long nobody is let in after the system has let nobody in, for instance for want of descriptors.
const REST: Duration = Duration::from_millis(100);

/// How long closing waits for requests that are being answered.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How long it takes at most to reach the own address.
const WAKE_TIME: Duration = Duration::from_secs(1);

/// The shortest token: one that is guessed at full speed for a year is not found.
const SHORTEST_TOKEN: usize = 12;

/// What is going to be served.
pub(crate) struct Web {
    address: SocketAddr,
    token: Option<Vec<u8>>,
    access: Access,
    sites: Vec<Box<dyn Site>>,
    doors: Vec<Door>,
    most_waiting: usize,
}

impl Web {
    /// Nothing yet, at that address. Port 0 is one that the system chooses.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let (access, sites, doors) = (Access::new(), Vec::new(), Vec::new());
        Self { address, token: None, access, sites, doors, most_waiting: MOST_WAITING }
    }

    /// A token that every request has to show: text of at least 12 bytes. Default: none on loopback, and beyond it one
    /// that is made, and that [`url`](WebServer::url) has in it.
    #[must_use]
    pub(crate) fn token(mut self, token: Option<Vec<u8>>) -> Self {
        self.token = token;
        self
    }

    /// One that answers requests which those before it do not know.
    #[must_use]
    pub(crate) fn site(mut self, site: impl Site) -> Self {
        self.sites.push(Box::new(site));
        self
    }

    /// One through which WebSockets go that those before it do not take.
    #[must_use]
    pub(crate) fn door(mut self, door: Door) -> Self {
        self.doors.push(door);
        self
    }

    /// Lets in requests for hosts of these names, besides `localhost` and IP addresses.
    #[must_use]
    pub(crate) fn hosts<'a>(mut self, names: impl IntoIterator<Item = &'a String>) -> Self {
        self.access = names.into_iter().fold(self.access, Access::host);
        self
    }

    /// How many bytes of answers over 1 MiB may wait to be taken, in all; one alone may have more. What is more is
    /// answered with status 503. Default: 512 MiB.
    #[must_use]
    pub(crate) fn most_waiting(mut self, bytes: usize) -> Self {
        self.most_waiting = bytes;
        self
    }

    /// Listens. From then on requests are answered, until it is closed.
    ///
    /// # Errors
    ///
    /// What the system reports; `InvalidInput` when the token cannot be one.
    pub(crate) fn start(self) -> io::Result<WebServer> {
        let token = needed_token(self.token, self.address.ip())?;
        let listener = TcpListener::bind(self.address)?;
        let address = listener.local_addr()?;
        let guard = Guard::new(self.access, token, address.port())?;
        let query = guard.query();
        let large = Large::new(self.most_waiting);
        let services = Services { guard, sites: self.sites, doors: self.doors, large };
        let shared = Arc::new(Shared {
            services,
            stopping: AtomicBool::new(false),
            open: Mutex::new(Open::default()),
            ended: Condvar::new(),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("web-accept".to_owned()).spawn(move || shared.accept(&listener))?
        };
        Ok(WebServer { address, query, shared, accepting: Mutex::new(Some(accepting)) })
    }
}

/// What requests have to show, where this is listened on.
pub(super) fn needed_token(given: Option<Vec<u8>>, listens_on: IpAddr) -> io::Result<Option<String>> {
    match given {
        Some(token) => checked(token).map(Some),
        None if listens_on.to_canonical().is_loopback() => Ok(None),
        None => guard::random().map(Some),
    }
}

fn checked(token: Vec<u8>) -> io::Result<String> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let token = String::from_utf8(token).map_err(|_| wrong("the token of the page is no text"))?;
    if token.chars().any(char::is_control) || token.trim() != token {
        return Err(wrong("the token of the page has spaces around it, or more than one line"));
    }
    if token.len() < SHORTEST_TOKEN {
        return Err(wrong("the token of the page is shorter than 12 bytes, and could be guessed"));
    }
    Ok(token)
}

/// What is being served.
pub(crate) struct WebServer {
    address: SocketAddr,
    /// What shows the token, if there is one.
    query: String,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl WebServer {
    /// What is listened on.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a browser is told to open: with the token, where one is asked for; on every address, with one at which this
    /// machine can be reached.
    pub(crate) fn url(&self) -> String {
        self.url_with(&self.query)
    }

    /// The same for a browser that is opened by another program: the token in it is one that is good for one request.
    pub(crate) fn url_for_once(&self) -> String {
        self.url_with(&self.shared.services.guard.query_for_once())
    }

    fn url_with(&self, query: &str) -> String {
        let host = match self.address.ip() {
            ip if ip.is_unspecified() => {
                my_ip_addresses().into_iter().find(|mine| mine.is_ipv4() == ip.is_ipv4()).unwrap_or(loopback(ip))
            }
            ip => ip,
        };
        format!("http://{}/{query}", SocketAddr::new(host, self.address.port()))
    }

    /// Ends it: nothing more is accepted, the address is free, and requests that are being answered are ended. What has
    /// gone through a door lives on. Blocks until that is done, at most for 5 s.
    pub(crate) fn close(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(loopback(address.ip()));
        }
        if let Some(accepting) = self.accepting.lock().take() {
            // Wakes the thread that accepts. Where that fails, it stays until the next caller comes.
            if TcpStream::connect_timeout(&address, WAKE_TIME).is_ok() {
                let _ = accepting.join();
            }
        }
        let mut open = self.shared.open.lock();
        for socket in open.sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.shared.ended.wait_while_for(&mut open, |open| !open.sockets.is_empty(), CLOSE_TIME);
    }
}

impl fmt::Debug for WebServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn loopback(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

struct Shared {
    services: Services,
    stopping: AtomicBool,
    open: Mutex<Open>,
    /// Whenever a request has been answered.
    ended: Condvar,
}

/// The requests that are being answered.
#[derive(Default)]
struct Open {
    next: u64,
    sockets: HashMap<u64, TcpStream>,
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        loop {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((socket, _)) => {
                    if let Err(error) = self.answer(socket) {
                        warn!("a request is not answered: {error}");
                    }
                }
                Err(error) if is_of_one_caller(&error) => {}
                Err(error) => {
                    warn!("requests are not let in: {error}");
                    thread::sleep(REST);
                }
            }
        }
    }

    /// Starts a thread for it.
    fn answer(self: &Arc<Self>, socket: TcpStream) -> io::Result<()> {
        let number = {
            let mut open = self.open.lock();
            if open.sockets.len() >= MOST_REQUESTS {
                drop(open);
                return turn_away(&socket);
            }
            let number = open.next;
            open.next += 1;
            open.sockets.insert(number, socket.try_clone()?);
            number
        };
        let request = Answered { shared: Arc::clone(self), number };
        thread::Builder::new().name(format!("web-{number}")).spawn(move || {
            let request = request;
            exchange::serve(&request.shared.services, socket);
        })?;
        Ok(())
    }
}

/// A request that is not among those that are being answered any more when this is dropped.
struct Answered {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Answered {
    fn drop(&mut self) {
        // Dropped behind the lock.
        let socket = self.shared.open.lock().sockets.remove(&self.number);
        drop(socket);
        self.shared.ended.notify_all();
    }
}

/// Says that there are too many, as far as that goes at once.
fn turn_away(socket: &TcpStream) -> io::Result<()> {
    let response = Response::from(Refused::new(503, "too many ask at once"));
    socket.set_nonblocking(true)?;
    let mut socket = socket;
    let _ = socket.write(&[response.head(), response.body].concat());
    let _ = socket.shutdown(Shutdown::Write);
    Ok(())
}

fn is_of_one_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
