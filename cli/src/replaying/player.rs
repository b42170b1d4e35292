//! The player: waits until each message is due, and sends it.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use leads_comm::Error;
use leads_comm::crossbeam_channel::{Receiver, RecvTimeoutError, select_biased};
use parking_lot::Mutex;

use super::ahead::{Ahead, Cue};
use super::control::Control;
use super::edit::Edit;
use super::lateness::Lateness;
use super::schedule::Schedule;
use super::stage::Stage;
use crate::console::complain;

/// The slowest and the fastest rate, in seconds of the recording a second.
pub(crate) const RATES: (f64, f64) = (0.001, 1000.0);

/// How a recording is played.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) rate: f64,
    /// As fast as viewers read.
    pub(crate) is_fast: bool,
    pub(crate) is_paused: bool,
    /// How many have to be there before it begins.
    pub(crate) viewers: usize,
    pub(crate) edit: Edit,
}

/// What is seen of the player while it plays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) position: u64,
    pub(crate) rate: f64,
    pub(crate) is_paused: bool,
    pub(crate) waits_for: usize,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// What has become of the messages.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// How many of them were sent when nobody was there.
    pub(crate) unseen: u64,
    /// What could not be sent, and the first reason.
    pub(crate) refused: u64,
    pub(crate) why_refused: Option<String>,
    /// What was due while a client had no connection.
    pub(crate) unconnected: u64,
    pub(crate) lateness: Lateness,
    pub(crate) has_retimed: bool,
}

pub(crate) struct Player<'a> {
    stage: &'a Stage,
    controls: &'a Receiver<Control>,
    manner: Manner,
    progress: Arc<Mutex<Progress>>,
    played: Played,
    /// So many of the next messages somebody has asked for.
    wanted: u64,
}

/// Somebody has stopped the player.
struct Stopped;

/// When a message was to be sent; `None` if somebody asked for it, or it is sent as fast as possible.
type Due = Option<Instant>;

impl<'a> Player<'a> {
    pub(crate) fn new(
        stage: &'a Stage,
        controls: &'a Receiver<Control>,
        manner: Manner,
        progress: Arc<Mutex<Progress>>,
    ) -> Self {
        Self { stage, controls, manner, progress, played: Played::default(), wanted: 0 }
    }

    /// Plays all cues, unless it is stopped; returns when the last one has been sent.
    pub(crate) fn play(mut self, mut cues: Ahead) -> Played {
        let _ = self.play_until_stopped(&mut cues);
        self.played.has_retimed = self.manner.edit.has_retimed();
        self.played
    }

    fn play_until_stopped(&mut self, cues: &mut Ahead) -> Result<(), Stopped> {
        self.wait_for_viewers()?;
        let now = Instant::now();
        // The clock that messages are told is never set while they are played.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let mut schedule = Schedule::new(now, 0, self.manner.rate);
        if self.manner.is_paused {
            schedule.pause(now);
        }
        while let Some(cue) = self.next(cues, &mut schedule)? {
            let due = self.wait(&mut schedule, &cue)?;
            let moment = due.unwrap_or_else(Instant::now);
            let told = wall.saturating_add(moment.saturating_duration_since(now).as_nanos() as u64);
            self.send(&cue, told);
            if let Some(due) = due {
                self.played.lateness.add(due.elapsed());
            }
            *self.progress.lock() = Progress {
                position: cue.position,
                rate: schedule.rate(),
                is_paused: schedule.is_paused(),
                waits_for: 0,
                messages: self.played.messages,
                bytes: self.played.bytes,
            };
        }
        Ok(())
    }

    fn wait_for_viewers(&mut self) -> Result<(), Stopped> {
        loop {
            let missing = self.manner.viewers.saturating_sub(self.stage.service().num_connections());
            self.progress.lock().waits_for = missing;
            if missing == 0 {
                return Ok(());
            }
            match self.controls.recv() {
                Ok(Control::Stop) | Err(_) => return Err(Stopped),
                Ok(Control::Pause) => self.manner.is_paused = !self.manner.is_paused,
                Ok(Control::Rate(factor)) => self.manner.rate = faster(self.manner.rate, factor),
                Ok(Control::Step | Control::StoodStill(_) | Control::Audience) => {}
            }
        }
    }

    /// The next one; waits only if reading is slower than playing.
    fn next(&mut self, cues: &mut Ahead, schedule: &mut Schedule) -> Result<Option<Cue>, Stopped> {
        loop {
            if let Some(cue) = cues.at_hand() {
                return Ok(Some(cue));
            }
            select_biased! {
                recv(self.controls) -> control => self.obey(control.map_err(|_| Stopped)?, schedule)?,
                recv(cues.batches()) -> batch => match batch {
                    Ok(batch) => cues.add(batch),
                    Err(_) => return Ok(None),
                },
            }
        }
    }

    /// Waits until a message is due.
    fn wait(&mut self, schedule: &mut Schedule, cue: &Cue) -> Result<Due, Stopped> {
        loop {
            if self.wanted > 0 {
                self.wanted -= 1;
                schedule.jump(Instant::now(), cue.position);
                return Ok(None);
            }
            let due = schedule.due(cue.position);
            let control = match due {
                Some(_) if self.manner.is_fast => self.controls.try_recv().ok(),
                Some(due) => match self.controls.recv_deadline(due) {
                    Ok(control) => Some(control),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                },
                None => Some(self.controls.recv().map_err(|_| Stopped)?),
            };
            match control {
                None if self.manner.is_fast => return Ok(None),
                None => return Ok(due),
                Some(control) => self.obey(control, schedule)?,
            }
        }
    }

    fn obey(&mut self, control: Control, schedule: &mut Schedule) -> Result<(), Stopped> {
        let now = Instant::now();
        match control {
            Control::Stop => return Err(Stopped),
            Control::Pause if schedule.is_paused() => schedule.go_on(now),
            Control::Pause => schedule.pause(now),
            Control::Step => {
                schedule.pause(now);
                self.wanted += 1;
            }
            Control::Rate(factor) => schedule.set_rate(now, faster(schedule.rate(), factor)),
            Control::StoodStill(time) => schedule.stood_still(time),
            Control::Audience => {}
        }
        let mut progress = self.progress.lock();
        (progress.is_paused, progress.rate) = (schedule.is_paused(), schedule.rate());
        Ok(())
    }

    /// Sends a message that is told it is `now`, in nanoseconds since 1970.
    fn send(&mut self, cue: &Cue, now: u64) {
        let message = self.manner.edit.apply(&cue.message, cue.recorded, now);
        match self.stage.send(&message) {
            Ok(viewers) => {
                self.played.messages += 1;
                self.played.unseen += u64::from(viewers == 0);
                self.played.bytes += message.len() as u64;
            }
            Err(Error::NotConnected | Error::Disconnected | Error::SlowConsumer { .. }) => self.played.unconnected += 1,
            // The service's numbers tell what was dropped.
            Err(Error::Closed | Error::Dropped { .. }) => {}
            Err(error) => {
                self.played.refused += 1;
                if self.played.why_refused.is_none() {
                    let why = format!("{error:#}");
                    complain(format_args!("leads-comm: a message cannot be sent: {why}"));
                    self.played.why_refused = Some(why);
                }
            }
        }
    }
}

/// A rate times a factor, within limits.
fn faster(rate: f64, factor: f64) -> f64 {
    (rate * factor).clamp(RATES.0, RATES.1)
}
