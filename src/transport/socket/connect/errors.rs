use std::error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a host could not be connected to under any of its addresses: what is inside the [`io::Error`] of a
/// [`TcpConnector`](crate::transport::tcp::TcpConnector), and so of [`Error::Connect`](crate::Error::Connect), where
/// several were tried. The kind of that one is the kind of the first of these.
///
/// # Examples
///
/// ```
/// use leads_comm::transport::tcp::ConnectErrors;
/// use leads_comm::{Client, Error};
///
/// # let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
/// # const _: &str = stringify! {
/// let nobody = 1;
/// # };
/// let client = Client::builder().port(nobody).build()?;
/// let Err(Error::Connect { source, .. }) = client.start("localhost", true) else { panic!("somebody is there") };
/// match source.get_ref().and_then(|inner| inner.downcast_ref::<ConnectErrors>()) {
///     Some(several) => several.errors().iter().for_each(|(address, error)| println!("{address}: {error}")),
///     None => println!("{source}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConnectErrors {
    errors: Vec<(SocketAddr, io::Error)>,
}

impl ConnectErrors {
    /// The error of each address, in the order in which they were tried.
    pub fn errors(&self) -> &[(SocketAddr, io::Error)] {
        &self.errors
    }

    /// What went wrong with all of `addresses`, of which one is simply told.
    pub(super) fn of(addresses: &[SocketAddr], mut errors: Vec<(SocketAddr, io::Error)>) -> io::Error {
        errors.sort_by_key(|(failed, _)| addresses.iter().position(|address| address == failed));
        match &errors[..] {
            [] => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
            [_] => errors.remove(0).1,
            [(_, first), ..] => io::Error::new(first.kind(), Self { errors }),
        }
    }
}

impl fmt::Display for ConnectErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.errors.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

impl error::Error for ConnectErrors {}
