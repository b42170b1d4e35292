//! How a command begins and ends.

use std::process::ExitCode;

use leads_comm::Error;

use crate::Arguments;
use crate::output::{complain, show};

/// Why a command ends before its time.
#[derive(Debug)]
pub enum Failure {
    /// It was called in a way that it does not understand: exit code 2.
    Usage(String),
    /// It could not do what it was asked to: exit code 1.
    Failed(String),
}

/// Reads the options of a command, runs it and makes its outcome an exit code, with one line on stderr for a failure.
/// No options mean that only `help` is wanted.
///
/// The library logs through the `log` crate: `RUST_LOG=debug` shows it, on stderr.
pub fn run<O>(
    name: &str,
    help: &str,
    parse: impl FnOnce(Arguments) -> Result<Option<O>, Failure>,
    command: impl FnOnce(O) -> Result<(), Failure>,
) -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let outcome = match parse(Arguments::of_process()) {
        Ok(Some(options)) => command(options),
        Ok(None) => {
            show(help);
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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
pub fn fail(text: impl Into<String>) -> Failure {
    Failure::Failed(text.into())
}

/// A failure for exit code 2.
pub fn usage(text: impl Into<String>) -> Failure {
    Failure::Usage(text.into())
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Settings are named as the options of the examples are.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidSetting { setting, requirement } => {
                Self::Usage(format!("--{}: {requirement}", setting.replace('_', "-")))
            }
            error => Self::Failed(format!("{error:#}")),
        }
    }
}
