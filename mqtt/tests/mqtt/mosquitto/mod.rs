//! Against mosquitto, and with clients that are not ours. Skipped where it is not installed.

mod kills;
mod refusals;
mod seen;
mod sharing;
#[cfg(unix)]
mod stopped;
#[cfg(feature = "tls")]
mod tls;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use leads_comm_mqtt::{Bridge, BridgeBuilder, Event};
use leads_comm_testing::child;
use leads_comm_testing::mosquitto::Mosquitto;

use super::{PATIENCE, builder};

/// What a foreign client prints, line by line; none where there is no such client.
fn subscribe(broker: &Mosquitto, arguments: &[&str]) -> Option<Subscriber> {
    if !["mosquitto_sub", "stdbuf"].iter().all(|program| child::is_there(program, "what others see of it")) {
        return None;
    }
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &broker.port().to_string(), "-F", "%t %r %q %x"]);
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (tell, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    Some(Subscriber { child, lines })
}

struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Topic, whether it is retained, QoS and payload.
    fn next(&self) -> (String, bool, u8, Vec<u8>) {
        let line = self.lines.recv_timeout(PATIENCE).expect("nothing comes");
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        let (topic, retained, qos, payload) = (word(), word(), word(), word());
        let digits = |at: usize| u8::from_str_radix(&payload[at..at + 2], 16).unwrap();
        (topic, retained == "1", qos.parse().unwrap(), (0..payload.len()).step_by(2).map(digits).collect())
    }

    /// The next message for which this holds.
    fn find(&self, mut holds: impl FnMut(&str, &[u8]) -> bool) -> (String, bool, u8, Vec<u8>) {
        loop {
            let found = self.next();
            if holds(&found.0, &found.3) {
                return found;
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OPEN: &str = "allow_anonymous true\npersistence false\n";

fn bridge_to(broker: &Mosquitto, adapt: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> (Bridge, Receiver<Event>) {
    let (builder, events) = builder();
    let bridge = adapt(builder.close_timeout(Duration::from_secs(5))).build().unwrap();
    bridge.start(&broker.address()).unwrap();
    (bridge, events)
}
