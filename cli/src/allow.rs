//! The commands that may go to a vehicle, as they are typed: none, unless they are named.

use clap::{Arg, ArgAction, ArgMatches};

/// How long one may be, in bytes.
const LONGEST: usize = 100;

/// The option, which says in its help for whom they are.
pub(crate) fn option() -> Arg {
    Arg::new("allow")
        .long("allow")
        .value_name("COMMANDS")
        .value_delimiter(',')
        .action(ArgAction::Append)
        .value_parser(a_command)
}

/// Those that were named.
pub(crate) fn allowed(matches: &ArgMatches) -> Vec<String> {
    matches.get_many("allow").unwrap_or_default().cloned().collect()
}

fn a_command(text: &str) -> Result<String, String> {
    match (1..=LONGEST).contains(&text.len()) {
        true => Ok(text.into()),
        false => Err(format!("a command has 1 to {LONGEST} bytes")),
    }
}
