//! What a page may ask for: commands that are allowed, and to move along the time line of a recording.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::link::{Link, NotSent};
use super::protocol;

/// How fast a recording may be played, in seconds of it a second.
const SPEEDS: (f64, f64) = (0.01, 100.0);

/// Whom it goes to.
pub(crate) enum Desk {
    /// To the vehicle: these commands, and no others.
    Vehicle(Arc<Link>, Vec<String>),
    /// To the player of a recording.
    Player(Arc<Controls>),
}

/// Why a command was not sent.
#[derive(Debug)]
pub(crate) enum Refused {
    NotAllowed,
    NotSent(NotSent),
}

impl Refused {
    pub(super) fn text(&self) -> String {
        match self {
            Self::NotAllowed => "it is not allowed: --allow names those that are".into(),
            Self::NotSent(NotSent::NotConnected) => "the vehicle is not connected".into(),
            Self::NotSent(NotSent::Failed(error)) => format!("{error:#}"),
        }
    }
}

impl Desk {
    /// Whether what is viewed is there; a recording always is.
    pub(super) fn is_connected(&self) -> bool {
        match self {
            Self::Vehicle(link, _) => link.told().0,
            Self::Player(_) => true,
        }
    }

    /// Sends the vehicle a command.
    pub(super) fn command(&self, name: &str) -> Result<(), Refused> {
        match self {
            Self::Vehicle(link, allowed) if allowed.iter().any(|allowed| allowed == name) => {
                link.send(name.as_bytes()).map_err(Refused::NotSent)
            }
            _ => Err(Refused::NotAllowed),
        }
    }

    /// Does what a page has said, if it is anything; what is answered.
    pub(super) fn said(&self, message: &[u8]) -> Option<String> {
        let said: Value = serde_json::from_slice(message).ok()?;
        let (kind, controls) = (said.get("type")?.as_str()?, if let Self::Player(it) = self { Some(it) } else { None });
        match (kind, controls) {
            ("command", _) => {
                let name = said.get("name")?.as_str()?;
                let outcome = self.command(name).map_err(|refused| refused.text());
                return Some(protocol::commanded(name, outcome.as_ref().copied().map_err(String::as_str)));
            }
            ("pause", Some(controls)) => controls.0.lock().is_paused = said.get("on")?.as_bool(),
            ("seek", Some(controls)) => {
                let nanoseconds = said.get("at")?.as_f64()? * 1e6;
                // Saturates: what is outside is the beginning, or the end.
                controls.0.lock().at = Some(nanoseconds as u64);
            }
            ("speed", Some(controls)) => {
                let (slowest, fastest) = SPEEDS;
                controls.0.lock().speed = said.get("x")?.as_f64().map(|speed| speed.clamp(slowest, fastest));
            }
            _ => {}
        }
        None
    }
}

/// What pages want of the player, until it has taken notice: the last one that said something decides.
#[derive(Debug, Default)]
pub(crate) struct Controls(Mutex<Wanted>);

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) is_paused: Option<bool>,
    /// In nanoseconds since 1970.
    pub(super) at: Option<u64>,
    pub(super) speed: Option<f64>,
}

impl Controls {
    pub(super) fn take(&self) -> Wanted {
        std::mem::take(&mut self.0.lock())
    }

    /// Not yet.
    pub(super) fn put_back(&self, at: u64) {
        self.0.lock().at.get_or_insert(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_taken_or_passed_over() {
        let controls = Arc::new(Controls::default());
        let desk = Desk::Player(Arc::clone(&controls));
        for said in [
            r#"{"type":"seek","at":1000.5}"#,
            r#"{"type":"seek","at":2000.25}"#,
            r#"{"type":"pause","on":true}"#,
            r#"{"type":"speed","x":1e9}"#,
        ] {
            assert_eq!(desk.said(said.as_bytes()), None);
        }
        let expected = Wanted { is_paused: Some(true), at: Some(2_000_250_000), speed: Some(100.0) };
        assert_eq!(controls.take(), expected);
        for said in [
            "",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"seek"}"#,
            r#"{"type":"seek","at":"now"}"#,
            r#"{"type":"pause"}"#,
            r#"{"type":"speed","x":null}"#,
            r#"{"type":"command"}"#,
            &"[".repeat(4000),
        ] {
            assert_eq!(desk.said(said.as_bytes()), None, "{said}");
            assert_eq!(controls.take(), Wanted::default(), "{said}");
        }
        desk.said(br#"{"type":"seek","at":-1e300}"#);
        assert_eq!(controls.take().at, Some(0));
        // A recording takes no commands.
        let answer = desk.said(br#"{"type":"command","name":"time_lap"}"#).unwrap();
        assert!(answer.starts_with(r#"{"type":"commanded","error":"it is not allowed"#), "{answer}");
    }
}
