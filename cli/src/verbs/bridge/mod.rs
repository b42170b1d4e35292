//! `bridge`: publishes what a vehicle says at an MQTT broker, and brings it the commands that come from there.
//!
//! ```text
//!   vehicle ◀── --pull │ bridge │ --broker ──▶ leads/VEHICLE/STREAM/up, field, backlog, status
//!           ─ messages ▶
//!           ◀ allowed ─────────────────────── leads/VEHICLE/STREAM/down
//! ```

mod resumed;

use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use leads_comm_mqtt::{Bridge, BridgeBuilder, Commands, Error, Event};
use leads_comm_resume::Position;

use crate::address::Address;
use crate::allow;
use crate::console::{Failure, Sparing, chain, complain, fail, on_stop, read_token, tell, usage};
use crate::endpoint::{self, Endpoint, FROM, Side};
use crate::key_by::KeyBy;
use crate::offline::Offline;
use crate::recording::words::count;
use crate::units;
use resumed::{Keeper, Resumed, SettledFile};

const EXAMPLES: &str = "\
Examples:
  leads-comm bridge mqtt --pull 127.0.0.1 --broker 10.0.0.9 --vehicle car-7
  leads-comm bridge mqtt --pull 127.0.0.1 --broker tls://mqtt.example.org \\
          --broker-tls-ca ca.pem --user car-7 --password-file password \\
          --vehicle car-7 --key field=topic --offline spool=/var/spool/car \\
          --allow time_lap,hazard";

/// What the options do not tell.
const NOTES: &str = "\
Messages go to leads/VEHICLE/STREAM/up, with QoS 0, and byte for byte; with
--key to up/KEY, where the broker retains the last one of each key until the
bridge ends. What waited goes to leads/VEHICLE/STREAM/backlog, with QoS 1,
behind what is live; the state of the bridge to leads/VEHICLE/STREAM/status.
Commands come from leads/VEHICLE/STREAM/down, if --allow names them.

While there is no broker, messages are lost (drop), unless --offline says
otherwise: memory=8MiB and spool=DIR,max=1GiB keep the newest that have room, in
memory or in files.

A vehicle that keeps a history of what it says (leads-comm-resume) is asked with
--resume for all that has not arrived, also where the bridge was killed. It
takes --acknowledged and a spool, and some messages come twice then. FILE and
the folder of the spool belong together.

Exit code 0: it was ended by Ctrl-C. 1: it failed. 2: a wrong call.";

/// What the messages of a vehicle are called unless told otherwise.
const STREAM: &str = "telemetry";

/// What a packet has besides a message, at most: its topic, and the line in front of what waited.
const ROOM: usize = 128 << 10;

pub(crate) fn command() -> Command {
    let address = |name: &'static str| Arg::new(name).long(name).value_name("FROM").value_parser(str::parse::<Address>);
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let command = Command::new("bridge")
        .about("Publish what a vehicle says at an MQTT broker")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .override_usage("leads-comm bridge mqtt --pull <FROM> --broker <HOST> --vehicle <NAME>")
        .arg(Arg::new("engine").value_name("mqtt").required(true).value_parser(["mqtt"]).help("MQTT 3.1.1"))
        .args([
            address("pull").help("Connect to whom messages come from"),
            address("accept").help("Or listen for them here"),
        ])
        .group(ArgGroup::new("from").args(["pull", "accept"]).required(true))
        .next_help_heading("Broker")
        .args([
            text("broker", "HOST")
                .required(true)
                .value_parser(str::parse::<Address>)
                .help("HOST[:PORT], tls://HOST[:PORT] (port 1883, or 8883)"),
            text("vehicle", "NAME").required(true).value_parser(a_name).help("VEHICLE in the topics"),
            text("stream", "NAME").value_parser(a_name).help("STREAM in the topics (default telemetry)"),
            text("client-id", "ID").help("What it is called there (default leads-VEHICLE-STREAM)"),
            text("user", "NAME").requires("password-file").help("Who one is"),
            text("password-file", "FILE").value_parser(value_parser!(PathBuf)).requires("user").help("And the proof"),
            text("key", "WHAT")
                .value_parser(str::parse::<KeyBy>)
                .help("A topic for each: all, prefix=CHARACTER, field=NAME"),
            flag("split-fields").help("A topic more for each number in a JSON object"),
            flag("acknowledged").help("QoS 1 for what is live as well: none lost on the way"),
            text("offline", "WHAT")
                .value_parser(str::parse::<Offline>)
                .help("While there is no broker: drop (default), memory=, spool="),
            text("catch-up", "SIZE")
                .value_parser(units::len)
                .help("How much of what waited goes in a second (default 256k)"),
            text("max-in-flight", "N")
                .value_parser(value_parser!(u16))
                .help("How many messages the broker may have to acknowledge (default 1000)"),
            text("resume", "FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("accept")
                .requires("acknowledged")
                .help("Ask the vehicle for all behind the position in FILE"),
            allow::option().help("What may come back: time_lap,hazard (default none)"),
        ])
        .args(endpoint::broker_options());
    endpoint::with_options_of_source(command)
}

fn a_name(text: &str) -> Result<String, String> {
    match (1..=1024).contains(&text.len()) {
        true => Ok(text.into()),
        false => Err("a name has 1 to 1024 bytes".into()),
    }
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let address = |name: &str| matches.get_one::<Address>(name).cloned();
    let pulled = address("pull").map(|address| (address, false));
    let (from, from_serves) = pulled.or_else(|| Some((address("accept")?, true))).expect("clap asks for one");
    let from = Arc::new(Endpoint::at(matches, from, &FROM)?);
    let broker = address("broker").expect("clap asks for it");
    let vehicle = Arc::new(OnceLock::new());
    let (end, ended) = mpsc::sync_channel(1);
    let resumed = resumed(matches)?;
    let (bridge, host) = bridge(matches, &broker, &vehicle, end.clone())?;
    let (side, keeper) = match resumed {
        None => (Side::of_vehicle(&from, from_serves, bridge.clone())?, None),
        Some((file, last)) => {
            let resumed = Resumed::new(bridge.clone());
            let (side, subscriber) = Side::of_resumed(&from, last, Arc::clone(&resumed))?;
            (side, Some(resumed.keep(file, subscriber)))
        }
    };
    let is_first = vehicle.set(side.clone()).is_ok();
    debug_assert!(is_first);

    // Whatever comes first is taken.
    bridge.start(&host).map_err(failed)?;
    side.begin()?;
    let stopping = end.clone();
    on_stop(move || drop(stopping.try_send(Failure::Unread)))?;
    let running = side.go_on_beside(move |outcome| {
        let outcome = outcome.map_or_else(Failure::from, |()| fail("the connection has ended"));
        // Something else may have ended it.
        let _ = end.try_send(outcome);
    });
    let outcome = ended.recv().expect("one of them tells");

    // What has come is published.
    side.close();
    bridge.close();
    running.join().expect("the library does not panic");
    keeper.into_iter().for_each(Keeper::close);
    tell(summary(&bridge));
    match outcome {
        Failure::Unread => Ok(()),
        failure => Err(failure),
    }
}

/// How far the vehicle's history has been passed on, where it is asked for that.
fn resumed(matches: &ArgMatches) -> Result<Option<(SettledFile, Option<Position>)>, Failure> {
    let Some(file) = matches.get_one::<PathBuf>("resume") else { return Ok(None) };
    match matches.get_one("offline") {
        Some(Offline::Spool(..)) => SettledFile::open(file).map(Some),
        _ => Err(usage("--resume needs --offline spool=: what has been taken has to survive as well")),
    }
}

/// The bridge, and what its `start` is given.
fn bridge(
    matches: &ArgMatches,
    broker: &Address,
    vehicle: &Arc<OnceLock<Side>>,
    end: SyncSender<Failure>,
) -> Result<(Bridge, String), Failure> {
    let Address::Tcp { host, port, .. } = broker else {
        return Err(usage("a broker is at HOST[:PORT], or tls://HOST[:PORT]"));
    };
    if *port == Some(0) {
        return Err(usage("port 0 is for a server, which is given a free one"));
    }
    let text = |name: &str| matches.get_one::<String>(name);
    let is_resumed = matches.contains_id("resume");
    let name = text("vehicle").expect("clap asks for it");
    let stream = text("stream").map_or(STREAM, String::as_str);
    let mut builder = Bridge::builder(name, stream)
        .split_fields(matches.get_flag("split-fields"))
        .acknowledged(matches.get_flag("acknowledged"))
        .max_packet_len(endpoint::longest_message(matches).saturating_add(ROOM))
        .events(move |event| {
            match event {
                // What the disk does not take has to stay with the vehicle, which gives it again to the next process.
                Event::BacklogFailed { .. } if !is_resumed => said(event),
                // Something else may have ended it.
                Event::Failed { .. } | Event::BacklogFailed { .. } => drop(end.try_send(fail(event.to_string()))),
                event => said(event),
            }
        });
    if let Some(key) = matches.get_one::<KeyBy>("key") {
        builder = builder.key(key.function()).retain(true);
    }
    builder = match matches.get_one("offline").cloned().unwrap_or(Offline::Drop) {
        Offline::Drop => builder,
        Offline::Latest => {
            return Err(usage("--offline latest is for relay: a broker retains the last message of each --key"));
        }
        Offline::Memory(size) => builder.offline(leads_comm_mqtt::Offline::Memory(size)),
        Offline::Spool(folder, size) => builder.offline(leads_comm_mqtt::Offline::spool(folder, size)),
    };
    if let Some(rate) = matches.get_one::<u64>("catch-up") {
        builder = builder.catch_up(*rate);
    }
    if let Some(messages) = matches.get_one::<u16>("max-in-flight") {
        builder = builder.max_in_flight(usize::from(*messages));
    }
    if let Some(id) = text("client-id") {
        builder = builder.client_id(id);
    }
    if let (Some(user), Some(file)) = (text("user"), matches.get_one::<PathBuf>("password-file")) {
        builder = builder.credentials(user, read_token(file)?);
    }
    if let Some(port) = port {
        builder = builder.port(*port);
    }
    if let Some(config) = endpoint::tls_of_broker(matches, broker)? {
        builder = builder.tls(config);
    }
    let builder = with_commands(builder, allow::allowed(matches), Arc::clone(vehicle));
    let bridge = builder.build().map_err(failed)?;
    Ok((bridge, host.clone().unwrap_or_else(|| "localhost".into())))
}

fn with_commands(builder: BridgeBuilder, allowed: Vec<String>, vehicle: Arc<OnceLock<Side>>) -> BridgeBuilder {
    if allowed.is_empty() {
        return builder;
    }
    let said = Sparing::default();
    let commands = Commands::new(move |command| {
        let Some(vehicle) = vehicle.get() else { return };
        match vehicle.queue(command) {
            Ok(1..) => {}
            Ok(0) | Err(leads_comm::Error::NotConnected | leads_comm::Error::Disconnected) => {
                said.complain("a command was not passed on: the vehicle is not there");
            }
            Err(error) => said.complain(&format!("a command was not passed on: {error:#}")),
        }
    });
    builder.commands(commands.allow(allowed))
}

/// Says what has happened.
fn said(event: &Event) {
    match event {
        Event::BacklogFailed { .. } => complain(format_args!("leads-comm: {event}")),
        Event::CommandsRefused { .. } => tell(format_args!("broker: {event}: --allow names those that may come")),
        event => tell(format_args!("broker: {event}")),
    }
}

fn failed(error: Error) -> Failure {
    match &error {
        Error::InvalidSetting { setting, requirement } => match *setting {
            "max_packet_len" => usage("--max-message-len, and 128 KiB, must be at most 256 MiB"),
            "credentials" => usage(format!("--user and the password {requirement}")),
            setting => usage(format!("--{} {requirement}", setting.replace('_', "-"))),
        },
        Error::Backlog(error) => usage(format!("--offline: {}", chain(error))),
        error => fail(chain(error)),
    }
}

/// What it has come to.
fn summary(bridge: &Bridge) -> String {
    let stats = bridge.stats();
    let mut parts = vec![format!("{} published", count(stats.published, "message"))];
    for (number, fate) in [
        (stats.replayed, "that had waited"),
        (stats.waiting + stats.queued, "waiting"),
        (stats.dropped, "dropped"),
        (stats.lost, "lost"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {fate}"));
        }
    }
    if stats.commands_passed + stats.commands_refused > 0 {
        parts.push(format!("{} passed on", count(stats.commands_passed, "command")));
    }
    if stats.commands_refused > 0 {
        parts.push(format!("{} not allowed", stats.commands_refused));
    }
    parts.join(", ")
}
