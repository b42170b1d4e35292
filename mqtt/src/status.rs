//! What the bridge says of itself, on the topic of its state.

use std::time::Duration;

/// Which of the two states there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is a session; for how long there was none before it, and how old the message of the backlog is that goes
    /// next.
    Online { offline: Duration, oldest: Duration },
    /// There is none any more.
    Offline,
}

/// How many messages wait in the backlog, and how many were dropped or lost since the bridge was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) waiting: u64,
    pub(crate) lost: u64,
}

pub(crate) fn json(state: State, Figures { waiting, lost }: Figures) -> Vec<u8> {
    match state {
        State::Online { offline, oldest } => {
            let (offline_s, oldest_s) = (offline.as_secs_f64(), oldest.as_secs_f64());
            let begin = format!(r#"{{"state":"online","offline_s":{offline_s:.1}"#);
            format!(r#"{begin},"waiting":{waiting},"lost":{lost},"oldest_s":{oldest_s:.1}}}"#).into_bytes()
        }
        State::Offline => format!(r#"{{"state":"offline","waiting":{waiting},"lost":{lost}}}"#).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_is_documented() {
        let figures = Figures { waiting: 12, lost: 3 };
        let [offline, oldest] = [1540, 61_000].map(Duration::from_millis);
        let online = json(State::Online { offline, oldest }, figures);
        assert_eq!(online, br#"{"state":"online","offline_s":1.5,"waiting":12,"lost":3,"oldest_s":61.0}"#);
        assert_eq!(json(State::Offline, figures), br#"{"state":"offline","waiting":12,"lost":3}"#);
    }
}
