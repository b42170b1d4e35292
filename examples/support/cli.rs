//! What the examples have in common as commands: how they end, and what they tell on stderr.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use leads_comm::Error;

/// Why a command ends before its time.
pub(crate) enum Failure {
    /// It was called in a way that it does not understand: exit code 2.
    Usage(String),
    /// It could not do what it was asked to: exit code 1.
    Failed(String),
    /// Nobody reads its stdout any more, which is how `| head` ends a command: exit code 0.
    Unread,
}

/// Reads the options of a command, runs it and makes its outcome an exit code, with one line on stderr for a failure.
/// No options mean that only `help` is wanted.
///
/// The library logs through the `log` crate: `RUST_LOG=debug` shows it, on stderr.
pub(crate) fn run<O>(
    name: &str,
    help: &str,
    parse: impl FnOnce() -> Result<Option<O>, lexopt::Error>,
    command: impl FnOnce(O) -> Result<(), Failure>,
) -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let outcome = match parse() {
        Ok(Some(options)) => command(options),
        Ok(None) => io::stdout().write_all(help.as_bytes()).map_err(|error| Failure::of_stdout(&error)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => {
            complain(format_args!("{name}: {text}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(text)) => {
            complain(format_args!("{name}: {text} (see --help)"));
            ExitCode::from(2)
        }
    }
}

/// A failure for exit code 1.
pub(crate) fn fail(text: impl Into<String>) -> Failure {
    Failure::Failed(text.into())
}

/// Prints one line on stderr. Unlike `eprintln!` it does not panic when nobody reads it.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Failure {
    /// What a failed write to stdout means.
    pub(crate) fn of_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => fail(format!("cannot write to stdout: {error:#}")),
        }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(format!("{error:#}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidSeparator(_) | Error::InvalidSetting { .. } => Self::Usage(format!("{error:#}")),
            _ => Self::Failed(format!("{error:#}")),
        }
    }
}

impl From<ctrlc::Error> for Failure {
    fn from(error: ctrlc::Error) -> Self {
        Self::Failed(format!("cannot wait for Ctrl-C: {error:#}"))
    }
}
