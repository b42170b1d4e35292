//! The checks of listeners, and of the connectors that reach them.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::transport::{Connector, Listener, Stream};

use crate::bytes::{Pattern, read_expected, read_or_error, write_all};
use crate::failure::{Failure, Outcome, broken, ensure};
use crate::run::{self, Run, Task};
use crate::suite::Suite;

/// For how long a call is left to itself, so that it blocks before it is woken.
const A_MOMENT: Duration = Duration::from_millis(20);

/// How many callers there are at once.
const CALLERS: u64 = 4;

const NOT_STOPPED: &str = "accept says None although nobody has stopped it";

/// One thing that is asked of a listener. [`Suite::check_listener`] runs all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenerCheck {
    /// Its [name](Listener::name) has one line and stays the same, and so does its address; the connector can say where
    /// it connects to.
    Name,
    /// Each stream that a connector opens is accepted, and joined to that one; also when several arrive at once.
    Accept,
    /// [`accept_for`](Listener::accept_for) accepts, and says `WouldBlock` when nobody has come in time. Where it is
    /// not expected, it says `Unsupported`.
    AcceptFor,
    /// [`accept_to_refuse`](Listener::accept_to_refuse) does not block.
    AcceptToRefuse,
    /// [`stop`](Listener::stop) makes a blocked accept, and every later one, return `None`; also when it comes first,
    /// or more than once.
    Stop,
    /// A listener that is dropped is closed: nobody reaches it any more.
    DropCloses,
}

impl ListenerCheck {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Name, Self::Accept, Self::AcceptFor, Self::AcceptToRefuse, Self::Stop, Self::DropCloses];

    /// What it is called in a [`Failure`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Accept => "accept",
            Self::AcceptFor => "accept for",
            Self::AcceptToRefuse => "accept to refuse",
            Self::Stop => "stop",
            Self::DropCloses => "drop closes",
        }
    }

    /// Runs it by itself, on listeners as [`Suite::check_listener`] takes them. Blocks until it is done, at most for a
    /// moment longer than its [time](Suite::time).
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn run(
        self,
        suite: &Suite,
        make: impl Fn() -> (Box<dyn Listener>, Box<dyn Connector>, String) + Clone + Send + 'static,
    ) -> Result<(), Failure> {
        let accept_for = suite.accept_for;
        run::check(self.name(), suite.time, move |run| {
            let open = || {
                let make = make.clone();
                let (listener, connector, address) = run.call("making a listener", move |_| Ok(make()))?;
                Ok(Place { run, listener: Arc::from(listener), connector: Arc::from(connector), address })
            };
            match self {
                Self::Name => open()?.name(),
                Self::Accept => open()?.accept(),
                Self::AcceptFor => open()?.accept_for(accept_for),
                Self::AcceptToRefuse => open()?.accept_to_refuse(),
                Self::Stop => {
                    open()?.stop_wakes(None)?;
                    open()?.stop_comes_first(accept_for)?;
                    if accept_for { open()?.stop_wakes(Some(Duration::from_secs(3600))) } else { Ok(()) }
                }
                Self::DropCloses => open()?.drop_closes(),
            }
        })
    }
}

/// A listener, and how it is reached.
struct Place<'a> {
    run: &'a Run,
    listener: Arc<dyn Listener>,
    connector: Arc<dyn Connector>,
    address: String,
}

impl Place<'_> {
    fn name(&self) -> Outcome {
        let listener = Arc::clone(&self.listener);
        let (connector, address) = (Arc::clone(&self.connector), self.address.clone());
        self.run.call("the listener's name", move |_| {
            let (name, local) = (listener.name(), listener.local_addr());
            ensure(!name.is_empty(), "the listener has no name")?;
            ensure(!name.contains(['\n', '\r']), format_args!("the listener's name has several lines: {name:?}"))?;
            ensure(!connector.describe(&address).is_empty(), "the connector's description of the address is empty")?;
            listener.stop();
            ensure(listener.name() == name, "the listener's name changes")?;
            ensure(listener.local_addr() == local, "the listener's address changes")
        })
    }

    fn accept(&self) -> Outcome {
        for number in 0..2 {
            let (caller, accepted) = self.meet(number, None)?;
            self.talk(number, caller, accepted)?;
        }
        // They may be connected before they are accepted, or only then.
        let callers: Vec<_> = (0..CALLERS).map(|number| self.call(number)).collect::<Outcome<_>>()?;
        let mut answers = Vec::new();
        for _ in 0..CALLERS {
            let Some(accepted) = self.accepting(None)?.finish()? else { return broken(NOT_STOPPED) };
            answers.push(
                self.run.start("answering a caller", move |run| answer(run, accepted.as_ref()).map(|()| accepted))?,
            );
        }
        callers.into_iter().try_for_each(Task::finish)?;
        // Each stream has lived until its caller has read all.
        answers.into_iter().try_for_each(|answer| answer.finish().map(drop))
    }

    /// Connects on a thread of its own, and talks to whoever accepts.
    fn call(&self, number: u64) -> Outcome<Task<()>> {
        let (connector, address) = (Arc::clone(&self.connector), self.address.clone());
        self.run.start("connecting, and talking to whoever accepts", move |run| {
            let caller = connected(run, connector.as_ref(), &address)?;
            shake_hands(caller.as_ref())?;
            let stream = caller.as_ref();
            write_all(run, stream, &[u8::try_from(number).unwrap_or(u8::MAX)])?;
            read_expected(run, stream, &mut Pattern::new(number), 1000)
        })
    }

    fn accept_for(&self, expected: bool) -> Outcome {
        let nobody = |time: Duration| {
            let listener = Arc::clone(&self.listener);
            self.run.call(format!("accept_for {time:?}, while nobody calls"), move |_| {
                match listener.accept_for(time) {
                    Err(error) => Ok(Err(error.kind())),
                    Ok(stream) => Ok(Ok(stream.is_some())),
                }
            })
        };
        let right = if expected { ErrorKind::WouldBlock } else { ErrorKind::Unsupported };
        for time in [A_MOMENT, Duration::ZERO] {
            let result = nobody(time)?;
            ensure(
                result == Err(right),
                format_args!("accept_for says {result:?} while nobody calls, and is expected to say {right:?}"),
            )?;
        }
        if expected {
            let (caller, accepted) = self.meet(1, Some(Duration::from_secs(3600)))?;
            self.talk(1, caller, accepted)?;
        }
        let (caller, accepted) = self.meet(2, None)?;
        self.talk(2, caller, accepted)
    }

    fn accept_to_refuse(&self) -> Outcome {
        let listener = Arc::clone(&self.listener);
        let refused =
            self.run.call("accept_to_refuse, while nobody calls", move |_| Ok(listener.accept_to_refuse()))?;
        ensure(!matches!(refused, Ok(Some(_))), "accept_to_refuse gives a stream although nobody calls")?;
        let (caller, accepted) = self.meet(1, None)?;
        self.talk(1, caller, accepted)
    }

    /// Stops a blocked accept; with a time it is [`Listener::accept_for`].
    fn stop_wakes(&self, time: Option<Duration>) -> Outcome {
        let blocked = self.accepting(time)?;
        thread::sleep(A_MOMENT);
        self.stop()?;
        let stream = blocked.finish()?;
        ensure(stream.is_none(), "a blocked accept gives a stream when it is stopped")?;
        self.stop()?;
        self.is_stopped(time)
    }

    fn stop_comes_first(&self, accept_for: bool) -> Outcome {
        self.stop()?;
        self.is_stopped(None)?;
        if accept_for { self.is_stopped(Some(Duration::from_secs(3600))) } else { Ok(()) }
    }

    fn is_stopped(&self, time: Option<Duration>) -> Outcome {
        for _ in 0..2 {
            let stream = self.accepting(time)?.finish()?;
            ensure(stream.is_none(), "accept gives a stream although it has been stopped")?;
        }
        Ok(())
    }

    fn stop(&self) -> Outcome {
        let listener = Arc::clone(&self.listener);
        self.run.call("stop", move |_| {
            listener.stop();
            Ok(())
        })
    }

    fn drop_closes(self) -> Outcome {
        let Self { run, listener, connector, address } = self;
        run.call("dropping a listener", move |_| {
            drop(listener);
            Ok(())
        })?;
        run.call("connecting to a listener that has been dropped", move |run| {
            let Ok(stream) = connector.connect(&address) else { return Ok(()) };
            if stream.needs_handshake() && stream.handshake().is_err() {
                return Ok(());
            }
            match read_or_error(run, stream.as_ref(), &mut [0; 64])? {
                Ok(1..) => broken("a listener that has been dropped is reached, and speaks"),
                _ => Ok(()),
            }
        })
    }

    /// Accepts on a thread of its own.
    fn accepting(&self, time: Option<Duration>) -> Outcome<Task<Option<Box<dyn Stream>>>> {
        let listener = Arc::clone(&self.listener);
        let doing = if time.is_some() { "accept_for" } else { "accept" };
        self.run.start(doing, move |run| {
            loop {
                match time.map_or_else(|| listener.accept(), |time| listener.accept_for(time)) {
                    Err(error) if concerns_one_caller(&error) => run.in_time(doing)?,
                    Err(error) => return broken(format_args!("{doing} fails: {error} ({:?})", error.kind())),
                    Ok(stream) => return Ok(stream),
                }
            }
        })
    }

    /// Connects and accepts.
    fn meet(&self, number: u64, time: Option<Duration>) -> Outcome<(Arc<dyn Stream>, Arc<dyn Stream>)> {
        let accepting = self.accepting(time)?;
        if number == 1 {
            // So that accepting is blocked before somebody comes; the other time it may be the other way round.
            thread::sleep(A_MOMENT);
        }
        let (connector, address) = (Arc::clone(&self.connector), self.address.clone());
        let caller = self.run.call("connecting", move |run| connected(run, connector.as_ref(), &address))?;
        let Some(accepted) = accepting.finish()? else { return broken(NOT_STOPPED) };
        Ok((self.run.adopt(caller), self.run.adopt(accepted)))
    }

    /// Checks that two streams are each other's peer.
    fn talk(&self, number: u64, caller: Arc<dyn Stream>, accepted: Arc<dyn Stream>) -> Outcome {
        let answering = self.run.start("answering a caller", move |run| answer(run, accepted.as_ref()))?;
        self.run.call("talking to whoever accepted", move |run| {
            shake_hands(caller.as_ref())?;
            write_all(run, caller.as_ref(), &[u8::try_from(number).unwrap_or(u8::MAX)])?;
            read_expected(run, caller.as_ref(), &mut Pattern::new(number), 1000)
        })?;
        answering.finish()
    }
}

/// Reads the number of a caller, and writes the bytes that it expects.
fn answer(run: &Run, stream: &dyn Stream) -> Outcome {
    shake_hands(stream)?;
    let mut number = [0];
    match read_or_error(run, stream, &mut number)? {
        Ok(1) => write_all(run, stream, &Pattern::new(number[0].into()).next(1000)),
        Ok(_) => broken("an accepted stream ends although its caller has not ended it"),
        Err(error) => broken(format_args!("reading from a caller fails: {error}")),
    }
}

fn shake_hands(stream: &dyn Stream) -> Outcome {
    if !stream.needs_handshake() {
        return Ok(());
    }
    stream.handshake().or_else(|error| broken(format_args!("the handshake fails: {error}")))
}

fn connected(run: &Run, connector: &dyn Connector, address: &str) -> Outcome<Box<dyn Stream>> {
    run.in_time("connecting")?;
    connector.connect(address).or_else(|error| broken(format_args!("connect to {address:?} fails: {error}")))
}

/// The errors after which the library accepts again at once.
fn concerns_one_caller(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}
