use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport;

/// Why no device was recognised. Inside the [`io::Error`] that [`connect`](leads_comm::transport::Connector::connect)
/// fails with, from which [`of`](Self::of) gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IdentityError {
    /// None of the ports that there are has the device. Kind `NotFound`.
    NoAvailablePort {
        /// All ports, and what became of each.
        tried: Vec<Tried>,
    },
    /// The port that was named has another device. Kind `InvalidData`.
    UnexpectedIdentity {
        /// The port, and what it said.
        tried: Tried,
    },
}

/// What became of a port on which a device was looked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tried {
    /// The port's name.
    pub port: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// See [`Tried`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// The program has it open, or another one, as far as can be [seen](crate#opening-and-closing). It was asked
    /// nothing.
    InUse,
    /// It has the device of another identity of the program. It was asked nothing.
    OfAnother,
    /// It was asked, and its device is that of another identity of the program.
    FoundForAnother,
    /// It could not be opened.
    NotOpened(Arc<io::Error>),
    /// It broke while it was asked.
    Failed(Arc<io::Error>),
    /// Nothing was heard of it in time.
    Silent {
        /// How long it was listened to.
        time: Duration,
    },
    /// It said something else.
    Unrecognised {
        /// How many messages.
        messages: usize,
        /// How many bytes in all.
        bytes: usize,
    },
}

impl IdentityError {
    /// That of an error of connecting, where it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use leads_comm_serial::{Identity, IdentityError, Ports, SerialConnector};
    /// use leads_comm::{Client, Error};
    ///
    /// let connector = SerialConnector::new().identity(Identity::new(b"VeC")).ports(Ports::with_list(|| Ok(Vec::new())));
    /// let client = Client::builder().transport(connector).build()?;
    /// let Err(Error::Connect { source, .. }) = client.start("auto", true) else { panic!("there are no ports") };
    /// let Some(IdentityError::NoAvailablePort { tried }) = IdentityError::of(&source) else { panic!("{source}") };
    /// assert!(tried.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of(error: &io::Error) -> Option<&Self> {
        transport::reported(error)?.downcast_ref()
    }
}

impl From<IdentityError> for io::Error {
    fn from(error: IdentityError) -> Self {
        let kind = match error {
            IdentityError::NoAvailablePort { .. } => io::ErrorKind::NotFound,
            IdentityError::UnexpectedIdentity { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAvailablePort { tried } => {
                f.write_str("no available port")?;
                for (index, tried) in tried.iter().enumerate() {
                    write!(f, "{}{tried}", if index == 0 { ": " } else { ", " })?;
                }
                Ok(())
            }
            Self::UnexpectedIdentity { tried } => write!(f, "unexpected identity: {tried}"),
        }
    }
}

impl Error for IdentityError {}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.port, self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("is in use"),
            Self::OfAnother => f.write_str("has another device"),
            Self::FoundForAnother => f.write_str("was found to have another device"),
            Self::NotOpened(error) => write!(f, "could not be opened ({error})"),
            Self::Failed(error) => write!(f, "failed ({error})"),
            Self::Silent { time } => write!(f, "said nothing within {time:?}"),
            Self::Unrecognised { messages: 1, bytes } => write!(f, "said something else (1 message, {bytes} bytes)"),
            Self::Unrecognised { messages, bytes } => {
                write!(f, "said something else ({messages} messages, {bytes} bytes)")
            }
        }
    }
}
