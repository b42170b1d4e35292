//! The publisher of a trial: ours, or what there is beside it.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::{Delivery, Server, SlowConsumer, Snapshot, callback, key};

use super::report::Report;
use super::{Traffic, Trial, Viewer, Way, await_end, nats, say};
use crate::measure::{self, Spread, Usage};
use crate::peers::Failure;
use crate::tally::Latch;

/// The pace that a viewer which takes 300 ms for a message keeps up with.
const MIN_INTERVAL: Duration = Duration::from_millis(400);

/// Why a way cannot be gone here.
pub(super) fn unavailable(way: Way) -> Option<&'static str> {
    match way {
        Way::Zmq | Way::ZmqConflate if cfg!(not(feature = "zmq")) => Some("built without the feature `zmq`"),
        Way::Nats if !nats::is_available() => Some("there is no nats-server in PATH"),
        _ => None,
    }
}

pub(super) fn publish(trial: &Trial) -> Result<Report, Failure> {
    match trial.way {
        Way::Bare => bare(trial.traffic),
        Way::Zmq | Way::ZmqConflate => zmq(trial),
        Way::Nats => nats::publish(trial),
        _ => ours(trial),
    }
}

fn ours(trial: &Trial) -> Result<Report, Failure> {
    let here = Arc::new(Latch::default());
    let hall = Arc::clone(&here);
    let callback = callback::closures().on_connect(move |_, _| hall.add());
    let delivery = Delivery::new().slow_consumer(SlowConsumer::DropOldest);
    let builder = Server::builder().port(0).callback(callback);
    let keyed = |builder: leads_comm::ServerBuilder| builder.key(key::prefix(b':'));
    let builder = match trial.way {
        Way::DropOldest => builder.delivery(delivery),
        Way::MinInterval => keyed(builder).delivery(delivery.conflate(true).min_interval(MIN_INTERVAL)),
        Way::Snapshot => keyed(builder).delivery(delivery).snapshot(Snapshot::new()),
        Way::ConflateSnapshot => keyed(builder).delivery(delivery.conflate(true)).snapshot(Snapshot::new()),
        _ => keyed(builder).delivery(delivery.conflate(true)),
    };
    let server = builder.build()?;
    server.start(true)?;
    let (traffic, mut number) = (trial.traffic, 0);
    let awaited = match trial.viewer {
        Viewer::Many(viewers) => viewers,
        // They come all the time, and everything is there already.
        Viewer::Joining => {
            (0..traffic.keys).try_for_each(|key| server.broadcast(&traffic.message(key, measure::now())).map(drop))?;
            0
        }
        _ => 1,
    };
    say(&server.port().to_string())?;
    here.wait(awaited as u64);
    let each = if trial.viewer == Viewer::Joining { 1 } else { traffic.keys };
    let report = pace(trial, || {
        for _ in 0..each {
            server.broadcast(&traffic.message(number % traffic.keys, measure::now()))?;
            number += 1;
        }
        Ok(each)
    })?;
    Ok(Report { queued: Some(server.stats().traffic.peak_queued_bytes), ..report })
}

/// Calls `tick` as often as it is wanted, until the runner wants no more. It says how many messages it has sent.
pub(super) fn pace(trial: &Trial, mut tick: impl FnMut() -> Result<usize, Failure>) -> Result<Report, Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&is_over);
    thread::spawn(move || {
        await_end();
        ending.store(true, Relaxed);
    });
    let interval = Duration::from_secs(1) / trial.traffic.hz;
    let (begin, mut calls, mut published) = (Usage::begin(), Vec::new(), 0);
    let mut due = Instant::now();
    while !is_over.load(Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += interval;
        let called = measure::now();
        published += tick()? as u64;
        calls.push(measure::now() - called);
    }
    let end = Usage::read();
    Ok(Report {
        published,
        cpu: end.cpu - begin.cpu,
        grown: end.peak.saturating_sub(begin.resident),
        calls: Spread::of(calls),
        ..Report::default()
    })
}

/// Writes all keys at once to whoever connects.
fn bare(traffic: Traffic) -> Result<Report, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    say(&listener.local_addr()?.port().to_string())?;
    let messages = (0..traffic.keys).map(|key| [traffic.message(key, measure::now()), b";".to_vec()].concat());
    let all: Vec<u8> = messages.collect::<Vec<_>>().concat();
    thread::spawn(move || -> io::Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let _ = stream.write_all(&all);
            // Where it is closed before the newcomer has closed its end, nothing is lost either.
        }
    });
    await_end();
    Ok(Report::default())
}

#[cfg(feature = "zmq")]
fn zmq(trial: &Trial) -> Result<Report, Failure> {
    let socket = zmq::Context::new().socket(zmq::SocketType::PUB)?;
    if trial.way == Way::ZmqConflate {
        socket.set_conflate(true)?;
        // As little as ours leaves to the system where it conflates: otherwise that alone is seconds.
        socket.set_sndbuf(16 * 1024)?;
    }
    socket.bind("tcp://127.0.0.1:*")?;
    let bound = socket.get_last_endpoint()?.map_err(|_| "the endpoint is no text")?;
    say(bound.rsplit(':').next().ok_or("the endpoint has no port")?)?;
    let traffic = trial.traffic;
    pace(trial, || {
        (0..traffic.keys).try_for_each(|key| socket.send(traffic.message(key, measure::now()), 0))?;
        Ok(traffic.keys)
    })
}

#[cfg(not(feature = "zmq"))]
fn zmq(_: &Trial) -> Result<Report, Failure> {
    Err("built without the feature `zmq`".into())
}
