//! The options that say who one is, and whom one believes: once, or once for each side of a verb that has two.

use std::env;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use crate::console::{Failure, read_token, usage};

/// What these options are called.
#[derive(Debug)]
pub(crate) struct Names {
    pub(super) token_file: &'static str,
    pub(super) tls_ca: &'static str,
    pub(super) tls_cert: &'static str,
    pub(super) tls_key: &'static str,
    pub(super) tls_name: &'static str,
    /// What carries the token where no file is named.
    pub(super) token_variable: &'static str,
    /// Under what they are in the help.
    heading: &'static str,
    /// What lines about that side begin with.
    pub(super) label: &'static str,
}

macro_rules! names {
    ($option:literal, $variable:literal, $heading:literal, $label:literal) => {
        Names {
            token_file: concat!($option, "token-file"),
            tls_ca: concat!($option, "tls-ca"),
            tls_cert: concat!($option, "tls-cert"),
            tls_key: concat!($option, "tls-key"),
            tls_name: concat!($option, "tls-name"),
            token_variable: concat!("LEADS_COMM_", $variable, "TOKEN"),
            heading: $heading,
            label: $label,
        }
    };
}

/// Those of a verb with one other side.
pub(crate) static ONLY: Names = names!("", "", "Connection", "");

/// Those of the side that messages come from.
pub(crate) static FROM: Names = names!("from-", "FROM_", "Where they come from", "from: ");

/// Those of the side that they go to.
pub(crate) static TO: Names = names!("to-", "TO_", "Where they go to", "to: ");

/// Those of an MQTT broker, which has no tokens.
pub(super) static BROKER: Names = names!("broker-", "BROKER_", "Broker", "broker: ");

/// The options.
pub(super) fn options(names: &'static Names) -> [Arg; 5] {
    let token = file(names.token_file).help("The token that lets one in").help_heading(names.heading);
    let [authorities, certificate, key, name] = tls_options(names);
    [token, authorities, certificate, key, name]
}

fn file(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf))
}

/// Those of TLS.
pub(super) fn tls_options(names: &'static Names) -> [Arg; 4] {
    [
        file(names.tls_ca).help("Authorities that are believed, in PEM"),
        file(names.tls_cert).requires(names.tls_key).help("One's own certificate, in PEM"),
        file(names.tls_key).requires(names.tls_cert).help("Its private key, in PEM"),
        Arg::new(names.tls_name)
            .long(names.tls_name)
            .value_name("NAME")
            .help("The name in its certificate (default HOST)"),
    ]
    .map(|option| option.help_heading(names.heading))
}

/// The token in the file, else the one in the environment. One that is empty is a mistake: a server without a token
/// lets everybody in.
pub(super) fn token(matches: &ArgMatches, names: &Names) -> Result<Option<Vec<u8>>, Failure> {
    let (token, place) = match matches.get_one::<PathBuf>(names.token_file) {
        Some(file) => (read_token(file)?, file.display().to_string()),
        None => match env::var_os(names.token_variable) {
            Some(token) => (token.into_encoded_bytes(), names.token_variable.into()),
            None => return Ok(None),
        },
    };
    match token.is_empty() {
        true => Err(usage(format!("the token in {place} is empty"))),
        false => Ok(Some(token)),
    }
}
