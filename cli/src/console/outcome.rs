//! How the command begins and ends.

use std::io;
use std::process::ExitCode;

use leads_comm::Error;
use log::LevelFilter;

use super::output::{self, Log, STDERR, STDOUT, complain};

/// Why the command ends otherwise than by having done what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called in a way that it does not understand: exit code 2.
    Usage(String),
    /// It could not do what it was asked to: exit code 1.
    Failed(String),
    /// What it was told to wait for did not come in time: exit code 3.
    TimedOut(String),
    /// Nobody reads its stdout any more, which is how `| head` ends a command: exit code 0.
    Unread,
}

impl Failure {
    /// What is said of it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::TimedOut(text) => text,
            Self::Unread => "nobody reads stdout",
        }
    }
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Failures only.
    Quiet,
    /// Who comes and goes, and what becomes of the work.
    Normal,
    /// The library's log as well, as far as this level.
    Log(LevelFilter),
}

/// From here on stderr says so much. The log that `RUST_LOG` asks for is written in any case.
pub(crate) fn begin(verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Log(level) => level.as_str(),
        Verbosity::Quiet | Verbosity::Normal => "off",
    };
    let mut log = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    // It writes what messages hold into its log.
    log.filter_module("tungstenite", LevelFilter::Off);
    log.target(env_logger::Target::Pipe(Box::new(Log))).init();
    output::be_quiet(verbosity == Verbosity::Quiet);
}

/// Waits until everything is printed, and makes the outcome an exit code, with one line on stderr for a failure.
pub(crate) fn end(outcome: Result<(), Failure>) -> ExitCode {
    let code = match finish_stdout().and(outcome) {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => {
            complain(format_args!("leads-comm: {text}"));
            ExitCode::FAILURE
        }
        Err(Failure::TimedOut(text)) => {
            complain(format_args!("leads-comm: {text}"));
            ExitCode::from(3)
        }
        Err(Failure::Usage(text)) => {
            complain(format_args!("leads-comm: {text} (see --help)"));
            ExitCode::from(2)
        }
    };
    // A stderr that nobody reads is no reason to stay.
    STDERR.hurry();
    let _ = STDERR.finish();
    code
}

/// Waits until everything is printed.
fn finish_stdout() -> Result<(), Failure> {
    match STDOUT.finish() {
        Ok(0) => Ok(()),
        Ok(bytes) => Err(fail(format!("nobody reads stdout: {bytes} bytes were not printed"))),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(error) => Err(fail(format!("cannot write to stdout: {error}"))),
    }
}

/// A failure for exit code 1.
pub(crate) fn fail(text: impl Into<String>) -> Failure {
    Failure::Failed(text.into())
}

/// An error with its causes, in a line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A failure for exit code 2.
pub(crate) fn usage(text: impl Into<String>) -> Failure {
    Failure::Usage(text.into())
}

/// Settings of the library are named as the options are.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidSetting { setting, requirement } => Self::Usage(match setting {
                "token" => format!("the token {requirement}"),
                "max_received_len" | "max_sent_len" => format!("--max-message-len {requirement}"),
                setting => format!("--{} {requirement}", setting.replace('_', "-")),
            }),
            error @ Error::NotLetIn { .. } => Self::Failed(format!("{error} (it may be full, or want another token)")),
            error => Self::Failed(format!("{error:#}")),
        }
    }
}
