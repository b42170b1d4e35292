use std::error;
use std::fmt;
use std::sync::Arc;

use crate::admission::Caller;
use crate::error::first_line;

/// Decides by a caller's first message whether it is let in: see
/// [`ServerBuilder::authenticate`](crate::ServerBuilder::authenticate).
///
/// Closures of the same shape are authenticators.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// use leads_comm::{Authenticator, Caller, Denied, Server};
///
/// /// Knows each vehicle by a password of its own: `name:password`.
/// struct Fleet {
///     passwords: HashMap<String, String>,
/// }
///
/// impl Authenticator for Fleet {
///     fn authenticate(&self, _caller: &Caller<'_>, message: &[u8]) -> Result<(), Denied> {
///         let message = std::str::from_utf8(message).map_err(|_| "not text")?;
///         let (name, password) = message.split_once(':').ok_or("no password")?;
///         // A real one compares in constant time, and keeps hashes.
///         match self.passwords.get(name) {
///             Some(known) if known == password => Ok(()),
///             _ => Err(Denied::new(format!("not the password of {}", name.escape_debug()))),
///         }
///     }
/// }
///
/// let passwords = HashMap::from([("leads".to_owned(), "secret".to_owned())]);
/// let server = Server::builder().authenticate(Fleet { passwords }).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Whether a caller is let in, whose first message, without its separator, is `message`.
    ///
    /// Called on the thread that becomes the caller's reader, so that nobody else waits for it, and for several callers
    /// at the same time; it has no more than the caller's [time](crate::ServerBuilder::handshake_timeout), after which
    /// the caller is refused whatever it returns. May call anything, as a callback may.
    ///
    /// # Errors
    ///
    /// [`Denied`] refuses the caller.
    fn authenticate(&self, caller: &Caller<'_>, message: &[u8]) -> Result<(), Denied>;
}

impl<F> Authenticator for F
where
    F: Fn(&Caller<'_>, &[u8]) -> Result<(), Denied> + Send + Sync + 'static,
{
    fn authenticate(&self, caller: &Caller<'_>, message: &[u8]) -> Result<(), Denied> {
        self(caller, message)
    }
}

/// That an [`Authenticator`] does not let a caller in, and why.
///
/// The reason is for this side only: it is logged and told to [`on_fail`](crate::Callback::on_fail), and never sent. It
/// should not hold what the caller has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    reason: Arc<str>,
}

impl Denied {
    /// A denial for this reason, in a few words.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into().into() }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<&str> for Denied {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}

impl From<String> for Denied {
    fn from(reason: String) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(first_line(&self.reason))
    }
}

impl error::Error for Denied {}
