use std::error::Error;
use std::fmt::{self, Display};
use std::time::Duration;

/// Which check a transport does not pass, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    check: &'static str,
    /// For how long it was waited for, if it hung.
    hung: Option<Duration>,
    what: String,
}

impl Failure {
    pub(crate) fn new(check: &'static str, wrong: Wrong, time: Duration) -> Self {
        match wrong {
            Wrong::Broken(what) => Self { check, hung: None, what },
            Wrong::Hangs(what) => Self { check, hung: Some(time), what },
        }
    }

    /// The name of the check.
    pub fn check(&self) -> &'static str {
        self.check
    }

    /// Whether a call did not return in time, so that threads are left behind.
    pub fn hung(&self) -> bool {
        self.hung.is_some()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hung {
            Some(time) => write!(f, "{}: hangs, for {time:?}: {}", self.check, self.what),
            None => write!(f, "{}: {}", self.check, self.what),
        }
    }
}

impl Error for Failure {}

/// What is wrong, or what is being done that does not come to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Broken(String),
    Hangs(String),
}

/// What comes of a check, or a part of one.
pub(crate) type Outcome<T = ()> = Result<T, Wrong>;

/// Fails.
pub(crate) fn broken<T>(what: impl Display) -> Outcome<T> {
    Err(Wrong::Broken(what.to_string()))
}

/// Fails unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl Display) -> Outcome {
    if holds { Ok(()) } else { broken(what) }
}

impl Wrong {
    /// Says in which case.
    pub(crate) fn of(self, case: &str) -> Self {
        match self {
            Self::Broken(what) => Self::Broken(format!("{case}{what}")),
            Self::Hangs(what) => Self::Hangs(format!("{case}{what}")),
        }
    }
}
