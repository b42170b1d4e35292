//! Serial ports on the command line: lists them, finds a device by what it says, and talks to it.
//!
//! `cargo run --release --example serial -- --demo` needs no device.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use leads_comm::{
    Attempt, Callback, Client, Connection, DEFAULT_SEPARATOR, DisconnectCause, DisconnectReason, Error, Reconnect,
    Service, SlowConsumer, Timeouts,
};
use leads_comm_serial::{Identity, Ports, SerialConnector, available_ports};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, fail, on_stop, run, say, usage};

#[cfg(unix)]
mod demo;

const HELP: &str = "\
Sends every line of stdin to a device at a serial port, and prints every message
that it sends as a line.

Usage: serial PORT [--tag T]... [options]
       serial auto --tag T... [options]
       serial --demo [options, but no --tag]
       serial --list

  PORT               the port's name, for instance /dev/ttyUSB0 or COM3
  auto               any port that has the device
      --tag T        the device's answer to the question starts with T; or with
                     another one, if there are several
      --question Q   what devices are asked (default ic)
      --settle S     how many seconds a device needs after its port is opened
                     (default 0; an Arduino 2)
      --baud N       the speed of the line (default 9600)
      --separator S  the bytes that end each message (default ;)
      --reconnect    connect again whenever the connection ends, and also if
                     there is no device yet
      --demo         play a device on a pseudo-terminal, and talk to that (on
                     Unix); at the end of stdin its answers are waited for
      --list         print the names of all ports, and nothing else
  -h, --help         print this

Stdout carries the messages and nothing else; stderr tells of connections.
Answers that come after the end of stdin are not printed, since nobody knows how
many there are: `(echo temperature; sleep 1) | serial ...` leaves a second for
them.

Exit code 0: all of stdin was sent; or Ctrl-C. 1: the device was not found, or
is gone, or a line could not be sent; stderr says which. 2: a wrong call.
RUST_LOG=debug shows what the library does.
";

/// How long a device that reads slowly is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long each answer of the device that is played may take.
const ANSWER: Duration = Duration::from_secs(5);

struct Options {
    target: Target,
    tags: Vec<Vec<u8>>,
    question: Option<Vec<u8>>,
    settle: Duration,
    baud_rate: u32,
    separator: Vec<u8>,
    reconnect: bool,
}

enum Target {
    Port(String),
    Demo,
    List,
}

/// What the main thread waits for.
enum News {
    /// How many lines of stdin were not sent.
    InputEnded(u64),
    /// Stdin cannot be read.
    Broken(Failure),
    Disconnected(DisconnectReason),
    Interrupted,
    /// The client has ended.
    Ended(Result<(), Error>),
}

/// Prints what arrives, and tells of connections.
struct Terminal {
    news: Sender<News>,
    /// Told of each message, where somebody counts them.
    answers: Option<Sender<()>>,
}

impl Callback for Terminal {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        complain(format_args!("serial: connected to {connection}"));
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        say(String::from_utf8_lossy(message));
        if let Some(answers) = &self.answers {
            let _ = answers.send(());
        }
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        let _ = self.news.send(News::Disconnected(reason.clone()));
    }

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        let (number, seconds) = (attempt.number, attempt.delay.as_secs_f64());
        complain(format_args!("serial: attempt {number} in {seconds:.1} s"));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        complain(format_args!("serial: {error:#}"));
    }
}

fn main() -> ExitCode {
    run("serial", HELP, parse_options, begin)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut target, mut tags, mut question, mut settle) = (None, Vec::new(), None, Duration::ZERO);
    let (mut baud_rate, mut separator, mut reconnect) = (9600, DEFAULT_SEPARATOR.to_vec(), false);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("tag") => tags.push(arguments.bytes()?),
            Long("question") => question = Some(arguments.bytes()?),
            Long("settle") => settle = Duration::from_secs_f64(arguments.number(0.0..=3600.0)?),
            Long("baud") => baud_rate = arguments.number(1..=u32::MAX)?,
            Long("separator") => separator = arguments.separator()?,
            Long("reconnect") => reconnect = true,
            Long("demo") if target.is_none() => target = Some(Target::Demo),
            Long("list") if target.is_none() => target = Some(Target::List),
            Short('h') | Long("help") => return Ok(None),
            Value(value) if target.is_none() => target = Some(Target::Port(value.string()?)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let target = target.ok_or_else(|| usage("PORT is missing"))?;
    if matches!(&target, Target::Port(port) if port == "auto") && tags.is_empty() {
        return Err(usage("auto needs a --tag"));
    }
    if matches!(&target, Target::Demo) && !tags.is_empty() {
        return Err(usage("--demo goes without --tag"));
    }
    Ok(Some(Options { target, tags, question, settle, baud_rate, separator, reconnect }))
}

fn begin(options: Options) -> Result<(), Failure> {
    match &options.target {
        Target::List => list(),
        Target::Port(port) => talk(port, &options.tags, Ports::shared(), &options),
        Target::Demo => demonstrate(&options),
    }
}

fn list() -> Result<(), Failure> {
    let ports = available_ports().map_err(|error| fail(format!("cannot list ports: {error}")))?;
    ports.iter().for_each(say);
    Ok(())
}

#[cfg(unix)]
fn demonstrate(options: &Options) -> Result<(), Failure> {
    let device = demo::Device::plug_in(&options.separator)?;
    complain(format_args!("serial: a device is at {}", device.port()));
    let ports = Ports::with_list({
        let port = device.port().to_owned();
        move || Ok(vec![port.clone()])
    });
    talk("auto", &[demo::TAG.to_vec()], ports, options)
}

#[cfg(not(unix))]
fn demonstrate(_: &Options) -> Result<(), Failure> {
    Err(usage("--demo is for Unix only"))
}

fn talk(port: &str, tags: &[Vec<u8>], ports: Ports, options: &Options) -> Result<(), Failure> {
    let mut connector = SerialConnector::new().baud_rate(options.baud_rate).ports(ports);
    if let Some((first, others)) = tags.split_first() {
        let identity = others.iter().fold(Identity::new(first), Identity::or).settle(options.settle);
        let identity = match &options.question {
            Some(question) => identity.question(question),
            None => identity,
        };
        let identity =
            identity.separator(&options.separator).map_err(|error| usage(format!("--separator: {error}")))?;
        connector = connector.identity(identity);
    }
    let (tell, news) = mpsc::channel();
    // The device that is played answers each line.
    let (answers, answered) = match options.target {
        Target::Demo => Some(mpsc::channel()).unzip(),
        Target::Port(_) | Target::List => (None, None),
    };
    let mut builder = Client::builder()
        .transport(connector)
        .separator(&options.separator)
        .slow_consumer(SlowConsumer::Block(PATIENCE))
        .timeouts(Timeouts::new().stall_timeout(PATIENCE))
        .callback(Terminal { news: tell.clone(), answers });
    if options.reconnect {
        builder = builder.reconnect(Reconnect::new().longest_delay(Duration::from_secs(3)).at_start(true));
    }
    let client = builder.build()?;
    let interrupted = tell.clone();
    on_stop(move || {
        let _ = interrupted.send(News::Interrupted);
    })?;
    // Not on this thread, which has to hear of Ctrl-C also while it looks for the device.
    let (starting, started, address) = (client.clone(), tell.clone(), port.to_owned());
    thread::spawn(move || match starting.start(&address, true) {
        Ok(()) => {
            let (reading, told) = (starting.clone(), started.clone());
            // A thread that nobody waits for, because it may be blocked in reading when the program ends.
            thread::spawn(move || drop(told.send(read_input(&reading, answered.as_ref()))));
            starting.wait();
            let _ = started.send(News::Ended(Ok(())));
        }
        Err(error) => drop(started.send(News::Ended(Err(error)))),
    });
    let (mut unsent, mut end) = (0, None);
    while let Ok(news) = news.recv() {
        match news {
            News::InputEnded(lines) => {
                unsent = lines;
                close_aside(&client);
            }
            News::Broken(failure) => {
                end = Some(failure);
                close_aside(&client);
            }
            News::Interrupted => {
                client.close();
                return Ok(());
            }
            News::Disconnected(reason) if matches!(reason.cause, DisconnectCause::ServiceClosed) => {
                unsent += reason.undelivered.unsent.messages;
            }
            News::Disconnected(reason) if options.reconnect => {
                complain(format_args!("serial: disconnected: {reason:#}"));
            }
            News::Disconnected(reason) => end = Some(fail(format!("disconnected: {reason:#}"))),
            News::Ended(result) => {
                result?;
                break;
            }
        }
    }
    match (end, unsent) {
        (Some(failure), _) => Err(failure),
        (None, 0) => Ok(()),
        (None, lines) => Err(fail(format!("lines that were not sent: {lines}"))),
    }
}

/// Begins the client's end; not here, because it lasts until everything is sent.
fn close_aside(client: &Client) {
    let client = client.clone();
    thread::spawn(move || client.close());
}

/// Sends what is read from stdin, as far as there is a device, and waits for as many answers if they are counted.
fn read_input(client: &Client, answers: Option<&Receiver<()>>) -> News {
    let (mut number, mut unsent) = (0, 0);
    for line in io::stdin().lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) => return News::Broken(fail(format!("cannot read stdin: {error}"))),
        };
        number += 1;
        if let Err(error) = client.send(line.as_bytes()) {
            complain(format_args!("serial: line {number} was not sent: {error:#}"));
            unsent += 1;
        }
    }
    if let Some(answers) = answers {
        // One that is missing is told by what is printed.
        let _ = (unsent..number).try_for_each(|_| answers.recv_timeout(ANSWER));
    }
    News::InputEnded(unsent)
}
