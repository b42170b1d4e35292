//! Checks for transports: whether what a program brings keeps to what [`Stream`], [`Listener`] and [`Connector`] ask
//! for.
//!
//! For tests: what fails panics, with every check that failed and what was wrong. A check that hangs is reported as
//! such, after a time limit of its own and with the call that does not return, and the others go on; its threads, which
//! nothing can end, are left behind until the process ends.
//!
//! # Examples
//!
//! ```
//! use leads_comm::transport::memory;
//! use leads_comm_conformance::Suite;
//!
//! // A stream in memory has no descriptor that could be polled, and cannot wait for something to read.
//! let suite = Suite::new().poll_fd(false).wait_readable(false);
//! suite.check_streams(|| {
//!     let (one, other) = memory::pair();
//!     (Box::new(one), Box::new(other))
//! });
//! suite.check_listener(|| {
//!     let (listener, connector) = memory::listener();
//!     (Box::new(listener), Box::new(connector), "the address is not looked at".into())
//! });
//! ```
//!
//! [`Suite::new`] expects everything that a transport can have. What one leaves out is said, as here; one with no more
//! methods than it must have begins with [`Suite::basic`]. Where a check says `Unsupported`, that is what is missing.
//!
//! A check can be run by itself, for instance in a test of its own, or under a debugger:
//!
//! ```
//! use leads_comm::transport::memory;
//! use leads_comm_conformance::{StreamCheck, Suite};
//!
//! let outcome = StreamCheck::FullDuplex.run(&Suite::new(), || {
//!     let (one, other) = memory::pair();
//!     (Box::new(one), Box::new(other))
//! });
//! assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
//! ```
//!
//! A transport may have more to it than can be seen from here: that bytes survive a slow or broken line, that a
//! listener outlives every error, what is logged. The checks see both ends, and nothing between them.

mod bytes;
mod connector;
mod failure;
mod layer;
mod listener;
mod run;
mod streams;
mod stuck;
mod suite;

use leads_comm::transport::{Connector, Listener, Stream};

pub use failure::Failure;
pub use layer::LayerCheck;
pub use listener::ListenerCheck;
pub use streams::StreamCheck;
pub use suite::Suite;

impl Suite {
    /// Runs every check of streams, on pairs of which each end is the other one's peer; once for each end.
    ///
    /// A pair is made for each check, and has not done its [handshake](Stream::handshake).
    ///
    /// # Panics
    ///
    /// Panics when one of them fails, with all that do.
    #[track_caller]
    pub fn check_streams(&self, make: impl Fn() -> (Box<dyn Stream>, Box<dyn Stream>) + Clone + Send + 'static) {
        let failures = StreamCheck::ALL.iter().filter_map(|check| check.run(self, make.clone()).err());
        report("stream", StreamCheck::ALL.len(), failures.collect());
    }

    /// Runs every check of listeners, on listeners together with a connector that reaches them, and the address that it
    /// is to be given.
    ///
    /// The streams that come of them are not looked at any closer; [`check_streams`](Self::check_streams) does that.
    ///
    /// # Panics
    ///
    /// Panics when one of them fails, with all that do.
    #[track_caller]
    pub fn check_listener(
        &self,
        make: impl Fn() -> (Box<dyn Listener>, Box<dyn Connector>, String) + Clone + Send + 'static,
    ) {
        let failures = ListenerCheck::ALL.iter().filter_map(|check| check.run(self, make.clone()).err());
        report("listener", ListenerCheck::ALL.len(), failures.collect());
    }

    /// Runs every check of layers, given a function that makes a stream over another one: what has nothing to do with
    /// the bytes has to reach the stream below. There, the checks lay a stream that notes what does.
    ///
    /// What such streams carry is not looked at any closer; [`check_streams`](Self::check_streams) does that. A layer
    /// with a protocol of its own answers some of this itself: it [runs](LayerCheck::run) those checks that concern it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{self, IoSlice};
    /// use std::net::Shutdown;
    ///
    /// use leads_comm::transport::Stream;
    /// use leads_comm_conformance::Suite;
    ///
    /// struct Layer(Box<dyn Stream>);
    ///
    /// impl Stream for Layer {
    ///     fn below(&self) -> Option<&dyn Stream> {
    ///         Some(&*self.0)
    ///     }
    ///
    ///     fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
    ///         self.0.read(buffer)
    ///     }
    ///
    ///     fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    ///         self.0.write_vectored(buffers)
    ///     }
    ///
    ///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
    ///         self.0.shutdown(how)
    ///     }
    ///
    ///     fn peer(&self) -> String {
    ///         self.0.peer()
    ///     }
    /// }
    ///
    /// // This one has no write that does not block.
    /// Suite::new().try_write(false).check_layer(|below| Box::new(Layer(below)));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics when one of them fails, with all that do.
    #[track_caller]
    pub fn check_layer(&self, over: impl Fn(Box<dyn Stream>) -> Box<dyn Stream> + Clone + Send + 'static) {
        let failures = LayerCheck::ALL.iter().filter_map(|check| check.run(self, over.clone()).err());
        report("layer", LayerCheck::ALL.len(), failures.collect());
    }

    /// Checks that [`Connector::stop`] ends a [`connect`](Connector::connect) which nobody answers, and every later
    /// one, given a connector and an address where nobody does.
    ///
    /// # Panics
    ///
    /// Panics when it does not.
    #[track_caller]
    pub fn check_connector(&self, make: impl Fn() -> (Box<dyn Connector>, String) + Clone + Send + 'static) {
        report("connector", 1, connector::check(self, make).err().into_iter().collect());
    }
}

/// Panics if there are failures.
#[track_caller]
fn report(what: &str, of: usize, failures: Vec<Failure>) {
    if failures.is_empty() {
        return;
    }
    let lines: Vec<String> = failures.iter().map(|failure| format!("\n  {failure}")).collect();
    panic!("{} of {of} checks of the {what} failed:{}", failures.len(), lines.concat());
}

/// Compiles and runs the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
