//! One direction of a connection through the proxy: reads, cuts, waits, writes.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Direction, End, Faults, Link, LinkState, Slices, Sockets};
use crate::resets;
use crate::seed::Random;

/// How far ahead of its rate a direction may be before it waits.
const AHEAD: Duration = Duration::from_millis(2);

pub(super) struct Lane {
    link: Link,
    direction: Direction,
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    faults: Faults,
    cutter: Cutter,
    delays: Random,
    /// When the next byte may go, at this rate.
    due: Instant,
}

/// The stream is over; what was not passed on is thrown away.
struct Over;

impl Lane {
    pub(super) fn new(link: Link, direction: Direction, sockets: &Sockets, faults: Faults, random: Random) -> Self {
        let Sockets { client, server } = sockets.clone();
        let (from, to) = match direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let cutter = Cutter::new(faults.slices.clone(), random.part(0));
        Self { link, direction, from, to, cutter, faults, delays: random.part(1), due: Instant::now() }
    }

    pub(super) fn run(mut self) {
        let mut chunk = vec![0; 64 * 1024];
        let _ = self.pass_on(&mut chunk);
        let Self { link, from, to, .. } = self;
        let state = &mut *link.state();
        state.running -= 1;
        if state.running == 0 {
            state.sockets = None;
        }
        // Closed before anybody is told, by the thread that ends last.
        drop((from, to));
        link.shared.changed.notify_all();
    }

    fn pass_on(&mut self, chunk: &mut [u8]) -> Result<(), Over> {
        self.end_if_due(0)?;
        loop {
            self.wait_while_stalled()?;
            match resets::read(&*self.from, chunk) {
                Ok(0) => {
                    self.wait_while_stalled()?;
                    self.link.half_close(self.direction);
                    return Ok(());
                }
                Ok(count) => {
                    self.link.change(|state| state.lanes[self.direction as usize].counts.taken += count as u64);
                    self.forward(&chunk[..count])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Looks whether it is over, where nothing wakes it.
                Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::TimedOut => {
                    if self.link.state().is_reset {
                        return Err(Over);
                    }
                }
                // The sender is gone by a reset, and so the receiver learns it.
                Err(_) => {
                    self.link.reset();
                    return Err(Over);
                }
            }
        }
    }

    fn forward(&mut self, mut bytes: &[u8]) -> Result<(), Over> {
        while !bytes.is_empty() {
            let mut slice = &bytes[..self.cutter.room().min(bytes.len())];
            let forwarded = self.link.counts(self.direction).forwarded;
            if let Some((end, _)) = self.faults.end {
                let left = usize::try_from(end - forwarded.min(end)).unwrap_or(usize::MAX);
                if left > 0 {
                    slice = &slice[..slice.len().min(left)];
                }
            }
            let written = self.wait_and_write(slice);
            let passed = *written.as_ref().unwrap_or_else(|(passed, _)| passed);
            self.cutter.pass(passed);
            bytes = &bytes[passed..];
            let over = match written {
                Ok(_) => self.end_if_due(forwarded + passed as u64).err(),
                Err((_, over)) => Some(over),
            };
            if let Some(over) = over {
                self.discard(bytes.len());
                return Err(over);
            }
            if self.link.state().lanes[self.direction as usize].half_closed {
                self.discard(bytes.len());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes a slice when its time has come: how many of its bytes, all of them unless the receiver is told the end.
    fn wait_and_write(&mut self, slice: &[u8]) -> Result<usize, (usize, Over)> {
        if let Some([shortest, longest]) = self.faults.delay {
            let span = (longest - shortest).as_micros() as usize;
            let time = shortest + Duration::from_micros(self.delays.within(0..=span) as u64);
            self.wait(time).map_err(|over| (0, over))?;
        }
        let ahead = self.due.saturating_duration_since(Instant::now());
        if ahead > AHEAD {
            self.wait(ahead).map_err(|over| (0, over))?;
        }
        self.wait_while_stalled().map_err(|over| (0, over))?;
        if let Some(rate) = self.faults.rate {
            let time = Duration::from_nanos(slice.len() as u64 * 1_000_000_000 / rate);
            self.due = self.due.max(Instant::now()) + time;
        }
        self.write(slice)
    }

    fn write(&self, mut slice: &[u8]) -> Result<usize, (usize, Over)> {
        let mut passed = 0;
        while !slice.is_empty() {
            {
                let mut state = self.link.state();
                if state.is_reset {
                    return Err((passed, Over));
                }
                let lane = &mut state.lanes[self.direction as usize];
                if lane.half_closed {
                    return Ok(passed);
                }
                lane.writing = true;
            }
            let written = (&*self.to).write(slice);
            let mut over = false;
            self.link.change(|state| {
                let lane = &mut state.lanes[self.direction as usize];
                lane.writing = false;
                match &written {
                    Ok(count) => {
                        lane.counts.forwarded += *count as u64;
                        lane.counts.writes += 1;
                        passed += count;
                        slice = &slice[*count..];
                    }
                    Err(error) => {
                        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
                        over = !matches!(error.kind(), Interrupted | TimedOut | WouldBlock);
                    }
                }
                state.tell_end(self.direction);
            });
            if over {
                // The receiver is gone by a reset, and so the sender learns it.
                self.link.reset();
                return Err((passed, Over));
            }
        }
        Ok(passed)
    }

    fn discard(&self, bytes: usize) {
        self.link.change(|state| state.lanes[self.direction as usize].counts.discarded += bytes as u64);
    }

    /// Ends the stream if it is to end after so many bytes.
    fn end_if_due(&self, forwarded: u64) -> Result<(), Over> {
        match self.faults.end {
            Some((at, End::HalfClose)) if forwarded >= at => self.link.half_close(self.direction),
            Some((at, End::Reset)) if forwarded >= at => {
                self.link.reset();
                return Err(Over);
            }
            _ => {}
        }
        Ok(())
    }

    fn wait_while_stalled(&self) -> Result<(), Over> {
        self.wait_until(|state, direction| !state.lanes[direction as usize].stalled, None)
    }

    fn wait(&self, time: Duration) -> Result<(), Over> {
        self.wait_until(|_, _| false, Some(Instant::now() + time))
    }

    /// Waits until it `holds`, or it is that time; nothing holds up the end.
    fn wait_until(&self, holds: impl Fn(&LinkState, Direction) -> bool, at: Option<Instant>) -> Result<(), Over> {
        const LONG: Duration = Duration::from_secs(60);
        let mut state = self.link.state();
        loop {
            if state.is_reset {
                return Err(Over);
            }
            let left = at.map_or(LONG, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() || holds(&state, self.direction) {
                return Ok(());
            }
            state = self.link.wait(state, left);
        }
    }
}

/// Where a stream is cut: at the same bytes for the same chance.
#[derive(Debug)]
pub struct Cutter {
    slices: Slices,
    random: Random,
    /// How many bytes the slice that is under way still takes.
    left: usize,
}

impl Cutter {
    /// Cuts as `slices` says.
    pub fn new(slices: Slices, random: Random) -> Self {
        let mut cutter = Self { slices, random, left: 0 };
        cutter.pass(0);
        cutter
    }

    /// How many bytes may be written at once.
    pub fn room(&self) -> usize {
        self.left
    }

    /// Notes that so many bytes have been.
    pub fn pass(&mut self, bytes: usize) {
        self.left -= bytes;
        if self.left == 0 {
            self.left = match &self.slices {
                Slices::Whole => usize::MAX,
                Slices::Every(len) => *len,
                Slices::Random(lens) => self.random.within(lens.clone()),
                Slices::Skewed(most) => self.random.skewed(*most).max(1),
            };
        }
    }
}
