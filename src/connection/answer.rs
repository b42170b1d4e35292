//! Answers: which message answers a [`call`](crate::Connection::call), for programs that number their messages.
//!
//! Each request carries a number, the peer says it again in its answer, and by it the two are joined: however many
//! requests are on their way, and in whatever order the answers come. Where the number stands is up to the program:
//! [`prefix`] is for answers that begin with it, [`json_field`] for those that are JSON objects.
//!
//! # Examples
//!
//! Several threads ask at once, and each gets its own answer:
//!
//! ```
//! use std::thread;
//! use std::time::Duration;
//!
//! use leads_comm::answer::{self, Numbers};
//! use leads_comm::{Client, Server, callback};
//!
//! // Doubles what is asked: "17:21" is answered by "17:42".
//! let server = Server::builder().port(0).callback(callback::on_receive(|connection, message| {
//!     let text = String::from_utf8_lossy(message);
//!     if let Some((number, Ok(value))) = text.split_once(':').map(|(number, value)| (number, value.parse::<u32>())) {
//!         // An error means that the peer has left.
//!         let _ = connection.send(format!("{number}:{}", 2 * value).as_bytes());
//!     }
//! }));
//! let server = server.build()?;
//! server.start(true)?;
//!
//! let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ())?;
//! let numbers = Numbers::new();
//! thread::scope(|scope| {
//!     for value in 0..8 {
//!         let (client, numbers) = (&client, &numbers);
//!         scope.spawn(move || {
//!             let number = numbers.next();
//!             let request = format!("{number}:{value}");
//!             let is_answer = answer::prefix(format!("{number}:"));
//!             let answer = client.call(request.as_bytes(), is_answer, Duration::from_secs(10)).unwrap();
//!             assert_eq!(answer, format!("{number}:{}", 2 * value).as_bytes());
//!         });
//!     }
//! });
//! # client.close();
//! # server.close();
//! # Ok::<(), leads_comm::Error>(())
//! ```

use std::fmt::Display;
use std::sync::atomic::Ordering;

use crate::settings::key;
use crate::sync::wide::AtomicU64;

/// An answer is what begins with these bytes: a number, and what ends it, for `17:` is not the beginning of `170:`.
///
/// ```
/// use leads_comm::answer;
///
/// let is_answer = answer::prefix("17:");
/// assert!(is_answer(b"17:done"));
/// assert!(!is_answer(b"170:done"));
/// ```
pub fn prefix(start: impl Into<Vec<u8>>) -> impl Fn(&[u8]) -> bool + Send + Sync + 'static {
    let start = start.into();
    move |message| message.starts_with(&start)
}

/// An answer is a JSON object that holds this value in the field of this name, as a number or a string: `17` and `"17"`
/// are the same. The field is found, and compared, as by [`key::json_field`].
///
/// ```
/// use leads_comm::answer;
///
/// let is_answer = answer::json_field("id", 17);
/// assert!(is_answer(br#"{"id": 17, "result": "done"}"#));
/// assert!(!is_answer(br#"{"id": 170, "result": "done"}"#));
/// ```
pub fn json_field(name: &str, value: impl Display) -> impl Fn(&[u8]) -> bool + Send + Sync + 'static {
    let (field, value) = (key::json_field(name), value.to_string());
    move |message| field(message).is_some_and(|found| found.as_bytes() == value.as_bytes())
}

/// Gives out numbers, from 1, each once: to all threads that share it.
///
/// Numbers that are never used again keep an answer that comes too late from being taken for that of another request.
/// So one is enough for all that a program sends.
#[derive(Debug, Default)]
pub struct Numbers {
    given: AtomicU64,
}

impl Numbers {
    /// None has been given out yet. May be a `static`.
    pub const fn new() -> Self {
        Self { given: AtomicU64::new(0) }
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed) + 1
    }
}
