//! A device that is played: the other end of a pseudo-terminal, and what the device says.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use leads_comm::transport::Stream;
use leads_comm::{Client, callback};
use leads_comm_serial::SerialStream;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use support::{Failure, fail};

/// What its answer to `ic` starts with.
pub(crate) const TAG: &[u8] = b"demo";

/// Plugged in as long as it lives.
pub(crate) struct Device {
    port: String,
    /// Keeps the line up while nobody has the port open.
    _line: OwnedFd,
}

impl Device {
    pub(crate) fn plug_in(separator: &[u8]) -> Result<Self, Failure> {
        let (device, line, port) = pair().map_err(|error| fail(format!("cannot make a pseudo-terminal: {error}")))?;
        // It speaks the same protocol, so it is a client as well: one whose stream is there already.
        let stream = Mutex::new(Some(
            SerialStream::new(device, "the port").map_err(|error| fail(format!("cannot play a device: {error}")))?,
        ));
        let take = move |_: &str| {
            let stream = stream.lock().expect("nothing panics here").take();
            Ok(Box::new(stream.ok_or(io::ErrorKind::NotConnected)?) as Box<dyn Stream>)
        };
        let program = callback::on_receive(|connection, message| {
            let answer = match message {
                b"ic" => [TAG, b" 1.0"].concat(),
                b"temperature" => b"temperature:21.5".to_vec(),
                other => [other, b" ok"].concat(),
            };
            // Fails when the port is closed.
            let _ = connection.send(&answer);
        });
        let device = Client::builder().transport(take).separator(separator).callback(program).build()?;
        device.start("", true)?;
        Ok(Self { port, _line: line })
    }

    pub(crate) fn port(&self) -> &str {
        &self.port
    }
}

/// The device's end, the port's, and the port's name.
fn pair() -> io::Result<(OwnedFd, OwnedFd, String)> {
    let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&device)?;
    unlockpt(&device)?;
    let name = ptsname(&device, Vec::new())?.to_string_lossy().into_owned();
    let port = rustix::fs::open(name.as_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    // As it is: nothing echoed, nothing translated.
    let mut settings = tcgetattr(&port)?;
    settings.make_raw();
    tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok((device, port, name))
}
