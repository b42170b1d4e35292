//! `listen`: a client that prints what it is sent.

use clap::{ArgMatches, Command};
use leads_comm::{Error, Reconnect, callback};

use crate::console::{Failure, on_stop, print, stop_when_unread, tell};
use crate::endpoint::{self, Endpoint};

const EXAMPLES: &str = "\
Examples:
  leads-comm listen 10.0.0.4 --leads          what a LEADS vehicle says
  leads-comm listen serial:auto?tag=VeC       what the controller at some serial port says";

pub(crate) fn command() -> Command {
    let command = Command::new("listen").about("Print what a server or a device sends").before_help(EXAMPLES);
    endpoint::with_options(command.arg(endpoint::address_argument().required(true)))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let endpoint = Endpoint::of(matches, None)?;
    let (builder, place) = endpoint.client()?;
    let callback = callback::on_receive(|_connection, message| print(&[message, b"\n"]))
        .on_connect(|_service, connection| tell(format_args!("connected to {connection}")))
        .on_disconnect(|_service, _connection, reason| tell(format_args!("disconnected: {reason:#}")));
    let client = builder.reconnect(Reconnect::new().at_start(true)).callback(callback).build()?;
    let stopping = client.clone();
    on_stop(move || stopping.close())?;
    stop_when_unread();
    match client.start(&place, false) {
        Ok(()) | Err(Error::Closed) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
