use std::fmt;
use std::io;
use std::sync::Arc;

use leads_comm::transport::{Connector, Stream};

use crate::identity::Identity;
use crate::ports::Ports;
use crate::seeker::Seeker;
use crate::settings::{CharSize, FlowControl, Parity, Settings, StopBits};

/// The address that stands for any port that has the device.
const AUTO: &str = "auto";

/// Connects over serial ports: 9600 baud, 8 bits, no parity, one stop bit, no flow control, unless told otherwise.
///
/// The address given to [`Client::start`](leads_comm::Client::start) is the name of a port, such as `/dev/ttyUSB0` or
/// `COM3`; or `auto`, and the port is found by the device's [`Identity`].
pub struct SerialConnector {
    settings: Settings,
    identity: Option<Identity>,
    ports: Ports,
    /// Made of the above, for each connector anew.
    seeker: Arc<Seeker>,
}

impl SerialConnector {
    /// A connector that recognises no device, and so wants a port's name.
    pub fn new() -> Self {
        Self::of(Settings::default(), None, Ports::shared())
    }

    fn of(settings: Settings, identity: Option<Identity>, ports: Ports) -> Self {
        let seeker = Arc::new(Seeker { settings, identity: identity.clone(), ..Seeker::default() });
        if identity.is_some() {
            ports.note(&seeker);
        }
        Self { settings, identity, ports, seeker }
    }

    fn set(self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.settings;
        set(&mut settings);
        Self::of(settings, self.identity, self.ports)
    }

    /// The speed of the line, in bits a second. More than 0. Default 9600.
    pub fn baud_rate(self, baud_rate: u32) -> Self {
        self.set(|settings| settings.baud_rate = baud_rate)
    }

    /// Default 8 bits.
    pub fn char_size(self, char_size: CharSize) -> Self {
        self.set(|settings| settings.char_size = char_size)
    }

    /// Default none.
    pub fn parity(self, parity: Parity) -> Self {
        self.set(|settings| settings.parity = parity)
    }

    /// Default one.
    pub fn stop_bits(self, stop_bits: StopBits) -> Self {
        self.set(|settings| settings.stop_bits = stop_bits)
    }

    /// Default none.
    pub fn flow_control(self, flow_control: FlowControl) -> Self {
        self.set(|settings| settings.flow_control = flow_control)
    }

    /// How the device is recognised. It is looked for at every port when the address is `auto`, and has to be there
    /// when the address is a port's name.
    pub fn identity(self, identity: Identity) -> Self {
        Self::of(self.settings, Some(identity), self.ports)
    }

    /// Other ports than those that are [shared](Ports::shared) by the whole process.
    pub fn ports(self, ports: Ports) -> Self {
        Self::of(self.settings, self.identity, ports)
    }
}

impl Connector for SerialConnector {
    /// Opens the port `address`, for this process alone, and throws away what had arrived before. With `auto`, asks the
    /// ports that are not in use one after the other, each for as long as the [`Identity`] says; after other clients
    /// that do so.
    ///
    /// # Errors
    ///
    /// Of a port: `NotFound` when there is none of that name; `ResourceBusy` when it is open already, here or in a
    /// program that keeps others out; `PermissionDenied`; `InvalidInput` when it is no serial port or `auto` is given
    /// without an identity; `InvalidData` when it has another device; what the system says of settings that the port
    /// does not have.
    ///
    /// Of `auto`: `NotFound` when no port has the device. That, and another device, is an
    /// [`IdentityError`](crate::IdentityError). `ConnectionAborted` once the connector has been stopped.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.seeker.stopping.go_on()?;
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.settings.baud_rate == 0 {
            return invalid("the baud rate must not be 0");
        }
        let stream = match address {
            AUTO if self.identity.is_none() => return invalid("an identity is needed to find a port by itself"),
            AUTO => self.ports.find(&self.seeker)?,
            name => self.ports.open(name, &self.seeker)?,
        };
        Ok(Box::new(stream))
    }

    /// At once, also in the middle of asking.
    fn stop(&self) {
        self.seeker.stopping.stop();
        self.ports.wake();
    }
}

impl Default for SerialConnector {
    fn default() -> Self {
        Self::new()
    }
}

/// Another connector with the same settings and ports; each is [stopped](Connector::stop) by itself, and each looks for
/// a device of its own.
impl Clone for SerialConnector {
    fn clone(&self) -> Self {
        Self::of(self.settings, self.identity.clone(), self.ports.clone())
    }
}

impl fmt::Debug for SerialConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialConnector")
            .field("settings", &self.settings)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
