//! Errors as a user wants to read them.

use std::error;
use std::fmt;

use super::Error;

/// An error on one line, with everything that it came of: `cannot connect to 10.0.0.7: Connection refused (os error
/// 111)`.
///
/// An [`Error`] by itself tells what went wrong, and its [`source`](error::Error::source) why; this tells both, each
/// once. `Debug` is the same as `Display`, so that a `main` that returns it ends with a line that can be read. Any
/// error becomes one by `?`, borrowed ones by [`new`](Self::new).
///
/// # Examples
///
/// ```no_run
/// use leads_comm::{Report, Server};
///
/// // Where the port is taken, this ends with
/// // Error: cannot listen on 127.0.0.1:16900: Address already in use (os error 98)
/// fn main() -> Result<(), Report> {
///     let server = Server::builder().build()?;
///     server.start(false)?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Report<E = Error>(E);

impl<E: error::Error> Report<E> {
    /// A report of `error`, which may be borrowed: `Report::new(&error)`.
    pub fn new(error: E) -> Self {
        Self(error)
    }
}

impl<E: error::Error> From<E> for Report<E> {
    fn from(error: E) -> Self {
        Self(error)
    }
}

impl<E: error::Error> fmt::Display for Report<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let cause = error.to_string();
            // Many errors of others tell of their source themselves.
            if !said.ends_with(&cause) {
                write!(f, ": {cause}")?;
            }
            said = cause;
            source = error.source();
        }
        Ok(())
    }
}

impl<E: error::Error> fmt::Debug for Report<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
