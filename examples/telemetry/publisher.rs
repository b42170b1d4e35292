//! The vehicle's side: a server that publishes the metrics at a fixed rate, obeys commands, and serves each viewer as
//! it wants to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leads_comm::crossbeam_channel::{self, RecvTimeoutError};
use leads_comm::{BindAddress, Callback, Connection, DisconnectReason, Error, Server, Service};

use crate::Note;
use crate::message::{self, Message};
use crate::sensors::Sensors;
use crate::want::Want;

/// How far publishing may fall behind its schedule before it goes on from where it is, for instance after the machine
/// has slept: what was missed is not worth a burst.
const FAR_BEHIND: Duration = Duration::from_secs(1);

pub(crate) struct Publisher {
    pub(crate) server: Server,
    /// Where the clock in the messages begins.
    pub(crate) epoch: Instant,
}

impl Publisher {
    /// Listens, in the background; nothing is published yet.
    pub(crate) fn start(bind: BindAddress, port: u16, notes: SyncSender<Note>) -> Result<Self, Error> {
        let epoch = Instant::now();
        let commands = Commands { epoch, laps: AtomicU64::new(0), hazard: AtomicBool::new(false), notes };
        let builder = Server::builder().bind(bind).port(port).key(message::key).delivery(Want::nothing());
        let server = builder.callback(commands).build()?;
        server.start(true)?;
        Ok(Self { server, epoch })
    }

    /// Publishes `rate` messages a second, on a thread of its own.
    pub(crate) fn publish(&self, rate: f64, sensors: Arc<Sensors>) -> Publishing {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let published = Arc::new(AtomicU64::new(0));
        let (server, epoch, count) = (self.server.clone(), self.epoch, Arc::clone(&published));
        let period = Duration::from_secs_f64(1.0 / rate);
        let thread = thread::spawn(move || {
            let mut next = Instant::now();
            while stopped.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
                let message = Message {
                    sequence: count.fetch_add(1, Relaxed) + 1,
                    sent_us: micros(epoch.elapsed()),
                    time_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| micros(time) / 1000),
                    metrics: sensors.newest(),
                };
                let sent = server.broadcast(message.to_json().as_bytes());
                sent.expect("JSON made of numbers holds no separator");
                next += period;
                let now = Instant::now();
                if next + FAR_BEHIND < now {
                    next = now;
                }
            }
        });
        Publishing { published, stop, thread }
    }
}

/// Publishing under way.
pub(crate) struct Publishing {
    published: Arc<AtomicU64>,
    /// Dropped to stop.
    stop: crossbeam_channel::Sender<()>,
    thread: JoinHandle<()>,
}

impl Publishing {
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// Ends it; how many messages there were.
    pub(crate) fn stop(self) -> u64 {
        drop(self.stop);
        let _ = self.thread.join();
        self.published.load(Relaxed)
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Obeys the viewers.
struct Commands {
    epoch: Instant,
    laps: AtomicU64,
    hazard: AtomicBool,
    notes: SyncSender<Note>,
}

impl Commands {
    /// Serves a viewer as it wants to be, or tells it that it cannot be.
    fn serve(&self, viewer: &Connection, want: Option<Want>) {
        let Some(want) = want else {
            self.note(viewer, "wants what there is not");
            let known = message::event_to_json("newest, everything and events can be wanted");
            // It has left, if that fails.
            return drop(viewer.send(known.as_bytes()));
        };
        viewer.set_delivery(want.delivery()).expect("its queue holds any message");
        self.note(viewer, &format!("wants {}", want.name()));
    }

    fn note(&self, viewer: &Connection, what: &str) {
        let _ = self.notes.send(Note::Line(format!("{viewer} {what}")));
    }
}

impl Callback for Commands {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let _ = self.notes.send(Note::Connected(connection.to_string()));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        if let Some(want) = Want::requested(message) {
            return self.serve(connection, want);
        }
        let done = match message {
            b"time_lap" => {
                let lap = self.laps.fetch_add(1, Relaxed) + 1;
                format!("time_lap: lap {lap} at {:.3} s", self.epoch.elapsed().as_secs_f64())
            }
            b"hazard" => match self.hazard.fetch_not(Relaxed) {
                false => "hazard: lights on".into(),
                true => "hazard: lights off".into(),
            },
            // Not shown: anybody can send anything.
            _ => return self.note(connection, &format!("unknown command of {} bytes", message.len())),
        };
        self.note(connection, &done);
        service.broadcast(message::event_to_json(&done).as_bytes()).expect("it holds no separator");
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let _ = self.notes.send(Note::Line(format!("{connection} disconnected: {reason:#}")));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        let _ = self.notes.send(Note::Line(format!("telemetry: {error:#}")));
    }
}
