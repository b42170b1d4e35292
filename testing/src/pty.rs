//! Pseudo-terminals: one end is a port that a client opens, the other a device that a test plays.

use std::fs;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use leads_comm::codec::{Decoder, Separator};
use leads_comm::transport::Stream;
use leads_comm_serial::SerialStream;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A pair of ends that pass on what is written to them, as it is unless it is a [terminal](Self::terminal).
pub struct Pair {
    /// The device's end.
    pub device: OwnedFd,
    /// The other end, which stays open, so that the device does not notice when a client closes it; as with a cable.
    pub port: OwnedFd,
    /// The port's name.
    pub name: String,
}

impl Pair {
    /// A pair that nobody has.
    pub fn open() -> Self {
        let pair = Self::terminal();
        let mut settings = tcgetattr(&pair.port).unwrap();
        settings.make_raw();
        tcsetattr(&pair.port, OptionalActions::Now, &settings).unwrap();
        pair
    }

    /// The same as the system makes it: a terminal, which puts lines together and shows what is typed.
    pub fn terminal() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        #[cfg(not(target_vendor = "apple"))]
        let flags = flags | OpenptFlags::CLOEXEC;
        let device = openpt(flags).unwrap();
        // Where it cannot be asked for at once.
        #[cfg(target_vendor = "apple")]
        rustix::io::fcntl_setfd(&device, rustix::io::FdFlags::CLOEXEC).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let name = ptsname(&device, Vec::new()).unwrap().into_string().unwrap();
        let port = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        Self { device, port, name }
    }
}

/// A device that a test plays. Unplugged when dropped.
pub struct Device {
    name: String,
    link: Option<PathBuf>,
    wire: Arc<Wire>,
    heard: Receiver<Vec<u8>>,
    ear: Option<JoinHandle<()>>,
}

/// The device's end of its line.
pub struct Wire {
    stream: SerialStream,
    port: OwnedFd,
}

impl Wire {
    /// Sends these bytes.
    pub fn say(&self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            match self.stream.write_vectored(&[IoSlice::new(bytes)]) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Unplugged meanwhile.
                Err(_) => return,
            }
        }
    }

    /// At which speed the client has set the line.
    pub fn speed(&self) -> u32 {
        tcgetattr(&self.port).unwrap().output_speed()
    }
}

impl Device {
    /// A device that says nothing, and whose messages `heard` gives out.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    /// A device that answers `question` by `answer`.
    pub fn answering(question: &'static str, answer: &'static str) -> Self {
        Self::new(move |wire, message| {
            if message == question.as_bytes() {
                wire.say(answer);
            }
        })
    }

    /// A device that does something for each message.
    pub fn new(behave: impl Fn(&Wire, &[u8]) + Send + 'static) -> Self {
        Self::made(None, behave)
    }

    /// The same, at a port with a certain name.
    pub fn at(link: &Path, behave: impl Fn(&Wire, &[u8]) + Send + 'static) -> Self {
        Self::made(Some(link), behave)
    }

    fn made(link: Option<&Path>, behave: impl Fn(&Wire, &[u8]) + Send + 'static) -> Self {
        let Pair { device, port, name } = Pair::open();
        let wire = Arc::new(Wire { stream: SerialStream::new(device, "client").unwrap(), port });
        let name = link.map_or(name.clone(), |link| {
            symlink(&name, link).unwrap();
            link.to_str().unwrap().to_owned()
        });
        let (told, heard) = mpsc::channel();
        let ear = Arc::clone(&wire);
        let ear = thread::spawn(move || {
            let mut decoder = Decoder::new(Separator::default(), usize::MAX);
            let mut chunk = [0; 4096];
            loop {
                let count = match ear.stream.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => 0,
                    Err(_) => return,
                };
                let mut arrived = decoder.decode(&chunk[..count]);
                while let Some(message) = arrived.next_message().unwrap() {
                    behave(&ear, message);
                    let _ = told.send(message.to_vec());
                }
            }
        });
        Self { name, link: link.map(Path::to_owned), wire, heard, ear: Some(ear) }
    }

    /// The name of its port.
    pub fn port(&self) -> &str {
        &self.name
    }

    /// Sends these bytes.
    pub fn say(&self, bytes: impl AsRef<[u8]>) {
        self.wire.say(bytes);
    }

    /// Its end of the line, for another thread.
    pub fn wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    /// The next message that it is sent.
    pub fn next(&self) -> Vec<u8> {
        self.heard.recv_timeout(super::PATIENCE).expect("the device is sent nothing")
    }

    /// The messages that it has been sent so far.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.try_iter().collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = fs::remove_file(link);
        }
        self.wire.stream.shutdown(Shutdown::Both).unwrap();
        // The last of those who have it open, so that the port is gone then.
        let _ = self.ear.take().map(JoinHandle::join);
    }
}

/// A directory for names of ports, removed in the end.
pub struct Names(PathBuf);

impl Names {
    /// A folder that is empty.
    pub fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leads-comm-ports-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A name in it.
    pub fn name(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What there is, as a list of ports.
    pub fn list(&self) -> impl Fn() -> io::Result<Vec<String>> + Send + Sync + 'static {
        let path = self.0.clone();
        move || {
            let mut names: Vec<String> = fs::read_dir(&path)?
                .map(|entry| Ok(entry?.path().to_str().unwrap().to_owned()))
                .collect::<io::Result<_>>()?;
            names.sort();
            Ok(names)
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
