//! What goes through a TLS stream.

use std::io::{self, IoSlice, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use leads_comm::transport::tls::TlsStream;
use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::rustls::{self, AlertDescription};
use leads_comm_testing::certificates::Pki;
use leads_comm_testing::in_time;
use leads_comm_testing::layer::{self, How, Layer};
use leads_comm_testing::seed::Seed;

use super::pairs::*;

/// Bytes that differ everywhere.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn carries_bytes_in_any_portions() {
    let pki = Pki::new();
    for below in BELOW {
        let (server, client) = below.connected(&pki.server(), &pki.client());
        for (len, chunk) in
            [(1, 1), (100, 1), (1000, 7), (16_384, 1000), (16_385, 16_384), (300_000, 1024), (2_000_000, 131_072)]
        {
            let sent = bytes(len);
            let (writer, expected) = (Arc::clone(&client), sent.clone());
            let writing = thread::spawn(move || write_all(&*writer, &sent));
            let reader = Arc::clone(&server);
            let received = in_time("reading", move || read_exact(&*reader, len, chunk)).unwrap();
            writing.join().unwrap().unwrap();
            assert!(received == expected, "{below:?}: {len} in portions of {chunk}");
        }
    }
}

#[test]
fn both_directions_at_once_do_not_wait_for_each_other() {
    const LEN: usize = 64 << 20;
    let pki = Pki::new();
    let (server, client) = Below::Tcp.connected(&pki.server(), &pki.client());
    let begun = Instant::now();
    in_time("64 MiB both ways", move || {
        let sent = Arc::new(bytes(LEN));
        let threads: Vec<_> = [server, client]
            .into_iter()
            .flat_map(|stream| {
                let (reader, writer) = (Arc::clone(&stream), stream);
                let (to_send, to_compare) = (Arc::clone(&sent), Arc::clone(&sent));
                [
                    thread::spawn(move || write_all(&*writer, &to_send).unwrap()),
                    thread::spawn(move || assert!(read_exact(&*reader, LEN, 65_536).unwrap() == *to_compare)),
                ]
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    println!("64 MiB both ways in {:?}", begun.elapsed());
}

#[test]
fn the_end_and_being_cut_off_are_told_apart() {
    let pki = Pki::new();
    for below in BELOW {
        // A regular end of one half: the other goes on.
        let (server, client) = below.connected(&pki.server(), &pki.client());
        write_all(&*client, b"last").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_exact(&*server, 5, 5).unwrap(), b"last", "{below:?}");
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        write_all(&*server, b"answer").unwrap();
        assert_eq!(read_exact(&*client, 6, 6).unwrap(), b"answer", "{below:?}");

        // No regular end: what is below has ended, and TLS has not said so.
        let (server, client) = below.connected(&pki.server(), &pki.client());
        write_all(&*client, b"last").unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_exact(&*server, 4, 4).unwrap(), b"last", "{below:?}");
        let error = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{below:?}: {error}");
    }
}

#[test]
fn nothing_is_read_or_written_before_the_handshake() {
    let pki = Pki::new();
    let (server, client) = Below::Memory.tls(&pki.server(), &pki.client());
    assert!(server.needs_handshake());
    for stream in [&server, &client] {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(stream.try_write_vectored(&[IoSlice::new(b"x")]).unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
    assert!(server.peer_certificates().is_empty());
    let (served, connected) = shake_hands(&server, &client);
    served.and(connected).unwrap();
}

/// A client made of rustls itself, on what lies below a stream of ours.
struct Rustls {
    connection: rustls::ClientConnection,
    below: Box<dyn Stream>,
}

impl Rustls {
    fn shake_hands(below: Box<dyn Stream>, config: Arc<rustls::ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut this = Self { connection: rustls::ClientConnection::new(config, name).unwrap(), below };
        while this.connection.is_handshaking() {
            this.write_out();
            if this.connection.is_handshaking() {
                this.read();
            }
        }
        this.write_out();
        this
    }

    fn write_out(&mut self) {
        while self.connection.wants_write() {
            let mut out = Vec::new();
            self.connection.write_tls(&mut out).unwrap();
            write_all(&*self.below, &out).unwrap();
        }
    }

    fn read(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let count = self.below.read(&mut chunk).unwrap();
        let mut bytes = &chunk[..count];
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            self.connection.process_new_packets().unwrap();
        }
        count
    }

    fn send(&mut self, bytes: &[u8]) {
        assert_eq!(self.connection.writer().write(bytes).unwrap(), bytes.len());
        self.write_out();
    }

    fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match io::Read::read(&mut self.connection.reader(), &mut bytes[filled..]) {
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(self.read()),
                Err(error) => panic!("{error}"),
            }
        }
        bytes
    }
}

/// A server's end of ours, and a client of rustls.
fn against_rustls(pki: &Pki, version: &'static rustls::SupportedProtocolVersion) -> (Arc<TlsStream>, Rustls) {
    let (server_end, client_end) = Below::Memory.pair();
    let server = Arc::new(TlsStream::server(server_end, &pki.server()).unwrap());
    let config = pki.rustls_client(version, None);
    let client = in_time("the handshake", {
        let server = Arc::clone(&server);
        move || {
            let connecting = thread::spawn(|| Rustls::shake_hands(client_end, config));
            server.handshake().unwrap();
            connecting.join().unwrap()
        }
    });
    (server, client)
}

#[test]
fn keys_are_renewed_in_the_middle_of_the_stream() {
    let pki = Pki::new();
    let (server, mut client) = against_rustls(&pki, &rustls::version::TLS13);
    in_time("key updates", move || {
        for round in 0..10_u8 {
            client.send(&[round; 100]);
            client.connection.refresh_traffic_keys().unwrap();
            client.send(&[round; 20_000]);
            let received = read_exact(&*server, 20_100, 1024).unwrap();
            assert!(received.iter().all(|byte| *byte == round));
            // With the answer to the update in front.
            write_all(&*server, &[!round; 20_000]).unwrap();
            assert!(client.receive(20_000).iter().all(|byte| *byte == !round));
        }
    });
}

#[test]
fn a_peer_with_nothing_but_tls_1_2_is_served() {
    let pki = Pki::new();
    let (server, mut client) = against_rustls(&pki, &rustls::version::TLS12);
    in_time("TLS 1.2", move || {
        client.send(&[7; 30_000]);
        assert!(read_exact(&*server, 30_000, 4096).unwrap() == [7; 30_000]);
        write_all(&*server, &[8; 30_000]).unwrap();
        assert!(client.receive(30_000) == [8; 30_000]);
        server.shutdown(Shutdown::Write).unwrap();
        client.read();
        assert_eq!(io::Read::read(&mut client.connection.reader(), &mut [0]).unwrap(), 0);
    });
}

#[test]
fn what_is_forged_ends_the_stream_behind_what_was_not() {
    let pki = Pki::new();
    let (server, mut client) = against_rustls(&pki, &rustls::version::TLS13);
    in_time("a forged record", move || {
        client.connection.writer().write_all(b"genuine").unwrap();
        let mut out = Vec::new();
        client.connection.write_tls(&mut out).unwrap();
        let genuine = out.len();
        client.connection.writer().write_all(b"forged").unwrap();
        client.connection.write_tls(&mut out).unwrap();
        out[genuine + 7] ^= 1;
        write_all(&*client.below, &out).unwrap();
        assert_eq!(read_exact(&*server, 7, 1024).unwrap(), b"genuine");
        for _ in 0..2 {
            let error = server.read(&mut [0; 100]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let source = error.get_ref().unwrap().source().unwrap().downcast_ref::<rustls::Error>();
            assert_eq!(source, Some(&rustls::Error::DecryptError), "{error}");
        }
        let error = server.try_write_vectored(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        // The peer is told.
        let mut chunk = [0; 100];
        let count = client.below.read(&mut chunk).unwrap();
        client.connection.read_tls(&mut &chunk[..count]).unwrap();
        let alert = client.connection.process_new_packets().unwrap_err();
        assert_eq!(alert, rustls::Error::AlertReceived(AlertDescription::BadRecordMac));
    });
}

/// Also where both have come at once, so that one read has an outcome of its own, and only the next one fails.
#[test]
fn the_peer_is_told_of_what_is_forged_right_behind_what_was_not() {
    let pki = Pki::new();
    let (server, mut client) = against_rustls(&pki, &rustls::version::TLS13);
    in_time("a forged record", move || {
        client.connection.writer().write_all(b"genuine").unwrap();
        let mut out = Vec::new();
        client.connection.write_tls(&mut out).unwrap();
        client.connection.writer().write_all(b"forged").unwrap();
        client.connection.write_tls(&mut out).unwrap();
        *out.last_mut().unwrap() ^= 1;
        write_all(&*client.below, &out).unwrap();
        let mut chunk = [0; 1024];
        assert_eq!(server.read(&mut chunk).unwrap(), 7);
        assert_eq!(server.read(&mut chunk).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let count = client.below.read(&mut chunk).unwrap();
        client.connection.read_tls(&mut &chunk[..count]).unwrap();
        let alert = client.connection.process_new_packets().unwrap_err();
        assert_eq!(alert, rustls::Error::AlertReceived(AlertDescription::BadRecordMac));
    });
}

/// Only what blocks is there, and it says so of both calls that do not.
struct Blocking;

impl Layer for Blocking {
    fn is_bare(&self) -> bool {
        true
    }

    fn flush(&self, stream: &dyn Stream, how: How) -> io::Result<()> {
        if how == How::Direct { Err(io::ErrorKind::Unsupported.into()) } else { how.flush(stream) }
    }
}

#[test]
fn the_end_of_a_stream_that_only_blocks_is_handed_on_by_a_flush() {
    let pki = Pki::new();
    let (server_end, client_end) = Below::Memory.pair();
    let name = ServerName::try_from("localhost").unwrap();
    let server = Arc::new(TlsStream::server(server_end, &pki.server()).unwrap());
    let client =
        Arc::new(TlsStream::client(layer::stream(client_end, &Arc::new(Blocking)), &pki.client(), name).unwrap());
    let (served, connected) = shake_hands(&server, &client);
    served.and(connected).unwrap();
    in_time("the end", move || {
        write_all(&*client, b"last").unwrap();
        assert_eq!(client.shutdown(Shutdown::Write).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.flush().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_exact(&*server, 5, 5).unwrap(), b"last");
    });
}

#[test]
fn a_write_that_does_not_block_takes_little_and_loses_nothing() {
    let pki = Pki::new();
    let (server, client) = Below::Memory.connected(&pki.server(), &pki.client());
    let sent = bytes(1_000_000);
    let mut taken = 0;
    let blocked = loop {
        match client.try_write_vectored(&[IoSlice::new(&sent[taken..])]) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
        if let Err(error) = client.try_flush() {
            break error;
        }
    };
    assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
    // Nothing more is taken before that is out.
    assert_eq!(client.try_flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let nothing = client.try_write_vectored(&[IoSlice::new(b"x")]);
    assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(client.shutdown(Shutdown::Write).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let reader = Arc::clone(&server);
    let more = sent.len() + 1;
    let reading = thread::spawn(move || read_exact(&*reader, more, 4096).unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    while client.shutdown(Shutdown::Write).is_err() {
        assert!(Instant::now() < until);
        let _ = client.try_flush();
    }
    assert!(reading.join().unwrap() == sent[..taken], "{taken} bytes");
}

#[test]
fn a_write_takes_more_than_is_encrypted_at_once_where_there_is_room() {
    const HELD: usize = 48 * 1024;
    let pki = Pki::new();
    for pieces in
        [&[100_000][..], &[1, HELD - 1, 0, 1, 30_000, 20_847], &[HELD + 1, 0, 1000, HELD - 1, 7], &[HELD, HELD]]
    {
        let (server, client) = Below::Tcp.connected(&pki.server(), &pki.client());
        let sent = bytes(pieces.iter().sum());
        let mut rest = &sent[..];
        let mut slices = Vec::new();
        for &len in pieces {
            let (piece, behind) = rest.split_at(len);
            slices.push(IoSlice::new(piece));
            rest = behind;
        }
        let taken = client.try_write_vectored(&slices).unwrap();
        assert!(taken > HELD, "{pieces:?}: {taken}");
        let reading = thread::spawn(move || read_exact(&*server, 200_000, 10_000).unwrap());
        client.flush().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(reading.join().unwrap() == sent[..taken], "{pieces:?}");
    }
}

#[test]
fn the_handshake_ends_when_the_stream_is_aborted() {
    let pki = Pki::new();
    for below in BELOW {
        let (server, client) = below.tls(&pki.server(), &pki.client());
        let shaking = Arc::clone(&server);
        let (begun, begins) = std::sync::mpsc::channel();
        let aborted = thread::spawn(move || {
            begun.send(()).unwrap();
            shaking.handshake()
        });
        begins.recv().unwrap();
        server.abort().unwrap();
        assert!(in_time("an aborted handshake", move || aborted.join().unwrap()).is_err(), "{below:?}");
        drop(server);
        assert!(in_time("the other end", move || client.handshake()).is_err(), "{below:?}");
    }
}

#[test]
fn rubbish_is_refused_whatever_it_is() {
    let pki = Pki::new();
    // The first flight of a client.
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(pki.rustls_client(&rustls::version::TLS13, None), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let config = pki.server();
    let seed = Seed::new();
    for round in 0..500 {
        let mut random = seed.random(round);
        let mut said = match random.within(0..=2) {
            0 => (0..random.within(1..=600)).map(|_| random.number() as u8).collect(),
            _ => hello.clone(),
        };
        for _ in 0..random.within(0..=3) {
            let at = random.within(0..=said.len() - 1);
            said[at] ^= 1 << random.within(0..=7);
        }
        said.truncate(random.within(1..=said.len()));
        let (server_end, client_end) = Below::Memory.pair();
        let server = TlsStream::server(server_end, &config).unwrap();
        write_all(&*client_end, &said).unwrap();
        client_end.shutdown(Shutdown::Write).unwrap();
        let error = in_time("a handshake with rubbish", move || server.handshake()).unwrap_err();
        let is_right = match said[0] {
            // A type of records.
            20..=24 => matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
            _ => error.kind() == io::ErrorKind::Unsupported,
        };
        assert!(is_right, "{seed}: {error}");
    }
}
