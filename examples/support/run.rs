//! How a command begins and ends.

use std::io;
use std::process::ExitCode;

use leads_comm::Error;

use crate::Arguments;
use crate::output::{Log, STDERR, STDOUT, complain, print};

/// Why a command ends before its time.
#[derive(Debug)]
pub enum Failure {
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
pub fn run<O>(
    name: &str,
    help: &str,
    parse: impl FnOnce(Arguments) -> Result<Option<O>, Failure>,
    command: impl FnOnce(O) -> Result<(), Failure>,
) -> ExitCode {
    let mut log = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off"));
    log.target(env_logger::Target::Pipe(Box::new(Log))).init();
    let outcome = match parse(Arguments::of_process()) {
        Ok(Some(options)) => command(options),
        Ok(None) => {
            print(&[help.as_bytes()]);
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    let code = match finish_stdout().and(outcome) {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => {
            complain(format_args!("{name}: {text}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(text)) => {
            complain(format_args!("{name}: {text} (see --help)"));
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
