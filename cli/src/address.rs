//! Where the other side is, as it is typed: `HOST[:PORT]`, `tls://HOST[:PORT]`, `unix:PATH`, `serial:PORT?baud=N`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A place to connect to, or to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// TCP, encrypted or not; no host means *this machine* to a client, and *every address* to a server.
    Tcp { host: Option<String>, port: Option<u16>, tls: bool },
    /// A Unix socket: its path, or on Linux `@NAME`, which is no file.
    Unix(String),
    /// A serial line.
    Serial(SerialLine),
}

/// A serial port, and how it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SerialLine {
    /// `auto` for any port that has the device that is known by its tags.
    pub(crate) port: String,
    pub(crate) baud: u32,
    /// With what a device's answer begins; any of them.
    pub(crate) tags: Vec<String>,
    /// What a device is asked.
    pub(crate) question: Option<String>,
    /// How long a device needs after its port was opened.
    pub(crate) settle: Option<Duration>,
}

/// What devices of LEADS are set to.
const DEFAULT_BAUD: u32 = 9600;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path".into()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(line) = text.strip_prefix("serial:") {
            return line.parse().map(Self::Serial);
        }
        let (tls, place) = match text.split_once("://") {
            None => (false, text),
            Some(("tcp", place)) => (false, place),
            Some(("tls", place)) => (true, place),
            Some((scheme, _)) => return Err(format!("{scheme}:// is not tcp:// or tls://")),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self::Tcp { host, port, tls })
    }
}

/// `HOST`, `HOST:PORT`, `:PORT`, `[IPv6]:PORT`, and an IPv6 address by itself.
fn host_and_port(text: &str) -> Result<(Option<String>, Option<u16>), String> {
    let port = |digits: &str| digits.parse().map(Some).map_err(|_| format!("'{digits}' is no port"));
    if text.starts_with('[') && !text.contains(']') {
        return Err("[ has no ] behind the address".into());
    }
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((Some(host.into()), port(digits)?)),
            None if rest.is_empty() => Ok((Some(host.into()), None)),
            None => Err(format!("{rest} follows the address")),
        };
    }
    match text.rsplit_once(':') {
        None if text.is_empty() => Err("there is no host".into()),
        None => Ok((Some(text.into()), None)),
        Some(("", digits)) => Ok((None, port(digits)?)),
        Some((host, _)) if host.contains(':') => Ok((Some(text.into()), None)),
        Some((host, digits)) => Ok((Some(host.into()), port(digits)?)),
    }
}

impl FromStr for SerialLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (port, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut line = Self { port: port.into(), baud: DEFAULT_BAUD, tags: Vec::new(), question: None, settle: None };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                Some(("baud", baud)) => {
                    line.baud = baud.parse().ok().filter(|baud| *baud > 0).ok_or(format!("{baud} is no baud rate"))?;
                }
                Some(("tag", tag)) if !tag.is_empty() => line.tags.push(tag.into()),
                Some(("question", question)) => line.question = Some(question.into()),
                Some(("settle", time)) => {
                    let seconds = time.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
                    let seconds = seconds.ok_or(format!("{time} is no number of seconds"))?;
                    line.settle = Some(Duration::from_secs_f64(seconds));
                }
                _ => return Err(format!("{setting} is not baud=, tag=, question= or settle=")),
            }
        }
        match (line.port.as_str(), line.tags.is_empty()) {
            ("", _) => Err("serial: needs a port, or auto".into()),
            ("auto", true) => Err("serial:auto needs a tag, as in serial:auto?tag=VeC".into()),
            _ => Ok(line),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                f.write_str(if *tls { "tls://" } else { "" })?;
                match host {
                    Some(host) if host.contains(':') => write!(f, "[{host}]")?,
                    Some(host) => f.write_str(host)?,
                    None => {}
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Serial(line) => write!(f, "serial:{}", line.port),
        }
    }
}
