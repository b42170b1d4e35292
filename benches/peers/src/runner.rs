//! Runs one task of one peer in two processes, and gathers what they report.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::peers;
use crate::process::{Process, Side};
use crate::stage::{Event, Report};
use crate::task::{Job, Task};

/// How long the processes have for each step that is not measured: to listen, to connect, to report.
const STEP: Duration = Duration::from_secs(20);

/// What both sides report of a run in which everything arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) server: Report,
    pub(crate) client: Report,
}

/// Why a run has no figures.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// It was not done when its time was over; what was missing then.
    Never(String),
    Failed(String),
}

/// Runs the task, which has to be done within `patience`. No process of it is left when this returns.
pub(crate) fn run(task: &Task, patience: Duration) -> Result<Outcome, Trouble> {
    let (sender, events) = mpsc::channel();
    let mut run = Run { events, sender, processes: Vec::new() };
    run.prepare(task).map_err(Trouble::Failed)?;
    let finished = run.perform(task, patience).map_err(Trouble::Failed)?;
    let outcome = run.reports();
    if !finished {
        let missing = outcome.map_or_else(|what| what, |outcome| outcome.faults());
        return Err(Trouble::Never(missing));
    }
    let outcome = outcome.map_err(Trouble::Failed)?;
    let faults = outcome.faults();
    if faults.is_empty() { Ok(outcome) } else { Err(Trouble::Failed(faults)) }
}

struct Run {
    events: Receiver<(Side, Event)>,
    sender: Sender<(Side, Event)>,
    processes: Vec<(Side, Process)>,
}

impl Run {
    /// Starts both processes, and waits until they are connected.
    fn prepare(&mut self, task: &Task) -> Result<(), String> {
        self.start(task, Side::Server, None)?;
        let port = self.expect("listen", |_, event| match event {
            Event::Port(port) => Some(port),
            _ => None,
        })?;
        self.start(task, Side::Client, Some(port))?;
        for _ in 0..2 {
            self.expect("connect", |_, event| matches!(event, Event::Ready).then_some(()))?;
        }
        Ok(())
    }

    fn start(&mut self, task: &Task, side: Side, port: Option<u16>) -> Result<(), String> {
        let process = peers::command(task, port)
            .and_then(|command| Process::start(command, side, self.sender.clone()))
            .map_err(|error| format!("the {side} cannot be started: {error}"))?;
        self.processes.push((side, process));
        Ok(())
    }

    /// Begins, and waits until both have done their part. False when the time is over.
    fn perform(&mut self, task: &Task, patience: Duration) -> Result<bool, String> {
        let sender = if matches!(task.job, Job::Broadcast | Job::Duplex) { Side::Server } else { Side::Client };
        let deadline = Instant::now() + patience;
        let mut done = 0;
        self.tell(sender.other(), "go");
        while done < 2 {
            match self.next(deadline)? {
                None => return Ok(false),
                // Whoever receives has taken its measure before anything arrives.
                Some((side, Event::Going)) if side != sender => self.tell(sender, "go"),
                Some((_, Event::Round)) => self.tell(sender, "round"),
                Some((_, Event::Done)) => done += 1,
                Some(_) => {}
            }
        }
        Ok(true)
    }

    /// Ends both processes and takes their reports.
    fn reports(&mut self) -> Result<Outcome, String> {
        self.tell(Side::Server, "stop");
        self.tell(Side::Client, "stop");
        let (mut server, mut client) = (None, None);
        let deadline = Instant::now() + STEP;
        while server.is_none() || client.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok((Side::Server, Event::Report(report))) => server = Some(*report),
                Ok((Side::Client, Event::Report(report))) => client = Some(*report),
                Ok((Side::Server, Event::Failed(what))) if server.is_none() => {
                    return Err(self.explain(Side::Server, &what));
                }
                Ok((Side::Client, Event::Failed(what))) if client.is_none() => {
                    return Err(self.explain(Side::Client, &what));
                }
                Ok(_) => {}
                Err(_) => return Err("no report in time".to_owned()),
            }
        }
        Ok(Outcome { server: server.unwrap_or_default(), client: client.unwrap_or_default() })
    }

    /// Waits for one event.
    fn expect<T>(&mut self, step: &str, mut wanted: impl FnMut(Side, Event) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + STEP;
        loop {
            let Some((side, event)) = self.next(deadline)? else { return Err(format!("did not {step} in time")) };
            if let Some(found) = wanted(side, event) {
                return Ok(found);
            }
        }
    }

    /// The next event; `None` when the time is over. Failures are errors.
    fn next(&mut self, deadline: Instant) -> Result<Option<(Side, Event)>, String> {
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((side, Event::Failed(what))) => Err(self.explain(side, &what)),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => unreachable!("a sender is kept"),
        }
    }

    fn tell(&mut self, side: Side, order: &str) {
        let processes = self.processes.iter_mut().filter(|(of, _)| *of == side);
        processes.for_each(|(_, process)| process.tell(order));
    }

    fn explain(&mut self, side: Side, what: &str) -> String {
        let found = self.processes.iter_mut().find(|(of, _)| *of == side);
        let complaint = found.map(|(_, process)| process.complaint()).unwrap_or_default();
        format!("{side}: {what} {complaint}").trim_end().to_owned()
    }
}

impl Outcome {
    /// From the first message to the last arrival, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        let began = [self.server.began, self.client.began].into_iter().filter(|time| *time > 0).min().unwrap_or(0);
        self.server.ended.max(self.client.ended).saturating_sub(began) as f64 / 1e9
    }

    /// What both processes have used from the first message to the end, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.server.cpu_seconds() + self.client.cpu_seconds()
    }

    /// What is wrong with what arrived.
    fn faults(&self) -> String {
        let faults: Vec<_> = [&self.server, &self.client].into_iter().flat_map(|report| &report.faults).collect();
        let rest = faults.len().saturating_sub(1);
        match faults.first() {
            None => String::new(),
            Some(first) if rest == 0 => (*first).clone(),
            Some(first) => format!("{first}; and {rest} connections more"),
        }
    }
}
