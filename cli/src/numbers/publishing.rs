//! The option by which a verb publishes the numbers of its service, and the monitor that it makes.

use std::net::SocketAddr;

use clap::{Arg, ArgMatches};
use leads_comm::{Error, Monitor, MonitorBuilder, Service};

use crate::address::Address;
use crate::console::{Failure, fail, tell, usage};

/// What may be behind it.
const NEEDED: &str = "--monitor needs an IP address, a port, or unix:PATH";

/// What may be typed, and for whom it is.
pub(crate) fn option() -> Arg {
    Arg::new("monitor")
        .long("monitor")
        .value_name("ADDRESS")
        .num_args(0..=1)
        .require_equals(true)
        .value_parser(str::parse::<Address>)
        .default_missing_value("127.0.0.1")
        .help("Publish numbers for leads-comm top (port + 9)")
}

/// Publishes the numbers of a service that is about to start, where that was asked for.
pub(crate) fn publish(
    matches: &ArgMatches,
    service: &(impl Service + ?Sized),
    token: Option<&[u8]>,
) -> Result<(), Failure> {
    let Some(address) = matches.get_one::<Address>("monitor") else { return Ok(()) };
    let mut builder = at(Monitor::builder(service), address)?;
    if let Some(token) = token {
        builder = builder.token(token);
    }
    let monitor = builder.start().map_err(|error| match error {
        Error::Bind { .. } => fail(format!("the numbers cannot be published: {error:#}")),
        Error::InvalidSetting { setting: "bind", .. } => usage(NEEDED),
        Error::InvalidSetting { setting: "port", .. } => {
            usage("--monitor needs a port, because the service's + 9 is none")
        }
        error => error.into(),
    })?;
    match monitor.local_addr() {
        Some(address) => tell(format_args!("numbers on {address}")),
        None => tell(format_args!("numbers on {address}")),
    }
    if token.is_none() && monitor.local_addr().is_some_and(is_for_others) {
        tell("everybody who reaches this port sees who is connected: --token-file would ask who it is");
    }
    Ok(())
}

/// Whether it can be reached from other machines.
fn is_for_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn at(builder: MonitorBuilder, address: &Address) -> Result<MonitorBuilder, Failure> {
    match address {
        Address::Tcp { tls: true, .. } | Address::Serial(_) => Err(usage(NEEDED)),
        Address::Tcp { host, port, .. } => {
            let host = host.as_deref().map_or("::", |host| if host == "localhost" { "127.0.0.1" } else { host });
            let builder = builder.bind(host);
            Ok(match port {
                Some(port) => builder.port(*port),
                None => builder,
            })
        }
        Address::Unix(path) => unix(builder, path),
    }
}

#[cfg(unix)]
fn unix(builder: MonitorBuilder, path: &str) -> Result<MonitorBuilder, Failure> {
    Ok(builder.unix(path))
}

#[cfg(not(unix))]
fn unix(_: MonitorBuilder, _: &str) -> Result<MonitorBuilder, Failure> {
    Err(usage(crate::address::NO_UNIX_SOCKETS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_no_matter_for_others() {
        for (address, expected) in [
            ("127.0.0.1:1", false),
            ("127.8.8.8:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.4:1", true),
        ] {
            assert_eq!(is_for_others(address.parse().unwrap()), expected, "{address}");
        }
    }
}
