//! `relay`: passes messages on from one side to the other, so that a vehicle's uplink carries each of them once.
//!
//! ```text
//!   vehicle ◀── --pull │ passing │ --push ──▶ --accept │ passing │ --serve ◀── viewers
//!           ─────────────── messages ───────────────────────────────▶
//!           ◀────────────── commands that are allowed ───────────────
//! ```

mod passing;
mod rings;
mod uplink;

use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use leads_comm::{Client, Delivery, Server, SlowConsumer, Snapshot};
use leads_comm_resume::Spool;

use crate::address::Address;
use crate::allow;
use crate::console::{Failure, chain, fail, on_stop, tell, usage};
use crate::endpoint::{self, Endpoint, FROM, Side, TO, Telling};
use crate::key_by::KeyBy;
use crate::numbers::publishing;
use crate::offline::Offline;
use passing::{Hearing, Passing, Which};
use uplink::Uplink;

const EXAMPLES: &str = "\
Examples:
  leads-comm relay --pull 127.0.0.1 --push tls://vm:16910 \\
          --to-tls-ca ca.pem --to-token-file token
                                     on the vehicle: one copy goes up
  leads-comm relay --accept tls://:16910 --from-token-file token \\
          --from-tls-cert vm.pem --from-tls-key vm.key --serve :16900
                                     where there is room: for all viewers
  leads-comm relay --pull 10.0.0.4 --serve :16900 --key all
                                     for viewers here; each LEADS frame is the
                                     whole state, newcomers get the last";

/// What the options do not tell.
const NOTES: &str = "\
A message is passed on as it is. What the other side says is not passed back,
but for the commands that --allow names, word for word.

With --key a message replaces the one before of the same key: each does (all),
or those that begin alike (prefix=: up to the :), or have the same in a field of
a JSON object (field=topic). Newcomers get the last of each key, and who is
behind skips to it.

A client connects again when it has to. What comes meanwhile is lost (drop),
unless --offline says otherwise: latest keeps the newest message of each --key,
memory=8MiB and spool=DIR,max=1GiB keep the newest that have room, in memory or
in files. What waited is sent first, in order.

Exit code 0: it was ended by Ctrl-C. 1: it failed, or messages that were passed
on come back. 2: a wrong call.";

/// How much a system may hold of what a client sends, in bytes: what it holds is lost with a connection, and nobody
/// knows.
const UNSENT: usize = 16 << 10;

/// How much more than the longest message may be queued for a connection where an uplink has what waits, in bytes.
const QUEUE: usize = 256 << 10;

/// What becomes of a viewer that is behind.
const SLOW: [&str; 2] = ["drop", "disconnect"];

pub(crate) fn command() -> Command {
    let address = |name: &'static str, place: &'static str| {
        Arg::new(name).long(name).value_name(place).value_parser(str::parse::<Address>)
    };
    let command = Command::new("relay")
        .about("Pass messages on to where there is room for viewers")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .override_usage("leads-comm relay [OPTIONS] <--pull|--accept> <FROM> <--push|--serve> <TO>")
        .args([
            address("pull", "FROM").help("Connect to whom messages come from"),
            address("accept", "FROM").help("Or listen for them here"),
            address("push", "TO").help("Connect to where they go"),
            address("serve", "TO").help("Or listen here for viewers"),
        ])
        .group(ArgGroup::new("from").args(["pull", "accept"]).required(true))
        .group(ArgGroup::new("to").args(["push", "serve"]).required(true))
        .next_help_heading("Passing on")
        .args([
            allow::option().help("What may be passed back: time_lap,hazard (default none)"),
            Arg::new("offline")
                .long("offline")
                .value_name("WHAT")
                .value_parser(str::parse::<Offline>)
                .help("While --push has no connection: drop, latest, memory=, spool="),
            Arg::new("key")
                .long("key")
                .value_name("WHAT")
                .value_parser(str::parse::<KeyBy>)
                .help("What replaces what: all, prefix=CHARACTER or field=NAME"),
            Arg::new("slow")
                .long("slow")
                .value_name("WHAT")
                .value_parser(SLOW)
                .hide_possible_values(true)
                .help("Who is behind: drop (default) the oldest, or disconnect"),
            Arg::new("max-connections")
                .long("max-connections")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..=1_000_000))
                .help("How many viewers there may be (default 1024)"),
            publishing::option().help("Publish numbers of where they go to, for leads-comm top"),
        ]);
    endpoint::with_options_of_two(command)
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let side = |client: &str, server: &str| {
        let address = |name: &str| matches.get_one::<Address>(name).cloned();
        address(client).map(|address| (address, false)).or_else(|| address(server).map(|address| (address, true)))
    };
    let (from, from_serves) = side("pull", "accept").expect("clap asks for one");
    let (to, to_serves) = side("push", "serve").expect("clap asks for one");
    if from == to && !(from_serves && to_serves) {
        return Err(usage(format!("messages of {from} cannot be passed on to {to}")));
    }
    for (option, serves) in [("offline", false), ("slow", true), ("max-connections", true)] {
        if matches.contains_id(option) && serves != to_serves {
            return Err(usage(format!("--{option} is for {}", if serves { "--serve" } else { "--push" })));
        }
    }
    let (from, to) = (Endpoint::at(matches, from, &FROM)?, Endpoint::at(matches, to, &TO)?);
    let offline = matches.get_one("offline").cloned().unwrap_or(Offline::Drop);
    let key = matches.get_one::<KeyBy>("key");
    let uplink = match &offline {
        Offline::Memory(size) => Some(Spool::in_memory(*size)),
        Offline::Spool(folder, size) => Some(Spool::open(folder, *size)),
        Offline::Drop | Offline::Latest => None,
    };
    let uplink = uplink.transpose().map_err(|error| usage(format!("--offline: {}", chain(&error))))?;
    let outlives = matches!(offline, Offline::Spool(..));
    let uplink = uplink.map(|spool| Uplink::new(spool, to.room(), outlives, to.token().is_some()));
    let gone = if offline == Offline::Latest { "replaced or lost" } else { "lost" };
    let (end, ended) = mpsc::sync_channel(1);
    let allowed = allow::allowed(matches);
    let passing = Arc::new(Passing::new(uplink.clone(), gone, allowed, end.clone()));

    let hearing = |which| Hearing { which, passing: Arc::clone(&passing) };
    let (from, to) = (Arc::new(from), Arc::new(to));
    let from_side = Side::of_vehicle(&from, from_serves, hearing(Which::From))?;
    let to_side = match to_serves {
        true => serving(matches, &to, key, hearing(Which::To))?,
        false => pushing(&to, &offline, key, uplink.is_some(), hearing(Which::To))?,
    };
    passing.connect(from_side.clone(), to_side.clone());
    publishing::publish(matches, to_side.service(), to.token())?;

    let thread = uplink.as_ref().map(Uplink::start).transpose()?;
    // Before the first message comes.
    to_side.begin()?;
    from_side.begin()?;
    let (stopping, stopped) = (end.clone(), end.clone());
    on_stop(move || drop(stopping.try_send(Failure::Unread)))?;
    let running = [go_on(&to_side, stopped.clone()), go_on(&from_side, stopped)];
    let outcome = ended.recv().expect("a sender is here");
    drop(end);

    // What has come is passed on.
    from_side.close();
    if let Some(uplink) = &uplink {
        uplink.end();
    }
    if let Some(thread) = thread {
        thread.join().expect("it does not panic");
    }
    to_side.close();
    for running in running {
        running.join().expect("the library does not panic");
    }
    if let Some(uplink) = &uplink {
        uplink.finish();
    }
    tell(passing.summary());
    match outcome {
        Failure::Unread => Ok(()),
        failure => Err(failure),
    }
}

/// Has a side go on; its end is that of the command.
fn go_on(side: &Side, end: SyncSender<Failure>) -> JoinHandle<()> {
    side.go_on_beside(move |outcome| {
        let outcome = outcome.map_or_else(Failure::from, |()| fail("the connection has ended"));
        // Something else may have ended it.
        let _ = end.try_send(outcome);
    })
}

/// The server that viewers connect to.
fn serving(matches: &ArgMatches, to: &Arc<Endpoint>, key: Option<&KeyBy>, hearing: Hearing) -> Result<Side, Failure> {
    let slow = match matches.get_one::<String>("slow").map(String::as_str) {
        Some("disconnect") => SlowConsumer::Disconnect,
        _ => SlowConsumer::DropOldest,
    };
    let mut builder = to.server()?;
    let delivery = Delivery::new().max_queued_bytes(to.room()).slow_consumer(slow).conflate(key.is_some());
    builder = builder.delivery(delivery);
    if let Some(key) = key {
        builder = builder.key(key.function()).snapshot(Snapshot::new().max_bytes(to.room() / 2));
    }
    if let Some(connections) = matches.get_one::<u32>("max-connections") {
        builder = builder.max_connections(*connections as usize);
    }
    let server: Server = builder.callback((to.watch(), (Telling::of_server(to, "viewer"), hearing))).build()?;
    Ok(Side::Server(server))
}

/// The client that takes messages up.
fn pushing(
    to: &Arc<Endpoint>,
    offline: &Offline,
    key: Option<&KeyBy>,
    has_uplink: bool,
    hearing: Hearing,
) -> Result<Side, Failure> {
    let (mut builder, place) = to.client()?;
    let mut reconnect = endpoint::reconnect();
    // An uplink keeps what is not taken, and nothing else does: so the newest has to be refused.
    let slow = if has_uplink { SlowConsumer::DropNewest } else { SlowConsumer::DropOldest };
    // What is queued for a connection is in memory, and an uplink has a better place for it.
    let queue = if has_uplink { to.max_message_len.saturating_add(QUEUE) } else { to.room() };
    let mut delivery = Delivery::new().max_queued_bytes(queue).slow_consumer(slow).max_unsent_bytes(UNSENT);
    if let Some(key) = key {
        builder = builder.key(key.function());
        // What an uplink keeps it keeps in order, and whole.
        delivery = delivery.conflate(!has_uplink);
    }
    if *offline == Offline::Latest {
        if key.is_none() {
            return Err(usage("--offline latest needs a --key, by which messages replace one another"));
        }
        reconnect = reconnect.keep_bytes(to.room());
    }
    let builder = builder.delivery(delivery).keep_unsent(has_uplink).closing(endpoint::closing()).reconnect(reconnect);
    let client: Client = builder.callback((to.watch(), (Telling::of_client(to), hearing))).build()?;
    Ok(Side::Client(client, place))
}
