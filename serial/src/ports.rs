use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Condvar, Mutex};

use crate::asking::{Heard, ask};
use crate::elsewhere::is_open_elsewhere;
use crate::failure::{IdentityError, Outcome, Tried};
use crate::lease::{Lease, Leases};
use crate::logging::debug;
use crate::seeker::Seeker;
use crate::stopping::stopped;
use crate::stream::SerialStream;

/// The names of the serial ports that the system knows of, in order, such as `/dev/ttyUSB0` or `COM3`. Whether anything
/// is connected to one, and whether it is in use, is another question. Pseudo-terminals are not among them.
///
/// # Errors
///
/// What the operating system reports.
pub fn available_ports() -> io::Result<Vec<String>> {
    let ports = serial2::SerialPort::available_ports()?;
    let mut names: Vec<String> =
        ports.into_iter().filter_map(|port| port.into_os_string().into_string().ok()).collect();
    // The other name of each (`/dev/cu.…`), for those who call: by this one a modem is waited for.
    #[cfg(target_vendor = "apple")]
    names.retain(|name| !name.starts_with("/dev/tty."));
    // `ttyUSB2` before `ttyUSB10`.
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    Ok(names)
}

/// The serial ports that the clients of a program share: which are in use, and which device is at which.
///
/// Clients that look for their devices at the same time take turns, so that each port is opened by one at a time. What
/// one finds out serves all: a port with the device of another client, started or not, is remembered for that, or given
/// to it at once when it waits. This is forgotten when the port goes away.
///
/// A cheap handle: clones stand for the same ports. Every [`SerialConnector`](crate::SerialConnector) uses
/// [`shared`](Self::shared) unless told otherwise.
#[derive(Clone)]
pub struct Ports {
    shared: Arc<Shared>,
}

type List = dyn Fn() -> io::Result<Vec<String>> + Send + Sync;

struct Shared {
    list: Box<List>,
    leases: Arc<Leases>,
    /// Never held while a port is used, listed or dropped.
    state: Mutex<State>,
    /// A turn is over, something was found for somebody who waits, or a connector has been stopped.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether somebody asks ports.
    is_asking: bool,
    /// Who waits for a turn, and what was found for them meanwhile.
    waiting: Vec<(Arc<Seeker>, Option<SerialStream>)>,
    /// All who have a device to look for.
    seekers: Vec<Weak<Seeker>>,
}

impl Ports {
    /// The ports of the system, for clients that share them with no others.
    pub fn new() -> Self {
        Self::with_list(available_ports)
    }

    /// Other ports than those that the system [knows of](available_ports), for instance only some of them, or
    /// pseudo-terminals in a test. `list` is called whenever a device is looked for.
    ///
    /// On Linux, a process that plays a device in a pseudo-terminal and has the port's end open as well (Python's
    /// `os.openpty` does) is taken for a user of the port, unless it is this one.
    pub fn with_list(list: impl Fn() -> io::Result<Vec<String>> + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                list: Box::new(list),
                leases: Arc::default(),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// The ports of the system, for all clients of the process.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Ports> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Makes somebody known who has a device to look for: what others find is remembered for them from now on.
    pub(crate) fn note(&self, seeker: &Arc<Seeker>) {
        let mut state = self.shared.state.lock();
        state.seekers.retain(|known| known.strong_count() > 0);
        state.seekers.push(Arc::downgrade(seeker));
    }

    /// Has everybody who waits look whether they have been stopped.
    pub(crate) fn wake(&self) {
        // After whoever has looked already waits.
        drop(self.shared.state.lock());
        self.shared.changed.notify_all();
    }

    /// Opens the port `name`, and sees to it that it has the right device, if there is one to be recognised.
    pub(crate) fn open(&self, name: &str, seeker: &Arc<Seeker>) -> io::Result<SerialStream> {
        // Who asks all ports has this one open for a moment only.
        let turn = match self.wait_for_turn(seeker, false)? {
            Turn::Found(stream) => return Ok(stream),
            Turn::Mine(turn) => turn,
        };
        let lease = self.shared.leases.take(name);
        let lease = lease.ok_or_else(|| io::Error::new(io::ErrorKind::ResourceBusy, "the port is in use"))?;
        if seeker.identity.is_none() {
            drop(turn);
            return SerialStream::open(name, seeker.settings, lease);
        }
        match self.try_port(name, lease, seeker) {
            Ok(stream) => Ok(stream),
            Err(Outcome::NotOpened(error) | Outcome::Failed(error)) => {
                seeker.stopping.go_on()?;
                Err(io::Error::new(error.kind(), error))
            }
            Err(outcome) => {
                seeker.stopping.go_on()?;
                let tried = Tried { port: name.to_owned(), outcome };
                Err(IdentityError::UnexpectedIdentity { tried }.into())
            }
        }
    }

    /// Asks the ports that may have it, one after the other, until a device is recognised.
    pub(crate) fn find(&self, seeker: &Arc<Seeker>) -> io::Result<SerialStream> {
        let _turn = match self.wait_for_turn(seeker, true)? {
            Turn::Found(stream) => return Ok(stream),
            Turn::Mine(turn) => turn,
        };
        let mut tried = Vec::new();
        for port in self.in_order(seeker)? {
            seeker.stopping.go_on()?;
            let outcome = if self.shared.leases.is_of_another(&port, seeker) {
                Outcome::OfAnother
            } else if is_open_elsewhere(&port) {
                Outcome::InUse
            } else if let Some(lease) = self.shared.leases.take(&port) {
                match self.try_port(&port, lease, seeker) {
                    Ok(stream) => return Ok(stream),
                    Err(outcome) => outcome,
                }
            } else {
                Outcome::InUse
            };
            tried.push(Tried { port, outcome });
        }
        seeker.stopping.go_on()?;
        Err(IdentityError::NoAvailablePort { tried }.into())
    }

    /// The ports that there are, the one where the device was before first; forgets what is known of others.
    fn in_order(&self, seeker: &Arc<Seeker>) -> io::Result<Vec<String>> {
        let mut ports = (self.shared.list)()?;
        self.shared.leases.keep_only(&ports);
        ports.sort_by_key(|port| !self.shared.leases.is_of(port, seeker));
        Ok(ports)
    }

    /// Opens a port and asks it. Whoever's device it has is remembered.
    fn try_port(&self, port: &str, lease: Lease, seeker: &Arc<Seeker>) -> Result<SerialStream, Outcome> {
        let result = self.ask_port(port, lease, seeker);
        if let Err(outcome) = &result {
            debug(format_args!("{port} {outcome}"));
        }
        result
    }

    fn ask_port(&self, port: &str, lease: Lease, seeker: &Arc<Seeker>) -> Result<SerialStream, Outcome> {
        let identity = seeker.identity.as_ref().expect("only those with an identity ask");
        self.shared.leases.forget(port);
        let stream = SerialStream::open(port, seeker.settings, lease).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => Outcome::InUse,
            _ => Outcome::NotOpened(Arc::new(error)),
        })?;
        let others = self.others_like(seeker);
        let owner = ask(&stream, identity, &seeker.stopping, |message| {
            let all = [seeker].into_iter().chain(&others);
            all.clone().find(|seeker| seeker.recognises(message)).cloned()
        });
        let failed = match owner {
            Ok(Heard::Recognised(owner)) if Arc::ptr_eq(&owner, seeker) => {
                self.shared.leases.remember(port, &owner);
                return Ok(stream);
            }
            Ok(Heard::Recognised(owner)) => {
                self.shared.leases.remember(port, &owner);
                self.give_to(&owner, stream);
                return Err(Outcome::FoundForAnother);
            }
            Ok(Heard::Nobodys(outcome)) => outcome,
            Err(error) => Outcome::Failed(Arc::new(error)),
        };
        // It may not have taken the question, and the system would wait for it to do so.
        stream.give_up();
        Err(failed)
    }

    /// Those who would have asked the same, in the same way.
    fn others_like(&self, seeker: &Arc<Seeker>) -> Vec<Arc<Seeker>> {
        let all: Vec<_> = self.shared.state.lock().seekers.iter().filter_map(Weak::upgrade).collect();
        all.into_iter().filter(|other| !Arc::ptr_eq(other, seeker) && other.asks_like(seeker)).collect()
    }

    /// Hands a port over to whom its device belongs, if they wait for it.
    fn give_to(&self, owner: &Arc<Seeker>, stream: SerialStream) {
        let mut state = self.shared.state.lock();
        let waiting = state.waiting.iter_mut().find(|(seeker, found)| Arc::ptr_eq(seeker, owner) && found.is_none());
        let left = match waiting {
            Some((_, found)) => {
                *found = Some(stream);
                None
            }
            None => Some(stream),
        };
        drop(state);
        self.shared.changed.notify_all();
        drop(left);
    }

    /// Waits until nobody else asks ports, or has found what is looked for, if any port will do.
    fn wait_for_turn(&self, seeker: &Arc<Seeker>, any_port: bool) -> io::Result<Turn> {
        let mut state = self.shared.state.lock();
        if any_port {
            state.waiting.push((Arc::clone(seeker), None));
        }
        let outcome = loop {
            if seeker.stopping.is_stopped() {
                break Err(stopped());
            }
            if any_port && state.has_found(seeker) {
                break Ok(None);
            }
            if !state.is_asking {
                state.is_asking = true;
                break Ok(Some(TurnGuard(Arc::clone(&self.shared))));
            }
            self.shared.changed.wait(&mut state);
        };
        let found = if any_port { state.take_found(seeker) } else { None };
        drop(state);
        match (outcome?, found) {
            (None, Some(stream)) => Ok(Turn::Found(stream)),
            (Some(turn), _) => Ok(Turn::Mine(turn)),
            (None, None) => unreachable!("it has been found, and nobody else takes it"),
        }
    }
}

impl State {
    fn has_found(&self, seeker: &Arc<Seeker>) -> bool {
        self.waiting.iter().any(|(waiting, found)| Arc::ptr_eq(waiting, seeker) && found.is_some())
    }

    fn take_found(&mut self, seeker: &Arc<Seeker>) -> Option<SerialStream> {
        let at = self.waiting.iter().position(|(waiting, _)| Arc::ptr_eq(waiting, seeker))?;
        self.waiting.swap_remove(at).1
    }
}

enum Turn {
    /// Somebody else has found it.
    Found(SerialStream),
    Mine(TurnGuard),
}

/// The right to ask ports, which one has at a time.
struct TurnGuard(Arc<Shared>);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.0.state.lock().is_asking = false;
        self.0.changed.notify_all();
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("in_use", &self.shared.leases.in_use()).finish_non_exhaustive()
    }
}
