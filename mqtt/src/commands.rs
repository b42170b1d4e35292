//! What may come down, and who gets it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use leads_comm::codec::GOODBYE;

/// Commands for the vehicle: which may come from the broker, and the function that gets them.
///
/// Without a list nothing comes: whoever may publish to a broker could otherwise make a vehicle do anything. What is
/// not on the list is counted, and told as [`Event::CommandsRefused`](crate::Event::CommandsRefused). So is a command
/// that the broker has *retained*, because it would come again with each session; and the payload `disconnect`, which
/// is the goodbye of the library, is on no list.
///
/// A command comes once, or more than once: where the session ends before the broker knows that it has arrived, those
/// who sent it may send it again. It should do no harm to be told the same twice.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
///
/// use leads_comm_mqtt::Commands;
///
/// let (pit, commands) = mpsc::channel();
/// let commands = Commands::new(move |command| {
///     let _ = pit.send(command.to_vec());
/// });
/// let commands = commands.allow(["hazard", "box"]).allow_prefix("message:");
/// assert!(commands.allows(b"box") && commands.allows(b"message:two laps") && !commands.allows(b"boxes"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Commands {
    function: Arc<Function>,
    exact: HashSet<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
}

type Function = dyn Fn(&[u8]) + Send + Sync;

impl Commands {
    /// Commands for this function, none of which may come so far.
    ///
    /// It is called for one after the other, on the thread that reads from the broker, which reads nothing else
    /// meanwhile; what is published goes on. The broker is told that a command has arrived when it returns. A panic is
    /// contained, and told as [`Event::CommandPanicked`](crate::Event::CommandPanicked).
    pub fn new(function: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self { function: Arc::new(function), exact: HashSet::new(), prefixes: Vec::new() }
    }

    /// These may come, byte for byte.
    pub fn allow<C: AsRef<[u8]>>(mut self, commands: impl IntoIterator<Item = C>) -> Self {
        self.exact.extend(commands.into_iter().map(|command| command.as_ref().to_vec()));
        self
    }

    /// Whatever begins with this may come. An empty one allows everything.
    pub fn allow_prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.prefixes.push(prefix.as_ref().to_vec());
        self
    }

    /// Whether this may come.
    pub fn allows(&self, command: &[u8]) -> bool {
        command != GOODBYE
            && (self.exact.contains(command) || self.prefixes.iter().any(|prefix| command.starts_with(prefix)))
    }

    /// Whether anything may come.
    pub(crate) fn is_none(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    pub(crate) fn give(&self, command: &[u8]) {
        (self.function)(command);
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands")
            .field("exact", &self.exact.len())
            .field("prefixes", &self.prefixes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goodbye_is_on_no_list() {
        let commands = Commands::new(|_| ());
        assert!(commands.is_none() && !commands.allows(b"") && !commands.allows(b"go"));
        let commands = commands.allow(["disconnect", "go"]).allow_prefix("");
        assert!(!commands.is_none() && !commands.allows(b"disconnect"));
        assert!(commands.allows(b"go") && commands.allows(b"disconnect "));
    }
}
