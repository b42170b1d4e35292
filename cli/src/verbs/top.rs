//! `top`: who is connected to a service, how fast, and who is slow.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::console::{Failure, usage};
use crate::endpoint::{self, Endpoint};
use crate::top::column::{Column, NAMES};
use crate::top::{self, Options};

const EXAMPLES: &str = "\
Examples:
  leads-comm top                      of a service on this machine, port 16900
  leads-comm top 10.0.0.4:16909       of another machine's, if it lets you
  leads-comm top --sort out --once    a table, and no more
  leads-comm top --json | jq .service.connections";

/// What the options do not tell.
const NOTES: &str = "\
ADDRESS is that of the service's monitor: 127.0.0.1:16909 unless told otherwise,
since a monitor's port is 9 above that of its service. serve --monitor has one,
and a program of yours: leads_comm::Monitor.

A peer is stopped when it has taken nothing of what there is for it for 2 s,
slow when it takes less than it is sent, and live otherwise.

Keys: o sorts by the next column, r the other way round, space pauses, the
arrows and page keys scroll, q or Ctrl-C ends it.

Where stdout is no terminal, a table is printed each second. Exit code 0: Ctrl-C
or q, or --once is done, or nobody reads stdout any more. 1: it failed. 2: a
wrong call.";

pub(crate) fn command() -> Command {
    let command = Command::new("top")
        .about("Show who is connected to a service, how fast, and who is slow")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .arg(endpoint::address_argument().help("The monitor: HOST[:PORT], tls://HOST, unix:PATH"))
        .args([
            Arg::new("sort")
                .long("sort")
                .value_name("COLUMN")
                .value_parser(PossibleValuesParser::new(NAMES))
                .hide_possible_values(true)
                .help("By which column: state (default), queued, out, ..."),
            Arg::new("reverse").long("reverse").action(ArgAction::SetTrue).help("The other way round"),
            Arg::new("once").long("once").action(ArgAction::SetTrue).help("Print one table, and end: after 2 s"),
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["sort", "reverse"])
                .help("Print what the monitor says, a line each second"),
        ]);
    endpoint::with_monitor_options(command)
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let sort = matches.get_one::<String>("sort").map_or("state", String::as_str);
    let options = Options {
        sort: Column::named(sort).ok_or_else(|| usage(format!("{sort} is no column")))?,
        reversed: matches.get_flag("reverse"),
        once: matches.get_flag("once"),
        json: matches.get_flag("json"),
        no_color: matches.get_flag("no-color"),
    };
    top::run(&Endpoint::of_monitor(matches)?, &options)
}
