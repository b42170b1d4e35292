//! Those who look beside the page: Foxglove and Lichtblick, PlotJuggler, and the page of LEADS's remote analyst. What
//! is to be typed for them, and how each is begun.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches};
use leads_comm::Server;

use super::analyst::{self, Analyst};
use super::desk::Desk;
use super::foxglove::{self, Foxglove, SUBPROTOCOLS};
use super::protocol::Subject;
use super::udp::{Udp, UdpCounts};
use super::{Commands, Sink};
use crate::console::{Failure, fail, tell, usage};
use crate::recording::words::count;
use crate::web::{self, Door, Web, WebServer};

/// All of them.
pub(crate) struct Guests {
    foxglove: Foxglove,
    udp: Option<Arc<UdpCounts>>,
    analyst: Option<WebServer>,
}

/// What feeds them.
pub(crate) type Sinks = Vec<Box<dyn Sink>>;

/// Who was not sent messages, and how many, by cause.
pub(super) type LeftOut = (&'static str, Vec<(&'static str, u64)>);

pub(crate) fn options() -> [Arg; 3] {
    [
        Arg::new("udp")
            .long("udp")
            .value_name("HOST:PORT")
            .help("Send each JSON message there by UDP: PlotJuggler is at :9870"),
        Arg::new("leads-rc")
            .long("leads-rc")
            .value_name("PORT")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("8000")
            .value_parser(clap::value_parser!(u16))
            .help("Answer LEADS's online dashboard, at port 8000 of this machine"),
        Arg::new("origin")
            .long("origin")
            .value_name("ORIGIN")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .value_parser(origin)
            .help("Let in Foxglove, or the dashboard, from there too: https://HOST"),
    ]
}

/// Where a page comes from, as browsers say it.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ']) => Ok(text.to_ascii_lowercase()),
        _ => Err("an origin is https://HOST or http://HOST:PORT, and nothing behind that".into()),
    }
}

impl Guests {
    /// Begins them; what feeds them; and the door through which Foxglove comes.
    pub(crate) fn begin(
        matches: &ArgMatches,
        subject: &Subject,
        desk: &Arc<Desk>,
    ) -> Result<(Self, Sinks, Door), Failure> {
        let origins: Vec<&String> = matches.get_many("origin").unwrap_or_default().collect();
        let commands = (!subject.commands.is_empty()).then(|| commands(desk));

        let (door, listener) = web::door(&SUBPROTOCOLS);
        let known = foxglove::ORIGINS.iter().copied().chain(origins.iter().map(|origin| origin.as_str()));
        let door = known.fold(door, Door::lets_in_origin);
        let foxglove = Foxglove::start(
            listener,
            foxglove::Settings {
                name: format!("leads-comm view {}", subject.source),
                is_recording: !subject.is_live,
                commands: commands.clone(),
            },
        )?;
        let mut sinks: Sinks = vec![Box::new(foxglove.sink())];
        let mut counts = None;
        if let Some(target) = matches.get_one::<String>("udp") {
            let udp = Udp::new(target).map_err(|error| usage(format!("cannot send to --udp {target}: {error}")))?;
            counts = Some(udp.counts());
            sinks.push(Box::new(udp));
        }
        let analyst = match matches.get_one::<u16>("leads-rc") {
            None => None,
            Some(port) => {
                let known = std::iter::once(analyst::ORIGIN).chain(origins.iter().map(|origin| origin.as_str()));
                let analyst = Analyst::new(known, commands);
                sinks.push(Box::new(analyst.sink()));
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                let server = Web::new(address).site(analyst).start();
                let server =
                    server.map_err(|error| fail(format!("cannot listen at {address} for --leads-rc: {error}")))?;
                tell(format_args!("LEADS's dashboard is answered at {}", server.url()));
                Some(server)
            }
        };
        Ok((Self { foxglove, udp: counts, analyst }, sinks, door))
    }

    /// The server of those who have come from Foxglove.
    pub(crate) fn server(&self) -> &Server {
        self.foxglove.server()
    }

    /// How many messages each of them was not sent, by cause. Those that are there now have been from the beginning.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let udp = self.udp.iter().map(|counts| ("udp", counts.left_out().to_vec()));
        udp.chain([("foxglove", vec![("too_long", self.foxglove.left_out())])]).collect()
    }

    /// Ends them, and tells of what was left out.
    pub(crate) fn close(&self) {
        if let Some(analyst) = &self.analyst {
            analyst.close();
        }
        self.foxglove.server().close();
        if let Some(counts) = &self.udp {
            tell(counts);
        }
        let left_out = self.foxglove.left_out();
        if left_out > 0 {
            tell(format_args!("not shown to Foxglove, because they were too long: {}", count(left_out, "message")));
        }
    }
}

fn commands(desk: &Arc<Desk>) -> Commands {
    let desk = Arc::clone(desk);
    Arc::new(move |name| desk.command(name).map_err(|refused| format!("{name} was not sent: {}", refused.text())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_as_browsers_write_it() {
        assert_eq!(origin("https://App.Example").as_deref(), Ok("https://app.example"));
        assert_eq!(origin("http://localhost:8080").as_deref(), Ok("http://localhost:8080"));
        for text in
            ["", "app.example", "https://", "https://app.example/", "https://a.example/b", "file://", "null", "*"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
