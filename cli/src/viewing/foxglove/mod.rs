//! What is seen, for Foxglove and Lichtblick: a server of their WebSocket protocol, over the library.
//!
//! ```text
//!   hub ──▶ FoxgloveSink ──▶ records ──▶ board: channels, last records, who has subscribed
//!                                          └──▶ each subscriber's connection ──▶ Foxglove
//!   Foxglove ──▶ its reader ──▶ a request ──▶ board, or the vehicle; wrong ones are answered with a status
//!
//!   protocol   the messages, both ways
//!   board      who is to be sent what
//!   client     one of them, and what it must not miss
//! ```
//!
//! The channels are those of a recording. A client that is behind loses data, oldest first, and of pictures that wait
//! all but the newest of each channel; one that may have missed what it has to know, such as a new channel, is
//! disconnected, and connects again. The hub waits for nobody.

mod board;
mod client;
mod protocol;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use leads_comm::codec::Framing;
use leads_comm::transport::Listener;
use leads_comm::{
    Callback, Connection, Delivery, DisconnectReason, Error, Key, MemoryLimits, Server, Service, SlowConsumer,
};
use parking_lot::Mutex;

use super::{Commands, Sink};
use crate::console::tell;
use crate::endpoint;
use crate::recording::record::{Record, records};
use board::{Board, LONGEST_RECORD, Posted, Refused};
use client::Client;
use protocol::{HEADER_LEN, Level, Publication, Request, ServerInfo, Subscription, Wrong};

/// What a client offers that speaks it; the two names stand for the same messages. Lichtblick offers both, Foxglove the
/// first one.
pub(crate) const SUBPROTOCOLS: [&str; 2] = ["foxglove.sdk.v1", "foxglove.websocket.v1"];

/// The pages that may connect: Foxglove's own, and those of programs that show files of theirs, which is what browsers
/// call `null`: the desktop programs of Foxglove and Lichtblick.
pub(crate) const ORIGINS: [&str; 2] = ["https://app.foxglove.dev", "file://"];

/// How many clients there may be.
const MOST_CLIENTS: usize = 16;

/// How much may wait for each, in bytes: the longest record, and some seconds of a vehicle.
const ROOM: usize = LONGEST_RECORD + (1 << 20);

/// The longest request, in bytes.
const LONGEST_REQUEST: usize = 64 * 1024;

/// Records from this length on are taken for pictures: of those that wait, the newest is the one that matters.
const PICTURE: usize = 16 * 1024;

/// How often a client that subscribes is given the last record, at most, when another one comes meanwhile.
const MOST_LAST: usize = 8;

/// The topic to which clients publish.
const COMMAND_TOPIC: &str = "/command";

/// What is to be seen, as clients are told.
pub(crate) struct Settings {
    /// What is viewed, for people.
    pub(crate) name: String,
    /// Whether it is a recording, whose time is not that of the clock on the wall.
    pub(crate) is_recording: bool,
    /// Absent where nobody may send commands.
    pub(crate) commands: Option<Commands>,
}

/// The server. It goes on until it is closed.
#[derive(Debug)]
pub(crate) struct Foxglove {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    info: ServerInfo,
    commands: Option<Commands>,
    board: Mutex<Board<Connection>>,
    /// Of a recording: what time it is there, in nanoseconds since 1970; 0 before the first message.
    time: AtomicU64,
    left_out: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Foxglove {
    /// Serves those who come through the listener, whose messages have their length in front.
    pub(crate) fn start(listener: impl Listener, settings: Settings) -> Result<Self, Error> {
        let Settings { name, is_recording, commands } = settings;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let info = ServerInfo {
            name,
            session: started.as_millis().to_string(),
            has_time: is_recording,
            takes_commands: commands.is_some(),
        };
        let shared = Arc::new(Shared {
            info,
            commands,
            board: Mutex::new(Board::new()),
            time: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        });
        let delivery = Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true).max_queued_bytes(ROOM);
        let server = Server::builder()
            .transport(listener)
            .framing(Framing::Length)
            .key(picture_of)
            .delivery(delivery)
            .max_connections(MOST_CLIENTS)
            .max_received_len(LONGEST_REQUEST)
            .max_sent_len(LONGEST_RECORD + HEADER_LEN)
            .memory_limits(MemoryLimits::new().max_total_queued_bytes(MOST_CLIENTS * ROOM))
            .closing(endpoint::closing())
            .callback(Arc::clone(&shared))
            .build()?;
        server.start(true)?;
        Ok(Self { server, shared })
    }

    /// What feeds it.
    pub(crate) fn sink(&self) -> FoxgloveSink {
        FoxgloveSink { shared: Arc::clone(&self.shared) }
    }

    /// Whose numbers are those of the clients.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// How many records were too long to be shown.
    pub(crate) fn left_out(&self) -> u64 {
        self.shared.left_out.load(Ordering::Relaxed)
    }
}

/// Pictures of a channel replace one another, as long as they wait.
fn picture_of(message: &[u8]) -> Option<Key> {
    let subscription = (message.len() >= PICTURE).then(|| protocol::subscription_of(message)).flatten();
    subscription.map(Key::new)
}

/// The end at which messages come in.
#[derive(Debug)]
pub(crate) struct FoxgloveSink {
    shared: Arc<Shared>,
}

impl Sink for FoxgloveSink {
    fn message(&mut self, message: &[u8], time: u64) {
        let shared = &self.shared;
        if shared.info.has_time && shared.time.swap(time, Ordering::Relaxed) != time {
            let clients = shared.board.lock().clients();
            let message = protocol::time(time);
            clients.iter().for_each(|client| client::show(client, &message));
        }
        let Ok(()) = records(message, time, |record| {
            shared.post(&record, time);
            Ok::<(), Infallible>(())
        });
    }

    fn jump(&mut self) {
        self.shared.board.lock().forget_last();
    }
}

impl Shared {
    fn post(&self, record: &Record<'_>, time: u64) {
        let posted = self.board.lock().post(record, time, Instant::now());
        let Some(Posted { news, data, subscribers, clients }) = posted else {
            if self.left_out.fetch_add(1, Ordering::Relaxed) == 0 {
                tell(format_args!("Foxglove is not shown messages of more than {} MiB", LONGEST_RECORD >> 20));
            }
            return;
        };
        for client in clients {
            news.iter().for_each(|news| client::inform(&client, news));
        }
        if subscribers.is_empty() {
            return;
        }
        let mut data = Vec::clone(&data);
        for (client, subscription) in subscribers {
            protocol::address(&mut data, subscription);
            client::show(&client, &data);
        }
    }

    /// Tells a client of all the channels, and of those that come up meanwhile, until it gets its news like the others.
    fn welcome(&self, client: &Connection) {
        client::inform(client, &self.info.message());
        let time = self.time.load(Ordering::Relaxed);
        if time > 0 {
            client::show(client, &protocol::time(time));
        }
        // One is sent in any case.
        let mut known = Vec::new();
        let mut changes = self.board.lock().changes(&mut known).unwrap_or_else(|| vec![protocol::advertise(&[])]);
        loop {
            changes.iter().for_each(|news| client::inform(client, news));
            let mut board = self.board.lock();
            match board.changes(&mut known) {
                Some(more) => changes = more,
                None => return board.join(client.clone()),
            }
        }
    }

    /// Gives a client the last record, and then all that come. Records may come while the last one is sent, which is
    /// done without a lock; those are made up for, so that what it has seen last is what there was last. Where they come
    /// too fast for that, they wait for it.
    fn subscribe(&self, client: &Connection, wanted: Subscription) -> Result<(), Refused> {
        let show = |last: &[u8]| {
            let mut data = last.to_vec();
            protocol::address(&mut data, wanted.id);
            client::show(client, &data);
        };
        let mut shown: Option<Arc<Vec<u8>>> = None;
        for attempt in 0.. {
            let mut board = self.board.lock();
            let last = board.last(client, wanted)?;
            let is_new = |last: &&Arc<Vec<u8>>| shown.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, last));
            let Some(new) = last.as_ref().filter(is_new) else {
                board.subscribe(client, wanted);
                break;
            };
            if attempt == MOST_LAST {
                show(new);
                board.subscribe(client, wanted);
                break;
            }
            drop(board);
            show(new);
            shown = last;
        }
        Ok(())
    }

    fn answer(&self, client: &Connection, request: Request<'_>) {
        let takes_commands = self.commands.is_some();
        match request {
            Request::Subscribe(all) => {
                for wanted in all {
                    if let Err(refused) = self.subscribe(client, wanted) {
                        refuse(client, wanted, refused);
                    }
                }
            }
            Request::Unsubscribe(ids) => self.board.lock().unsubscribe(client, &ids),
            Request::Advertise(all) if takes_commands => all.into_iter().for_each(|one| advertised(client, &one)),
            Request::Unadvertise(ids) if takes_commands => Client::of(client).forget(&ids),
            Request::Publish { channel, data } if takes_commands => self.publish(client, channel, data),
            Request::Advertise(_) | Request::Unadvertise(_) | Request::Publish { .. } => {
                complain(client, &Wrong::NotOffered.to_string());
            }
        }
    }

    fn publish(&self, client: &Connection, channel: u32, data: &[u8]) {
        if !Client::of(client).publishes(channel) {
            return complain(client, &format!("channel {channel} is not advertised: nothing was sent"));
        }
        let Some(command) = protocol::command(data) else {
            return complain(client, r#"a command is {"text":"..."}: nothing was sent"#);
        };
        if let Some(Err(why)) = self.commands.as_ref().map(|send| send(&command)) {
            complain(client, &why);
        }
    }
}

fn advertised(client: &Connection, publication: &Publication) {
    let Publication { id, topic, encoding } = publication;
    let is_right = topic == COMMAND_TOPIC && encoding == "json";
    if !is_right {
        complain(client, &format!("channel {id}: commands are published to {COMMAND_TOPIC}, as JSON"));
    } else if !Client::of(client).advertise(*id) {
        complain(client, &format!("channel {id} is advertised already, or there are too many"));
    }
}

fn refuse(client: &Connection, wanted: Subscription, refused: Refused) {
    let Subscription { id, channel } = wanted;
    let (level, why) = match refused {
        Refused::NoSuchChannel => (Level::Error, format!("there is no channel {channel}")),
        Refused::Subscribed => (Level::Warning, format!("channel {channel} is subscribed to already")),
        Refused::UsedId => (Level::Error, format!("subscription {id} is of another channel")),
    };
    client::show(client, &protocol::status(level, &why));
}

fn complain(client: &Connection, why: &str) {
    client::show(client, &protocol::status(Level::Error, why));
}

impl Callback for Shared {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        connection.insert(Client::default());
        self.welcome(connection);
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        match protocol::parse(message) {
            Ok(request) => self.answer(connection, request),
            Err(wrong) => complain(connection, &wrong.to_string()),
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, _: &DisconnectReason) {
        self.board.lock().leave(connection);
    }
}

#[cfg(test)]
mod tests;
