//! Figures that tests report.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use leads_comm::{Client, ClientBuilder, callback};

use super::PATIENCE;

/// What the 99 slowest of 100 take less than.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// A client whose messages a server answers, and that measures how long that takes.
pub struct Prober {
    client: Client,
    answers: mpsc::Receiver<Vec<u8>>,
}

impl Prober {
    /// A client of the server at `address`.
    pub fn start(builder: ClientBuilder, address: &str) -> Self {
        let (answered, answers) = mpsc::channel();
        let callback = callback::on_receive(move |_, message| answered.send(message.to_vec()).unwrap());
        let client = builder.callback(callback).build().unwrap();
        client.start(address, true).unwrap();
        Self { client, answers }
    }

    /// How long one message takes there and back.
    pub fn probe(&self, message: &[u8]) -> Duration {
        let sent = Instant::now();
        self.client.send(message).expect("a healthy client was ended");
        let answer = self.answers.recv_timeout(PATIENCE).expect("a healthy client is not served");
        assert!(answer == message);
        sent.elapsed()
    }

    /// How long each of `count` messages takes.
    pub fn probes(&self, count: usize, message: &[u8]) -> Vec<Duration> {
        (0..count).map(|_| self.probe(message)).collect()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.client.close();
    }
}
