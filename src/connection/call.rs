//! A call: a request, and the wait for what the program says is its answer.

use std::time::Duration;

use super::Connection;
use crate::connection::outbox::{Outgoing, Patience};
use crate::error::Error;
use crate::sync::{later, now};

impl Connection {
    /// Sends a request to this peer, and blocks until a message comes that answers it, at most for `timeout`.
    ///
    /// What an answer is, the program says: `is_answer` is given the messages of this peer, and the first for which it
    /// is true is returned, in place of being given to [`on_receive`](crate::Callback::on_receive). Nothing else goes
    /// over the wire than the two messages. For requests that carry a number there is [`answer`](crate::answer).
    ///
    /// Any number of threads may call at the same time. A message is offered to the calls that wait in the order in
    /// which they were made, until one takes it; one that nobody takes goes to `on_receive` as ever, and so does an
    /// answer that comes after the time-out. What was on its way before the request was sent is offered as well, so
    /// what `is_answer` looks for should come from the request.
    ///
    /// `is_answer` runs on the connection's reader thread, outside of locks, and may do what a callback may; while it
    /// runs, as while a callback does, nothing else of this peer is delivered. If it panics, that is the error of this
    /// call, and the connection goes on. It is let go when the call is over, or when it returns.
    ///
    /// The time counts from the beginning, the sending included, by the clock of [`Instant`](std::time::Instant); but a
    /// sender that has to wait for room waits as long as [`SlowConsumer::Block`](crate::SlowConsumer::Block) says. When
    /// it is over nothing is taken back: the request may still be waiting in the queue, and be answered. A request that
    /// is dropped there, by [`SlowConsumer::DropOldest`](crate::SlowConsumer::DropOldest), is waited for in vain.
    ///
    /// May be called from any thread, but in no callback of this very connection, whose thread would have to deliver
    /// the answer. In a callback of another connection it holds that one up. A thread that receives from a
    /// [channel](crate::callback::channel) may call as well, but empties it no more meanwhile: when that is full, this
    /// connection's reader waits for room in it, and finds no answer before the time is over.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send): nothing was sent then. [`Error::WouldDeadlock`] in a callback of this connection,
    /// at once, and nothing was sent either. [`Error::TimedOut`] when the time was over first. [`Error::Disconnected`]
    /// also when the connection ends first, at once, whichever side ends it. [`Error::CallbackPanicked`] also when
    /// `is_answer` panics.
    ///
    /// # Examples
    ///
    /// A server asks each newcomer for a name, on a thread of its own:
    ///
    /// ```
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// use leads_comm::{Client, Server, Service, callback};
    ///
    /// let (names, named) = std::sync::mpsc::channel();
    /// let server = Server::builder().port(0).callback(callback::closures().on_connect(move |_, connection| {
    ///     let (names, connection) = (names.clone(), connection.clone());
    ///     thread::spawn(move || {
    ///         let is_answer = |message: &[u8]| message.starts_with(b"name:");
    ///         let _ = names.send(connection.call(b"name?", is_answer, Duration::from_secs(10)));
    ///     });
    /// }));
    /// let server = server.build()?;
    /// server.start(true)?;
    ///
    /// let car = callback::on_receive(|connection, message| {
    ///     if message == b"name?" {
    ///         connection.send(b"name:car 7").unwrap();
    ///     }
    /// });
    /// let client = Client::connect(&format!("127.0.0.1:{}", server.port()), car)?;
    /// assert_eq!(named.recv()??, b"name:car 7");
    /// # client.close();
    /// # server.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(
        &self,
        request: &[u8],
        is_answer: impl FnMut(&[u8]) -> bool + Send + 'static,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let deadline = later(now(), timeout);
        let link = self.link();
        let engine = link.engine();
        let body = engine.settings.body_of(request)?;
        let key = engine.key_of(request)?;
        let call = link.calls().begin(is_answer)?;
        match link.send(Outgoing::Message { message: &body, key: key.as_ref() }, &mut Patience::default()) {
            Ok(()) => call.wait(deadline).unwrap_or(Err(Error::TimedOut { timeout })),
            // A message that it has taken meanwhile, nobody else is given.
            Err(error) => call.give_up().and_then(Result::ok).ok_or(error),
        }
    }
}
