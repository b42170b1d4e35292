//! `view`: what a page is told of a vehicle and of recordings, what it may ask for, and that nobody holds up anybody.

mod commands;
mod files;
mod foxglove;
mod guarded;
mod guests;
mod hostile;
mod live;
mod monitor;
mod options;
mod saved;
mod slow;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use leads_comm_testing::wire::{Listening, Peer};
use serde_json::Value;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};

use crate::process::{PATIENCE, Process};

const SUBPROTOCOL: &str = "leads-comm.view.1";

/// The command, viewing something; and the port of its page.
struct View {
    process: Process,
    port: u16,
}

impl View {
    /// `view WHAT --listen 127.0.0.1:0 …`
    fn start(arguments: &[&str]) -> Self {
        let process = Process::start(&[&["view", "--listen", "127.0.0.1:0"], arguments].concat());
        let line = process.error_line_with("the page is at http://127.0.0.1:");
        let port = line.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        Self { process, port }
    }

    /// The same of a vehicle, which this end is; connected.
    fn of_vehicle(arguments: &[&str]) -> (Self, Peer) {
        let vehicle = Listening::start();
        let view = Self::start(&[&[&*vehicle.address(), "--monitor", "none"], arguments].concat());
        let peer = vehicle.accept();
        view.process.error_line_with("connected to");
        (view, peer)
    }

    /// A browser's WebSocket, which has been greeted: it is told what comes from now on.
    fn page(&self) -> Page {
        self.page_with("")
    }

    /// One that asks with this query.
    fn page_with(&self, query: &str) -> Page {
        let address = format!("127.0.0.1:{}", self.port);
        let request = ClientRequestBuilder::new(format!("ws://{address}/{query}").parse().unwrap())
            .with_header("Origin", format!("http://{address}"))
            .with_sub_protocol(SUBPROTOCOL);
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let socket = tungstenite::client(request, stream).unwrap().0;
        let mut page = Page { socket, hello: Value::Null, ids: HashMap::new(), samples: Vec::new() };
        let Told::Text(hello) = page.next() else { panic!("a picture comes first") };
        assert_eq!(hello["type"], "hello");
        page.hello = hello;
        page
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port))
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        let (port, len) = (self.port, body.len());
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    fn ask(&self, request: &str) -> Answer {
        ask(self.port, request)
    }
}

/// Sends this, and reads until the other end is done.
fn ask(port: u16, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One who looks, as a browser does.
struct Page {
    socket: WebSocket<TcpStream>,
    /// The first thing that it was told.
    hello: Value,
    /// The ids of numbers, by their paths.
    ids: HashMap<String, String>,
    /// The samples that it was told, since the last jump: id, value, time.
    samples: Vec<(String, f64, f64)>,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Text(Value),
    Picture { name: String, time: f64, bytes: Vec<u8> },
    End,
}

impl Page {
    fn next(&mut self) -> Told {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let told = serde_json::from_str(&text).unwrap();
                    self.remember(&told);
                    return Told::Text(told);
                }
                Ok(Message::Binary(bytes)) => {
                    assert_eq!(bytes[0], 1);
                    let (name, rest) = bytes[2..].split_at(bytes[1].into());
                    let (time, bytes) = rest.split_at(8);
                    return Told::Picture {
                        name: String::from_utf8(name.to_vec()).unwrap(),
                        time: f64::from_be_bytes(time.try_into().unwrap()),
                        bytes: bytes.to_vec(),
                    };
                }
                Ok(Message::Close(_)) => return Told::End,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn remember(&mut self, told: &Value) {
        match told["type"].as_str().unwrap() {
            "fields" => {
                for field in told["fields"].as_array().unwrap() {
                    self.ids.insert(field["path"].as_str().unwrap().to_owned(), field["id"].to_string());
                }
            }
            "samples" => {
                let times = told["t"].as_array().unwrap();
                for (id, values) in told["v"].as_object().unwrap() {
                    assert_eq!(values.as_array().unwrap().len(), times.len());
                    let some = values.as_array().unwrap().iter().zip(times).filter(|(value, _)| !value.is_null());
                    let sample =
                        |(value, time): (&Value, &Value)| (id.clone(), value.as_f64().unwrap(), time.as_f64().unwrap());
                    self.samples.extend(some.map(sample));
                }
            }
            "reset" => self.samples.clear(),
            _ => {}
        }
    }

    /// The next message of this type for which it holds.
    #[track_caller]
    fn find(&mut self, kind: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            match self.next() {
                Told::Text(told) if told["type"] == kind => {
                    if holds(&told) {
                        return told;
                    }
                    last = told;
                }
                Told::End => panic!("it has ended; the last {kind} was {last}"),
                _ => {}
            }
        }
        panic!("no {kind} was as it should be, the last one was {last}");
    }

    fn say(&mut self, said: Value) {
        self.socket.send(Message::text(said.to_string())).unwrap();
    }

    /// Waits for a value of a number, by its path, in what the page draws; returns the time that it has.
    #[track_caller]
    fn find_sample(&mut self, path: &str, value: f64) -> f64 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(id) = self.ids.get(path) {
                let is_it = |(other, sample, _): &&(String, f64, f64)| other == id && *sample == value;
                if let Some((_, _, time)) = self.samples.iter().find(is_it) {
                    return *time;
                }
            }
            assert_ne!(self.next(), Told::End);
        }
        panic!("{path} was never {value}");
    }
}

/// A picture, as far as it is looked at.
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01 and so on";
