//! Where the other side is, as it is typed: `HOST[:PORT]`, `tls://HOST[:PORT]`, `unix:PATH`, `serial:PORT?baud=N`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
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

/// What is said of an [`Address::Unix`] elsewhere.
#[cfg(not(unix))]
pub(crate) const NO_UNIX_SOCKETS: &str = "this system has no Unix sockets that can be used";

/// How long a name may be, and a part of it between dots, in bytes, as DNS has it.
const LONGEST_NAME: usize = 254;
const LONGEST_LABEL: usize = 63;

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
        let host = Some(ipv6(host)?);
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((host, port(digits)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("{rest} follows the address")),
        };
    }
    if text.contains(['/', '\\']) {
        return Err("a path needs unix: or serial: before it".into());
    }
    match text.rsplit_once(':') {
        None if text.is_empty() => Err("there is no host".into()),
        None => Ok((Some(host(text)?), None)),
        Some(("", digits)) => Ok((None, port(digits)?)),
        Some((host, _)) if host.contains(':') => Ok((Some(ipv6(text)?), None)),
        Some((name, digits)) => Ok((Some(host(name)?), port(digits)?)),
    }
}

/// An IPv6 address, which may have a zone behind `%`.
fn ipv6(text: &str) -> Result<String, String> {
    let address = text.split_once('%').filter(|(_, zone)| !zone.is_empty()).map_or(text, |(address, _)| address);
    match address.parse::<Ipv6Addr>() {
        Ok(_) => Ok(text.into()),
        Err(_) => Err(format!("{text} is no IPv6 address, and a host has no : in it")),
    }
}

/// An IPv4 address, or a name that one can have: what could never be found is not looked for again and again.
fn host(text: &str) -> Result<String, String> {
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(text.into());
    }
    // Which the system would take for the number of an address.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(match text.parse::<u16>() {
            Ok(_) => format!("{text} is no host; :{text} is a port of this machine"),
            Err(_) => format!("{text} is no host"),
        });
    }
    // A name may end with a dot.
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let can_be = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.chars().all(|character| character.is_alphanumeric() || "-_".contains(character))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    match labels.clone().all(can_be) && text.len() <= LONGEST_NAME {
        false => Err(format!("'{text}' is no name of a host")),
        true if labels.next_back().is_some_and(is_number) => Err(format!("{text} is no IP address")),
        true => Ok(text.into()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: Option<&str>, port: Option<u16>, tls: bool) -> Result<Address, String> {
        Ok(Address::Tcp { host: host.map(str::to_owned), port, tls })
    }

    #[test]
    fn hosts_and_ports_have_several_forms() {
        for (text, expected) in [
            ("car", tcp(Some("car"), None, false)),
            ("car:16901", tcp(Some("car"), Some(16901), false)),
            (":0", tcp(None, Some(0), false)),
            ("tls://10.0.0.4", tcp(Some("10.0.0.4"), None, true)),
            ("tcp://:1", tcp(None, Some(1), false)),
            ("::1", tcp(Some("::1"), None, false)),
            ("[fe80::1%eth0]:7", tcp(Some("fe80::1%eth0"), Some(7), false)),
            ("tls://[::1]", tcp(Some("::1"), None, true)),
            ("é-1_x.local.:7", tcp(Some("é-1_x.local."), Some(7), false)),
            ("unix:/tmp/a:b?c", Ok(Address::Unix("/tmp/a:b?c".into()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[test]
    fn what_can_be_no_host_is_told() {
        for (text, why) in [
            ("17810", "17810 is no host; :17810 is a port of this machine"),
            ("99999:1", "99999 is no host"),
            ("tcp://16900", "16900 is no host; :16900 is a port of this machine"),
            ("127.0.0.1:17810:3", "127.0.0.1:17810:3 is no IPv6 address, and a host has no : in it"),
            ("[car]:1", "car is no IPv6 address, and a host has no : in it"),
            ("[::1%]", "::1% is no IPv6 address, and a host has no : in it"),
            ("/tmp/x", "a path needs unix: or serial: before it"),
            ("./x:1", "a path needs unix: or serial: before it"),
            ("tls://car/x", "a path needs unix: or serial: before it"),
            ("10.0.0.256", "10.0.0.256 is no IP address"),
            ("10.0.0", "10.0.0 is no IP address"),
            ("a b", "'a b' is no name of a host"),
            (" car:1", "' car' is no name of a host"),
            ("a..b", "'a..b' is no name of a host"),
            (".", "'.' is no name of a host"),
            ("car?x", "'car?x' is no name of a host"),
        ] {
            assert_eq!(text.parse::<Address>(), Err(why.into()), "{text}");
        }
        assert!("x".repeat(63).parse::<Address>().is_ok() && "x".repeat(64).parse::<Address>().is_err());
        assert!("x.".repeat(127).parse::<Address>().is_ok() && "x.".repeat(128).parse::<Address>().is_err());
    }

    #[test]
    fn serial_lines_have_settings() {
        let text = "serial:auto?tag=VeC&tag=WSC&baud=115200&question=who&settle=1.5&";
        assert_eq!(
            text.parse(),
            Ok(Address::Serial(SerialLine {
                port: "auto".into(),
                baud: 115_200,
                tags: vec!["VeC".into(), "WSC".into()],
                question: Some("who".into()),
                settle: Some(Duration::from_millis(1500)),
            }))
        );
        for wrong in ["serial:x?speed=1", "serial:x?baud", "serial:x?tag=", "serial:x?settle=-1", "serial:?baud=9600"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text: String) {
            for text in [text.clone(), format!("[{text}"), format!("serial:{text}"), format!("tls://{text}:1")] {
                let _ = text.parse::<Address>();
            }
        }

        #[test]
        fn what_is_shown_means_the_same(host in "[a-z0-9]{0,5}[a-z](\\.[a-z]{1,3})?|10\\.0\\.0\\.[1-9]|::1|fe80::[0-9]", port: Option<u16>, tls: bool) {
            let address = Address::Tcp { host: Some(host), port, tls };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
