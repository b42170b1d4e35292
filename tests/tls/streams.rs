//! What goes through a TLS stream.

use std::error::Error as _;
use std::io::{self, IoSlice, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::rustls::{self, AlertDescription};
use leads_comm::transport::tls::{ClientConfig, TlsStream};

use crate::pairs::*;
use crate::support::certificates::Pki;
use crate::support::in_time;

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
