//! Which ports the program uses, and whose device was found at which.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::seeker::Seeker;

/// Known to all who share the same ports.
#[derive(Default)]
pub(crate) struct Leases {
    /// Never held while a port is used, or anything else is locked.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_use: HashSet<PathBuf>,
    /// Whose device was found at which port.
    owners: HashMap<String, Weak<Seeker>>,
}

/// A port that this program uses.
pub(crate) struct Lease {
    leases: Arc<Leases>,
    port: String,
    path: PathBuf,
}

impl Leases {
    /// Takes a port for this program's use of it; `None` when it is in use.
    pub(crate) fn take(self: &Arc<Self>, port: &str) -> Option<Lease> {
        // A port may have several names.
        let path = fs::canonicalize(port).unwrap_or_else(|_| port.into());
        let is_free = self.state.lock().in_use.insert(path.clone());
        is_free.then(|| Lease { leases: Arc::clone(self), port: port.to_owned(), path })
    }

    /// Whose device is at a port.
    pub(crate) fn remember(&self, port: &str, owner: &Arc<Seeker>) {
        self.state.lock().owners.insert(port.to_owned(), Arc::downgrade(owner));
    }

    pub(crate) fn forget(&self, port: &str) {
        self.state.lock().owners.remove(port);
    }

    /// Forgets what is known of any ports but these.
    pub(crate) fn keep_only(&self, ports: &[String]) {
        self.state.lock().owners.retain(|port, owner| ports.contains(port) && owner.strong_count() > 0);
    }

    pub(crate) fn is_of(&self, port: &str, seeker: &Arc<Seeker>) -> bool {
        self.owner(port).is_some_and(|owner| owner.as_ptr() == Arc::as_ptr(seeker))
    }

    pub(crate) fn is_of_another(&self, port: &str, seeker: &Arc<Seeker>) -> bool {
        self.owner(port).is_some_and(|owner| owner.as_ptr() != Arc::as_ptr(seeker))
    }

    fn owner(&self, port: &str) -> Option<Weak<Seeker>> {
        self.state.lock().owners.get(port).filter(|owner| owner.strong_count() > 0).cloned()
    }

    /// The paths of the ports that are in use.
    pub(crate) fn in_use(&self) -> HashSet<PathBuf> {
        self.state.lock().in_use.clone()
    }
}

impl Lease {
    /// Whatever comes to the port next may be another device.
    pub(crate) fn forget_owner(&self) {
        self.leases.forget(&self.port);
    }

    /// Whether a program is at the other end, and not a device. What is written lies there then, to be read when that
    /// program likes.
    pub(crate) fn is_pseudo_terminal(&self) -> bool {
        // macOS has them beside the serial ports, whose names go on with a dot.
        let is_of_apple = cfg!(target_vendor = "apple") && self.path.to_string_lossy().starts_with("/dev/ttys");
        is_of_apple || self.path.starts_with("/dev/pts")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.state.lock().in_use.remove(&self.path);
    }
}
