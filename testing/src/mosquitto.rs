//! mosquitto, a broker of MQTT that is not ours, where it is installed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::folder::Folder;
use super::{PATIENCE, child, free_port};

/// A broker in a folder of its own, which can be killed and started again.
pub struct Mosquitto {
    /// Where its files are.
    pub folder: Folder,
    config: String,
    port: Option<u16>,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts one; says that a test is skipped where there is none. `config` is what it is told besides where it
    /// listens, `FOLDER` in it where its files are.
    pub fn start(config: &str) -> Option<Self> {
        let mut this = Self::new(config)?;
        this.run();
        Some(this)
    }

    /// One that is not started yet, and has no port.
    pub fn new(config: &str) -> Option<Self> {
        if !child::is_there("mosquitto", "what is tested against a real broker") {
            return None;
        }
        let folder = Folder::new("mosquitto");
        let config = config.replace("FOLDER", &folder.path().display().to_string());
        Some(Self { folder, config, port: None, child: None })
    }

    /// Puts a file into its folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Starts it, on the port that it has had, and waits until it listens.
    pub fn run(&mut self) {
        if let Some(port) = self.port {
            return assert!(self.runs_on(port), "mosquitto does not get its port {port} again");
        }
        // Another program may be faster.
        let port = (0..10).map(|_| free_port()).find(|port| self.runs_on(*port));
        self.port = Some(port.expect("mosquitto does not listen; why is above"));
    }

    /// Whether it listens there. That another does is not enough, which a connection would not tell.
    fn runs_on(&mut self, port: u16) -> bool {
        self.kill();
        let folder = self.folder.path().display();
        // As the user who runs this test, who can write there.
        let user = if cfg!(unix) { "user root\n" } else { "" };
        let place = format!("listener {port} 127.0.0.1\n{user}persistence_location {folder}/\n");
        self.write("mosquitto.conf", &(place + &self.config));
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.path().join("mosquitto.conf"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        self.child = Some(child);
        let (tell, lines) = mpsc::channel();
        // Also what nobody wants to know any more, so that it never waits for a reader.
        thread::spawn(move || said.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.ends_with(" running") => return true,
                Ok(line) => println!("mosquitto: {line}"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("mosquitto does not say that it runs"),
            }
        }
        self.kill();
        false
    }

    /// Ends it, by SIGKILL on Unix.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it has been started").id()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.expect("it has been started")
    }

    /// The same, with its host.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
