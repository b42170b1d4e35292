//! `--udp`: each JSON object as a datagram, for PlotJuggler's UDP server.
//!
//! PlotJuggler flattens the object, and takes every number and boolean in it for a point of a curve, at the time when
//! the datagram came, or at that of a field, in seconds, if its user names one. Where a datagram is no JSON, it tells its
//! user so and stops. (`plotjuggler_plugins/DataStreamUDP` and `plotjuggler_app/nlohmann_parsers.cpp` of
//! facontidavide/PlotJuggler at commit ddcbd05b.) So only what is JSON beyond doubt is sent, and `timestamp` is put into
//! each object that has none.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::Sink;
use crate::console::tell;
use crate::recording::channels::python_object;
use crate::recording::words::count;

/// The longest datagram over IPv4, in bytes.
const LONGEST: usize = 65_507;

/// The field that says when a message came, in seconds since 1970.
const TIMESTAMP: &str = "timestamp";

/// What became of the messages.
#[derive(Debug, Default)]
pub(crate) struct UdpCounts {
    sent: AtomicU64,
    not_json: AtomicU64,
    too_long: AtomicU64,
    /// Those that the system did not take.
    failed: AtomicU64,
}

impl UdpCounts {
    /// How many were not sent, by cause.
    pub(super) fn left_out(&self) -> [(&'static str, u64); 3] {
        let Self { sent: _, not_json, too_long, failed } = self;
        [("not_json", not_json), ("too_long", too_long), ("not_taken", failed)]
            .map(|(cause, counted)| (cause, counted.load(Ordering::Relaxed)))
    }
}

impl fmt::Display for UdpCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by UDP: {} sent", count(self.sent.load(Ordering::Relaxed), "message"))?;
        let whys = ["no JSON objects", "too long", "not taken by the system"];
        for ((_, left_out), why) in self.left_out().into_iter().zip(whys) {
            if left_out > 0 {
                write!(f, ", {left_out} {why}")?;
            }
        }
        Ok(())
    }
}

/// Where datagrams go. It is never waited for, and nobody knows whether one is received.
#[derive(Debug)]
pub(crate) struct Udp {
    socket: UdpSocket,
    target: SocketAddr,
    counts: Arc<UdpCounts>,
}

impl Udp {
    /// `target` is `HOST:PORT`. Of a host with several addresses it is the first one of IPv4, where PlotJuggler listens,
    /// or else the first one.
    pub(crate) fn new(target: &str) -> io::Result<Self> {
        // Which Windows takes for this machine.
        if target.starts_with(':') {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it has no host"));
        }
        let addresses: Vec<_> = target.to_socket_addrs()?.collect();
        let target = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let target = *target.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "it has no address"))?;
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // Not connected: the system would tell of a port at which nobody listens yet by refusing every other datagram.
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        if target.is_ipv4() {
            socket.set_broadcast(true)?;
        }
        Ok(Self { socket, target, counts: Arc::default() })
    }

    pub(crate) fn counts(&self) -> Arc<UdpCounts> {
        Arc::clone(&self.counts)
    }
}

impl Sink for Udp {
    fn message(&mut self, message: &[u8], time: u64) {
        let UdpCounts { sent, not_json, too_long, failed } = &*self.counts;
        let Some(datagram) = datagram(message, time) else {
            return once(not_json, || "not sent by UDP: messages that are no JSON objects".into());
        };
        if datagram.len() > LONGEST {
            return once(too_long, || format!("not sent by UDP: messages of more than {LONGEST} bytes"));
        }
        match self.socket.send_to(&datagram, self.target) {
            Ok(_) => _ = sent.fetch_add(1, Ordering::Relaxed),
            Err(error) => once(failed, || format!("cannot send to {} by UDP: {error}", self.target)),
        }
    }
}

/// Counts it, and tells of the first one.
fn once(counted: &AtomicU64, why: impl FnOnce() -> String) {
    if counted.fetch_add(1, Ordering::Relaxed) == 0 {
        tell(why());
    }
}

/// A JSON object, with the time when it came, in nanoseconds since 1970, if it says none.
fn datagram(message: &[u8], time: u64) -> Option<Cow<'_, [u8]>> {
    let text = std::str::from_utf8(message).ok()?.trim_ascii();
    if !text.starts_with('{') {
        return None;
    }
    let (object, text) = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => (object, Cow::Borrowed(text)),
        Err(_) => {
            let object = python_object(message, |_| "null")?;
            let text = Value::Object(object.clone()).to_string();
            (object, Cow::Owned(text))
        }
    };
    if object.contains_key(TIMESTAMP) {
        return Some(match text {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        });
    }
    let (seconds, micros) = (time / 1_000_000_000, time / 1000 % 1_000_000);
    let comma = if object.is_empty() { "" } else { "," };
    let rest = &text[1..];
    Some(format!(r#"{{"{TIMESTAMP}":{seconds}.{micros:06}{comma}{rest}"#).into_bytes().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leads_comm_testing::PATIENCE;

    use super::*;

    const TIME: u64 = 1_795_897_762_603_026_999;

    fn of(message: &str) -> Option<String> {
        datagram(message.as_bytes(), TIME).map(|datagram| String::from_utf8(datagram.into_owned()).unwrap())
    }

    #[test]
    fn an_object_is_told_when_it_came() {
        let cases = [
            (r#"{"speed":12.50}"#, r#"{"timestamp":1795897762.603026,"speed":12.50}"#),
            (" { \"a\" : [1] }\r\n", r#"{"timestamp":1795897762.603026, "a" : [1] }"#),
            ("{}", r#"{"timestamp":1795897762.603026}"#),
            (r#"{"a":{"timestamp":1}}"#, r#"{"timestamp":1795897762.603026,"a":{"timestamp":1}}"#),
            (r#"{"timestamp":1, "a":2}"#, r#"{"timestamp":1, "a":2}"#),
            (r#"{"a":NaN,"b":-Infinity}"#, r#"{"timestamp":1795897762.603026,"a":null,"b":null}"#),
        ];
        for (message, datagram) in cases {
            assert_eq!(of(message).as_deref(), Some(datagram));
            assert!(serde_json::from_str::<Value>(datagram).is_ok());
        }
    }

    /// PlotJuggler would stop.
    #[test]
    fn what_is_no_object_is_not_sent() {
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        for message in ["", "{", "1", "[1]", "null", "time_lap", "{}{}", r#"{"a":1e999}"#, r#"{"a":"\ud800"}"#, &deep] {
            assert_eq!(of(message), None, "{message}");
        }
        assert_eq!(datagram(b"{\"a\":\"\xff\"}", TIME), None);
    }

    #[test]
    fn datagrams_arrive_and_all_others_are_counted() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut udp = Udp::new(&peer.local_addr().unwrap().to_string()).unwrap();
        let counts = udp.counts();
        let long =
            |len: usize| format!(r#"{{"timestamp":0,"a":"{}"}}"#, "x".repeat(len - r#"{"timestamp":0,"a":""}"#.len()));
        for message in [r#"{"timestamp":0}"#, "time_lap", &long(LONGEST + 1), &long(LONGEST)] {
            udp.message(message.as_bytes(), TIME);
        }
        let mut bytes = vec![0; LONGEST + 1];
        let lens: Vec<_> = (0..2).map(|_| peer.recv(&mut bytes).unwrap()).collect();
        assert_eq!(lens, [15, LONGEST]);
        assert_eq!(counts.to_string(), "by UDP: 2 messages sent, 1 no JSON objects, 1 too long");
    }

    #[test]
    fn nobody_has_to_listen() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut udp = Udp::new(&gone.to_string()).unwrap();
        (0..10).for_each(|_| udp.message(b"{}", TIME));
        assert_eq!(udp.counts().to_string(), "by UDP: 10 messages sent");
        // PlotJuggler is started later.
        let peer = UdpSocket::bind(gone).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        udp.message(b"{}", TIME);
        assert!(peer.recv(&mut [0; 100]).is_ok());
    }

    #[test]
    fn a_target_has_a_host_and_a_port() {
        for target in ["", "127.0.0.1", ":1", "127.0.0.1:x", "127.0.0.1:70000"] {
            assert!(Udp::new(target).is_err(), "{target}");
        }
        assert!(Udp::new("localhost:9870").unwrap().target.is_ipv4());
        assert!(Udp::new("[::1]:9870").unwrap().target.is_ipv6());
    }
}
