use super::Caller;
use crate::error::Denied;

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
    /// at the same time; it has no more than the caller's [time](crate::Timeouts::handshake_timeout), after which
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
