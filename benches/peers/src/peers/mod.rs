//! The peers, and what each has to bring.

use std::any::Any;
use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use crate::tally::{Latch, Tally, Trips};
use crate::task::{Cores, Job, Messages, Task};

mod leads;
mod leads_comm;
mod message_io;
mod naive;
mod raw;
mod tokio;
#[cfg(feature = "zmq")]
mod zmq;

pub(crate) use leads_comm::ROOM;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What is done with messages that arrive.
#[derive(Clone)]
pub(crate) enum Receive {
    Nothing,
    Count(Arc<Tally>),
    /// They are sent back.
    Echo,
    /// They are what was sent, come back.
    Trips(Arc<Trips>),
}

/// One way to send messages between processes.
pub(crate) trait Peer {
    /// Listens on a free port of the loopback interface; `hall` counts the connections that are accepted.
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure>;

    fn connect(&self, task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure>;

    /// A connection that neither sends nor reads, for as long as what is returned is kept.
    fn idle(&self, _task: &Task, port: u16) -> Result<Box<dyn Any>, Failure> {
        Ok(Box::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?))
    }
}

pub(crate) trait Server {
    fn port(&self) -> u16;

    /// Sends all of the messages to every connection; returns when the peer has taken them over.
    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure>;
}

pub(crate) trait Client: Send + Sync {
    /// Sends all of the messages; returns when the peer has taken them over.
    fn send(&self, messages: &mut Messages) -> Result<(), Failure>;

    /// Sends a message, waits until it comes back, and again until the trips are made.
    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure>;

    /// Ends the connection once everything is sent.
    fn close(self: Box<Self>) {}
}

/// All that can be measured here, ours first.
pub(crate) const NAMES: &[&str] = &[
    "leads-comm",
    "leads-comm-batch",
    "raw",
    "naive",
    "tokio",
    "tokio-tuned",
    "message-io",
    "message-io-framed",
    #[cfg(feature = "zmq")]
    "zmq",
    "leads",
];

/// Measured beside the others, and no peer of ours: another way to use it.
pub(crate) const VARIANTS: [&str; 1] = ["leads-comm-batch"];

/// The peer of that name, if it is one that this program can play.
pub(crate) fn find(name: &str) -> Option<&'static dyn Peer> {
    Some(match name {
        "leads-comm" => &leads_comm::LeadsComm { batch: false },
        "leads-comm-batch" => &leads_comm::LeadsComm { batch: true },
        "raw" => &raw::Raw,
        "naive" => &naive::Naive,
        "tokio" => tokio::SHIPPED,
        "tokio-tuned" => tokio::TUNED,
        "message-io" => &message_io::MessageIo::Tcp,
        "message-io-framed" => &message_io::MessageIo::Framed,
        #[cfg(feature = "zmq")]
        "zmq" => &zmq::Zmq,
        _ => return None,
    })
}

/// The command for one process of a run: as the server, or as the client of the server's port.
pub(crate) fn command(task: &Task, port: Option<u16>) -> io::Result<Command> {
    let command = unbound(task, port)?;
    let core = match task.cores {
        Cores::Any => return Ok(command),
        Cores::Apart if port.is_some() => "1",
        Cores::Apart | Cores::One => "0",
    };
    let mut bound = Command::new("taskset");
    bound.args(["-c", core]).arg(command.get_program()).args(command.get_args());
    bound.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(bound)
}

/// The same, to run on any core.
fn unbound(task: &Task, port: Option<u16>) -> io::Result<Command> {
    let mut command = if task.peer == leads::NAME {
        leads::command()?
    } else {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--part");
        command
    };
    command.arg(serde_json::to_string(task)?);
    command.args(port.map(|port| port.to_string()));
    Ok(command)
}

/// Why a peer does not take part at all.
pub(crate) fn unavailable(name: &str) -> Option<String> {
    if name == leads::NAME { leads::unavailable() } else { None }
}

/// Why a peer has no part in a scenario.
pub(crate) fn unable(name: &str, task: &Task) -> Option<&'static str> {
    match (name, task.job) {
        ("leads-comm-batch", Job::Send) => None,
        ("leads-comm-batch", _) => Some("there is no batch to send"),
        ("message-io-framed" | "zmq", _) if task.crowd => Some("a plain socket does not know its framing"),
        ("zmq", Job::Duplex) => Some("a socket of libzmq belongs to one thread, which cannot send and receive at once"),
        ("leads", Job::Trip) if task.connections > 1 => {
            Some("a callback of LEADS is not told who has sent a message, so that its server cannot answer one of many")
        }
        ("leads", _) if task.threads > 1 => Some("two threads that send at the same time mix their bytes"),
        _ => None,
    }
}

/// The version of what a peer is made of.
pub(crate) fn version(name: &str) -> String {
    match name {
        "raw" | "naive" => "standard library".to_owned(),
        "leads-comm-batch" => locked_version("leads-comm").to_owned(),
        "tokio" | "tokio-tuned" => format!("{}, tokio-util {}", locked_version("tokio"), locked_version("tokio-util")),
        "message-io" | "message-io-framed" => locked_version("message-io").to_owned(),
        #[cfg(feature = "zmq")]
        "zmq" => zmq::version(),
        leads::NAME => leads::version(),
        _ => locked_version(name).to_owned(),
    }
}

/// The version of a crate that this program was built with.
fn locked_version(name: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let mut lines = LOCK.lines().skip_while(|line| line.strip_prefix("name = ") != Some(&format!("{name:?}")));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or_default().trim_matches('"')
}
