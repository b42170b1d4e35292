//! A broker that does what a test tells it, and shows the packets that it gets. Knows nothing of the crate, so that its
//! reading of the protocol is a second one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::PATIENCE;

/// Accepts connections until it is dropped.
pub(crate) struct Broker {
    address: SocketAddr,
    accepted: Receiver<TcpStream>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One connection to it.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Connect(Connect),
    Publish(Publish),
    Puback(u16),
    Subscribe { id: u16, topic: String, qos: u8 },
    Ping,
    Disconnect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) protocol: (String, u8),
    pub(crate) client_id: String,
    pub(crate) keep_alive: u16,
    pub(crate) is_clean: bool,
    pub(crate) will: Option<Publish>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) is_retained: bool,
    pub(crate) is_again: bool,
    pub(crate) id: Option<u16>,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accept, accepted) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if is_over.load(Ordering::SeqCst) || accept.send(stream).is_err() {
                        return;
                    }
                }
            }
        });
        Self { address, accepted, is_over, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        self.accept_within(PATIENCE).expect("nobody connects")
    }

    /// The next connection, if there is one in time.
    pub(crate) fn accept_within(&self, time: Duration) -> Option<Peer> {
        let stream = self.accepted.recv_timeout(time).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Peer { stream })
    }

    /// The next session: what the client has said, and where.
    pub(crate) fn session(&self) -> (Peer, Connect) {
        let mut peer = self.accept();
        let connect = peer.connect();
        peer.send(b"\x20\x02\0\0");
        (peer, connect)
    }

    /// The next session, behind what the bridge says of itself, which has been acknowledged.
    pub(crate) fn online(&self) -> (Peer, String) {
        let (mut peer, _) = self.session();
        let status = peer.publish();
        assert_eq!((&*status.topic, status.qos, status.is_retained), ("leads/car/s/status", 1, true));
        peer.acknowledge(&status);
        (peer, String::from_utf8(status.payload).unwrap())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Peer {
    /// The next packet.
    pub(crate) fn packet(&mut self) -> Packet {
        self.try_packet().expect("no further packet").expect("the client has ended the connection")
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) fn try_packet(&mut self) -> io::Result<Option<Packet>> {
        let Some((first, body)) = read_raw(&mut self.stream)? else { return Ok(None) };
        Ok(Some(parse(first, &body)))
    }

    /// The packet with which a client begins.
    pub(crate) fn connect(&mut self) -> Connect {
        match self.packet() {
            Packet::Connect(connect) => connect,
            other => panic!("{other:?}"),
        }
    }

    /// The next message; questions for a sign of life are answered.
    pub(crate) fn publish(&mut self) -> Publish {
        loop {
            match self.packet() {
                Packet::Publish(publish) => return publish,
                Packet::Ping => self.send(b"\xD0\0"),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message that is none of the bridge's own, which are acknowledged.
    pub(crate) fn message(&mut self) -> Publish {
        loop {
            let publish = self.publish();
            if publish.topic != "leads/car/s/status" {
                return publish;
            }
            self.acknowledge(&publish);
        }
    }

    /// The next subscription, which is granted.
    pub(crate) fn subscription(&mut self) -> (String, u8) {
        match self.packet() {
            Packet::Subscribe { id, topic, qos } => {
                self.send(&[&[0x90, 3], &id.to_be_bytes()[..], &[qos]].concat());
                (topic, qos)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Acknowledges a message that wants it.
    pub(crate) fn acknowledge(&mut self, publish: &Publish) {
        if let Some(id) = publish.id {
            self.send(&[&[0x40, 2], &id.to_be_bytes()[..]].concat());
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a message, with QoS 1 if it has a number.
    pub(crate) fn send_message(&mut self, topic: &str, payload: &[u8], id: Option<u16>, is_retained: bool) {
        let first = 0x30 | if id.is_some() { 2 } else { 0 } | u8::from(is_retained);
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.extend(id.map(u16::to_be_bytes).into_iter().flatten());
        body.extend_from_slice(payload);
        self.send(&[&head(first, body.len())[..], &body].concat());
    }

    /// Waits for the end of the stream; what comes before it is given back.
    pub(crate) fn rest(mut self) -> Vec<Packet> {
        // A reset is an end as well.
        std::iter::from_fn(|| self.try_packet().ok().flatten()).collect()
    }

    /// Ends the connection, as a broker does that is killed.
    pub(crate) fn cut(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn head(first: u8, mut len: usize) -> Vec<u8> {
    let mut head = vec![first];
    loop {
        head.push((len % 128) as u8 | if len >= 128 { 0x80 } else { 0 });
        len /= 128;
        if len == 0 {
            return head;
        }
    }
}

/// One packet: its first byte, and what is behind the length.
pub(crate) fn read_raw(stream: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut byte = [0];
    if stream.read(&mut byte)? == 0 {
        return Ok(None);
    }
    let first = byte[0];
    let (mut len, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok(Some((first, body)))
}

fn parse(first: u8, body: &[u8]) -> Packet {
    let mut rest = Rest(body);
    let packet = match (first >> 4, first & 0x0F) {
        (1, 0) => Packet::Connect(parse_connect(&mut rest)),
        (3, flags) => return Packet::Publish(parse_publish(flags, body)),
        (4, 0) => Packet::Puback(rest.number()),
        (8, 2) => {
            let (id, topic) = (rest.number(), rest.text());
            Packet::Subscribe { id, topic, qos: rest.byte() }
        }
        (12, 0) => Packet::Ping,
        (14, 0) => Packet::Disconnect,
        _ => panic!("a client does not send {first:#x}"),
    };
    assert!(rest.0.is_empty(), "{packet:?} and {:?}", rest.0);
    packet
}

fn parse_connect(rest: &mut Rest<'_>) -> Connect {
    let protocol = (rest.text(), rest.byte());
    let flags = rest.byte();
    let keep_alive = rest.number();
    let client_id = rest.text();
    let will = (flags & 4 != 0).then(|| Publish {
        topic: rest.text(),
        payload: rest.bytes(),
        qos: flags >> 3 & 3,
        is_retained: flags & 32 != 0,
        is_again: false,
        id: None,
    });
    let user = (flags & 128 != 0).then(|| rest.text());
    let password = (flags & 64 != 0).then(|| rest.bytes());
    Connect { protocol, client_id, keep_alive, is_clean: flags & 2 != 0, will, user, password }
}

/// What is behind the length of PUBLISH, which both sides send.
pub(crate) fn parse_publish(flags: u8, body: &[u8]) -> Publish {
    let mut rest = Rest(body);
    let topic = rest.text();
    let qos = flags >> 1 & 3;
    let id = (qos > 0).then(|| rest.number());
    let (is_retained, is_again) = (flags & 1 != 0, flags & 8 != 0);
    Publish { topic, payload: rest.0.to_vec(), qos, is_retained, is_again, id }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> u8 {
        let byte = self.0[0];
        self.0 = &self.0[1..];
        byte
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.number());
        let bytes = self.0[..len].to_vec();
        self.0 = &self.0[len..];
        bytes
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}
