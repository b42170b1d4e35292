//! The arguments of a command. What is wrong with one is told with the option's name, and what it may be.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use leads_comm::codec::Separator;
use leads_comm::{BindAddress, Server};
use lexopt::prelude::*;

use crate::run::Failure;

/// The arguments that are left.
///
/// ```no_run
/// use lexopt::Arg::Long;
/// use support::{Arguments, Failure};
///
/// fn port() -> Result<u16, Failure> {
///     let (mut port, mut arguments) = (16900, Arguments::of_process());
///     while let Some(argument) = arguments.next_argument()? {
///         match argument {
///             Long("port") => port = arguments.number(0..=65535)?,
///             _ => return Err(argument.unexpected().into()),
///         }
///     }
///     Ok(port)
/// }
/// ```
#[derive(Debug)]
pub struct Arguments {
    parser: lexopt::Parser,
    /// The option whose value is next, as it is written.
    option: String,
}

impl Arguments {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { parser: lexopt::Parser::from_env(), option: String::new() }
    }

    /// The value of the only option that a command has, apart from `--help`; `None` when only help is wanted.
    ///
    /// # Errors
    ///
    /// There is something else, or the value is not within `range`.
    pub fn only<T: FromStr + PartialOrd + Display + Clone>(
        mut self,
        option: &str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Failure> {
        let mut value = default;
        while let Some(argument) = self.next_argument()? {
            match argument {
                Long(name) if name == option => value = self.number(range.clone())?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Some(value))
    }

    /// The next option or value; `None` behind the last.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`], as all of these, here if the option before it takes no value and was given one.
    pub fn next_argument(&mut self) -> Result<Option<lexopt::Arg<'_>>, Failure> {
        let argument = self.parser.next()?;
        if let Some(Long(name)) = &argument {
            self.option = format!("--{name}");
        }
        Ok(argument)
    }

    /// The option's value, of any bytes, for instance a file.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn value(&mut self) -> Result<OsString, Failure> {
        Ok(self.parser.value()?)
    }

    /// The option's value, as bytes.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.value()?.into_encoded_bytes())
    }

    /// The option's value, which has to be text.
    ///
    /// # Errors
    ///
    /// There is none, or it is not text.
    pub fn text(&mut self) -> Result<String, Failure> {
        self.parsed("text", |text| Some(text.to_owned()))
    }

    /// A number within `range`; one that is not whole where its type is not.
    ///
    /// # Errors
    ///
    /// There is none, or it is another one, or no number.
    pub fn number<T: FromStr + PartialOrd + Display>(&mut self, range: RangeInclusive<T>) -> Result<T, Failure> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.parsed(&expected, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// An IP address.
    ///
    /// # Errors
    ///
    /// There is none, or it is none.
    pub fn ip(&mut self) -> Result<BindAddress, Failure> {
        self.parsed("an IP address", |text| {
            let address = BindAddress::from(text);
            // The builder knows what it takes.
            Server::builder().bind(address.clone()).build().is_ok().then_some(address)
        })
    }

    /// The bytes that end each message.
    ///
    /// # Errors
    ///
    /// There are none, or they cannot be used.
    pub fn separator(&mut self) -> Result<Vec<u8>, Failure> {
        let bytes = self.bytes()?;
        match Separator::new(&bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// The failure that the value of the option is wrong.
    pub fn wrong(&self, why: impl Display) -> Failure {
        Failure::Usage(format!("{}: {why}", self.option))
    }

    /// What `parse` makes of a text; `expected` is what it makes something of.
    ///
    /// # Errors
    ///
    /// There is none, or it is something else.
    pub fn parsed<T>(&mut self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Failure> {
        let value = self.value()?;
        let parsed = value.to_str().and_then(parse);
        parsed.ok_or_else(|| self.wrong(format_args!("{} is not {expected}", value.to_string_lossy())))
    }
}
