//! `listen`: a client that prints what it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::{Arg, ArgAction, ArgMatches, Command};
use leads_comm::{Callback, Connection, DisconnectCause, DisconnectReason, Error, Service};
use parking_lot::Mutex;

use crate::console::{Failure, fail, on_stop, stop_when_unread};
use crate::endpoint::{self, Endpoint};
use crate::show::{self, End, Printer, Until};

const EXAMPLES: &str = "\
Examples:
  leads-comm listen 10.0.0.4 --leads        what a LEADS vehicle says
  leads-comm listen 10.0.0.4 --fields t,speed > run.csv
  leads-comm listen 10.0.0.4 -f json | jq .message.speed
  leads-comm listen 10.0.0.4 -c1 -W5s -q > /dev/null    is it there? (3: no)
  leads-comm listen 'serial:auto?tag=VeC'   what a controller at some port says";

/// What exit codes tell.
const EXIT_CODES: &str = "\
Exit code 0: as many messages as -c says, or as much silence as -W says, or as
long as --duration says, or Ctrl-C, or nobody reads stdout any more. 1: it
failed, or with --no-reconnect the connection was lost. 2: a wrong call.
3: silence, or the time was up, before -c was reached.";

pub(crate) fn command() -> Command {
    let command = Command::new("listen")
        .about("Print what a server or a device sends")
        .before_help(EXAMPLES)
        .after_help(EXIT_CODES)
        .arg(endpoint::address_argument().required(true))
        .arg(
            Arg::new("no-reconnect")
                .long("no-reconnect")
                .action(ArgAction::SetTrue)
                .help("End when the connection does"),
        );
    endpoint::with_options(show::with_options(Until::with_options(command)))
}

/// What happens with the connection, or with one after the other.
struct Listener {
    printer: Printer,
    until: Until,
    /// Why the last one has ended.
    reason: Mutex<Option<DisconnectReason>>,
}

impl Callback for Listener {
    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        self.until.count(|| self.printer.show(connection, message));
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        *self.reason.lock() = Some(reason.clone());
    }
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let endpoint = Endpoint::of(matches, None)?;
    let (mut builder, place) = endpoint.client()?;
    if !matches.get_flag("no-reconnect") {
        builder = builder.reconnect(endpoint::reconnect());
    }
    let (printer, until) = (Printer::of(matches, false)?, Until::of(matches));
    let listener = Arc::new(Listener { printer, until, reason: Mutex::default() });
    let status = endpoint.status();
    let builder = builder.closing(endpoint::closing());
    let client = builder.callback((endpoint.watch(), (status.clone(), Arc::clone(&listener)))).build()?;
    listener.printer.begin();
    let (stopping, has_stopped) = (client.clone(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&has_stopped);
    on_stop(move || {
        stop.store(true, Ordering::Relaxed);
        stopping.close();
    })?;
    stop_when_unread();
    // Not on this thread, which waits for silence also while there is no server.
    let (starting, ending) = (client.clone(), Arc::clone(&listener));
    let running = thread::spawn(move || {
        let outcome = starting.start(&place, false);
        ending.until.end();
        outcome
    });
    let end = listener.until.wait();
    client.close();
    match end {
        End::Enough => Ok(()),
        End::Silence | End::TimeUp => listener.until.judge(end, "messages"),
        End::Told => match running.join().expect("the library does not panic") {
            Ok(()) if has_stopped.load(Ordering::Relaxed) => Ok(()),
            Ok(()) => listener.outcome(&status.cause()),
            Err(Error::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        },
    }
}

impl Listener {
    /// What it is worth that the client has ended by itself, for this cause.
    fn outcome(&self, cause: &str) -> Result<(), Failure> {
        match (&*self.reason.lock(), self.until.missing()) {
            (Some(DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }), None) => Ok(()),
            (_, None) => Err(fail(cause)),
            (_, Some((come, count))) => Err(fail(format!("{come} of {count} messages came; {cause}"))),
        }
    }
}
