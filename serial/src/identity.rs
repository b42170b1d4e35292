use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::codec::{self, Separator};

/// What LEADS asks devices.
const QUESTION: &[u8] = b"ic";

type Recognise = dyn Fn(&[u8]) -> bool + Send + Sync;

/// How a client recognises its device: it asks a question, and looks at what the device says.
///
/// The first message that is the device's own, among those that arrive before the deadline, identifies it; what it says
/// besides, before that, is ignored. So a device that talks all the time can be recognised, and so can one that says
/// who it is without being asked.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm_serial::Identity;
///
/// // As LEADS does it: `ic;` is answered by `VeC…;`, or by one of the devices behind it.
/// let controller = Identity::new(b"VeC").or(b"WSC");
///
/// // An Arduino, which is restarted when its port is opened.
/// let sensors = Identity::new(b"sensors").question(b"who").settle(Duration::from_secs(2));
///
/// let receiver = Identity::by(|message| message.starts_with(b"$GP")).separator(b"\r\n").unwrap();
/// # let _ = (controller, sensors, receiver);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Identity {
    tags: Vec<Vec<u8>>,
    recognise: Option<Arc<Recognise>>,
    question: Vec<u8>,
    separator: Separator,
    pub(crate) settle: Duration,
    pub(crate) deadline: Duration,
}

impl Identity {
    /// A device whose answer starts with `tag`.
    pub fn new(tag: impl AsRef<[u8]>) -> Self {
        Self::of(None).or(tag)
    }

    /// A device one of whose messages `recognise` finds to be its own. It is shown messages of any device, on the
    /// thread that connects.
    pub fn by(recognise: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self::of(Some(Arc::new(recognise)))
    }

    fn of(recognise: Option<Arc<Recognise>>) -> Self {
        Self {
            tags: Vec::new(),
            recognise,
            question: QUESTION.to_vec(),
            separator: Separator::default(),
            settle: Duration::ZERO,
            deadline: Duration::from_secs(1),
        }
    }

    /// Takes an answer that starts with `tag` as well, for instance one of a device behind this one.
    pub fn or(mut self, tag: impl AsRef<[u8]>) -> Self {
        self.tags.push(tag.as_ref().to_vec());
        self
    }

    /// What the device is asked, as a message. Empty: nothing is sent, for a device that speaks by itself.
    /// Default `ic`.
    pub fn question(mut self, question: impl AsRef<[u8]>) -> Self {
        self.question = question.as_ref().to_vec();
        self
    }

    /// What ends the question and the answers: the client's separator, where that is not `;`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn separator(mut self, separator: impl AsRef<[u8]>) -> Result<Self, codec::SeparatorError> {
        self.separator = Separator::new(separator)?;
        Ok(self)
    }

    /// How long a device is left alone between the opening of its port and the question, for those that need a moment:
    /// an Arduino is restarted by the opening, and listens after about 2 s. Default 0.
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// How long a device is given to take the question and answer it. Default 1 s.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    pub(crate) fn recognises(&self, message: &[u8]) -> bool {
        self.tags.iter().any(|tag| message.starts_with(tag))
            || self.recognise.as_ref().is_some_and(|recognise| recognise(message))
    }

    /// The question as it is sent.
    pub(crate) fn encoded_question(&self) -> io::Result<Vec<u8>> {
        if self.question.is_empty() {
            return Ok(Vec::new());
        }
        codec::encode(&self.question, &self.separator.clone().into())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    pub(crate) fn ends_messages_with(&self) -> &Separator {
        &self.separator
    }

    /// Whether an answer to this one's question is as good as one to the other's.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        self.question == other.question && self.separator == other.separator
    }
}

/// Shows no more of it than a log may.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("tags", &self.tags.len())
            .field("settle", &self.settle)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
