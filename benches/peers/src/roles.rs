//! What the two processes of a run do, whichever the peer.

use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::measure;
use crate::peers::{Client, Failure, Peer, Receive};
use crate::stage::Stage;
use crate::task::{Job, Messages, Task};

pub(crate) fn serve(peer: &dyn Peer, stage: &Stage) -> Result<(), Failure> {
    let task = &stage.task;
    let receive = match task.job {
        Job::Send | Job::Duplex | Job::Churn => Receive::Count(stage.tally()),
        Job::Trip => Receive::Echo,
        Job::Broadcast | Job::Idle => Receive::Nothing,
    };
    let server = peer.listen(task, receive, stage.hall.clone())?;
    stage.port(server.port());
    if !matches!(task.job, Job::Idle | Job::Churn) {
        stage.hall.wait((task.connections + task.stalled) as u64);
    }
    stage.ready();
    match task.job {
        Job::Send | Job::Churn => receive_all(stage, 1),
        Job::Broadcast => send_all(stage, |messages| server.broadcast(messages))?,
        Job::Duplex => {
            send_all(stage, |messages| server.broadcast(messages))?;
            receive_all(stage, 1);
        }
        Job::Idle => {
            stage.hall.wait(task.connections as u64);
            stage.end_at(stage.hall.last());
        }
        Job::Trip => {}
    }
    stage.done()
}

pub(crate) fn connect(peer: &dyn Peer, port: u16, stage: &Stage) -> Result<(), Failure> {
    let task = &stage.task;
    match task.job {
        Job::Send => {
            let client = peer.connect(task, port, Receive::Nothing)?;
            stage.ready();
            send_all(stage, |messages| send_by_threads(&*client, task, messages))?;
        }
        Job::Duplex => {
            let client = peer.connect(task, port, Receive::Count(stage.tally()))?;
            stage.ready();
            send_all(stage, |messages| client.send(messages))?;
            receive_all(stage, 1);
        }
        Job::Broadcast if task.crowd => {
            let crowd = Crowd::come(stage, port)?;
            stage.ready();
            thread::scope(|scope| {
                scope.spawn(|| crowd.watch(stage));
                receive_all(stage, task.connections);
                stage.done()
            });
        }
        Job::Broadcast => {
            let connect = |_| peer.connect(task, port, Receive::Count(stage.tally()));
            let _clients = (0..task.connections).map(connect).collect::<Result<Vec<_>, _>>()?;
            let _stalled = idle(peer, task, port, task.stalled)?;
            stage.ready();
            receive_all(stage, task.connections);
            stage.done();
        }
        Job::Trip => make_trips(peer, port, stage)?,
        Job::Idle => {
            stage.ready();
            stage.begin();
            let _idle = idle(peer, task, port, task.connections)?;
            stage.done();
        }
        Job::Churn => {
            stage.ready();
            stage.begin();
            for _ in 0..task.count {
                let client = peer.connect(task, port, Receive::Nothing)?;
                client.send(&mut task.messages(1))?;
                client.close();
            }
        }
    }
    stage.done()
}

fn idle(peer: &dyn Peer, task: &Task, port: u16, count: usize) -> Result<Vec<Box<dyn Any>>, Failure> {
    (0..count).map(|_| peer.idle(task, port)).collect()
}

/// Sends all messages, at the pace and in the rounds that the task asks for.
fn send_all(stage: &Stage, mut send: impl FnMut(&mut Messages) -> Result<(), Failure>) -> Result<(), Failure> {
    let task = &stage.task;
    let mut messages = task.messages(task.count);
    stage.begin();
    if let Some(pace) = task.pace {
        let interval = Duration::from_secs(1) / pace;
        let mut due = Instant::now();
        for _ in 0..task.count {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += interval;
            messages.renew(1);
            let called = measure::now();
            send(&mut messages)?;
            stage.slowest_call.fetch_max(measure::now() - called, Relaxed);
        }
        return Ok(());
    }
    let mut left = task.count;
    loop {
        let round = task.round().min(left);
        messages.renew(round);
        send(&mut messages)?;
        left -= round;
        if left == 0 {
            return Ok(());
        }
        stage.wait_for_round();
    }
}

/// Waits until each of `connections` has everything.
fn receive_all(stage: &Stage, connections: usize) {
    let task = &stage.task;
    let rounds = task.count / task.round();
    for round in 1..=rounds {
        stage.arrivals.wait(round * connections as u64);
        if round < rounds {
            stage.round();
        }
    }
}

fn send_by_threads(client: &dyn Client, task: &Task, messages: &mut Messages) -> Result<(), Failure> {
    if task.threads == 1 {
        return client.send(messages);
    }
    let share = messages.left() / task.threads;
    thread::scope(|scope| {
        let senders: Vec<_> =
            (0..task.threads).map(|_| scope.spawn(|| client.send(&mut task.messages(share)))).collect();
        senders.into_iter().try_for_each(|sender| sender.join().expect("a sender does not panic"))
    })
}

/// A thread for each connection, which makes all of its trips.
fn make_trips(peer: &dyn Peer, port: u16, stage: &Stage) -> Result<(), Failure> {
    let task = &stage.task;
    let trips: Vec<_> = (0..task.connections).map(|_| stage.trips()).collect();
    let connect = |trips: &_| peer.connect(task, port, Receive::Trips(std::sync::Arc::clone(trips)));
    let clients = trips.iter().map(connect).collect::<Result<Vec<_>, _>>()?;
    stage.ready();
    stage.begin();
    thread::scope(|scope| {
        let pairs = clients.iter().zip(&trips);
        let threads: Vec<_> = pairs.map(|(client, trips)| scope.spawn(|| client.make_trips(trips))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a traveller does not panic"))
    })?;
    stage.end_at(trips.iter().map(|trips| trips.ended()).max().unwrap_or(0));
    Ok(())
}
