//! What can be typed: the verbs, and the options that all of them have.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use log::LevelFilter;

use crate::console::{self, Failure, Verbosity, usage};
use crate::verbs;

const EXAMPLES: &str = "\
Examples:
  leads-comm listen 10.0.0.4 --leads   what a LEADS vehicle says
  leads-comm send 10.0.0.4 time_lap    tell it something
  leads-comm record 10.0.0.4 --leads   keep it, until Ctrl-C
  leads-comm replay drive.mcap         be the vehicle again, at the same times
  leads-comm view 10.0.0.4 --leads     see it in the browser
  leads-comm relay --pull 10.0.0.4 --serve :16900    pass it on, to many
  leads-comm serve < messages          be a server, with a message a line

leads-comm help VERB has more.";

/// A verb: what can be typed behind it, and what it does.
struct Verb {
    command: fn() -> Command,
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

const VERBS: &[Verb] = &[
    Verb { command: verbs::listen::command, run: verbs::listen::run },
    Verb { command: verbs::send::command, run: verbs::send::run },
    Verb { command: verbs::serve::command, run: verbs::serve::run },
    Verb { command: verbs::record::command, run: verbs::record::run },
    Verb { command: verbs::replay::command, run: verbs::replay::run },
    Verb { command: verbs::view::command, run: verbs::view::run },
    Verb { command: verbs::relay::command, run: verbs::relay::run },
    Verb { command: verbs::bridge::command, run: verbs::bridge::run },
    Verb { command: verbs::top::command, run: verbs::top::run },
    Verb { command: verbs::info::command, run: verbs::info::run },
    Verb { command: verbs::convert::command, run: verbs::convert::run },
    Verb { command: verbs::completions::command, run: verbs::completions::run },
];

/// Where the options that all verbs have are in their help: behind their own, before `--help`.
const LAST: usize = 900;

/// Does what was typed.
pub(crate) fn run() -> ExitCode {
    let matches = match whole().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let (name, matches) = matches.subcommand().expect("clap asks for one");
    console::begin(verbosity(matches));
    let verb = VERBS.iter().find(|verb| (verb.command)().get_name() == name).expect("clap knows these");
    console::end((verb.run)(matches))
}

/// All of it, as help, completions and the manual describe it.
pub(crate) fn whole() -> Command {
    Command::new("leads-comm")
        .version(env!("CARGO_PKG_VERSION"))
        .about("See, send, record and replay the messages of LEADS and of leads-comm services")
        .before_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(false)
        .args([
            Arg::new("quiet")
                .short('q')
                .long("quiet")
                .global(true)
                .display_order(LAST)
                .action(ArgAction::SetTrue)
                .conflicts_with("verbose")
                .help("Say nothing on stderr but failures"),
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .global(true)
                .display_order(LAST + 1)
                .action(ArgAction::Count)
                .help("Show the library's log, -vv all of it"),
            Arg::new("no-color")
                .long("no-color")
                .global(true)
                .display_order(LAST + 2)
                .action(ArgAction::SetTrue)
                .help("No colours on a terminal, as with NO_COLOR"),
        ])
        .subcommands(VERBS.iter().map(|verb| (verb.command)().mut_args(takes_a_sign)))
}

/// What is to be a number, a time or a size is asked for as one, and not taken for an option when it begins with `-`.
fn takes_a_sign(argument: Arg) -> Arg {
    let is_number = |name: &str| matches!(name, "N" | "R" | "X" | "TIME" | "SIZE" | "TIME|SIZE");
    let names = argument.get_value_names().unwrap_or_default();
    match names.iter().any(|name| is_number(name)) {
        true => argument.allow_hyphen_values(true),
        false => argument,
    }
}

fn verbosity(matches: &ArgMatches) -> Verbosity {
    match matches.get_count("verbose") {
        0 if matches.get_flag("quiet") => Verbosity::Quiet,
        0 => Verbosity::Normal,
        1 => Verbosity::Log(LevelFilter::Debug),
        _ => Verbosity::Log(LevelFilter::Trace),
    }
}

/// Prints help, which is an error to clap, or what was wrong.
fn refuse(error: &clap::Error) -> ExitCode {
    console::begin(Verbosity::Normal);
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            console::print(&[text.trim_end().as_bytes(), b"\n"]);
            console::end(Ok(()))
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console::complain(text.trim_end());
            let _ = console::end(Ok(()));
            ExitCode::from(2)
        }
        _ => console::end(Err(usage(in_one_line(&text)))),
    }
}

/// What clap says in several lines, without its usage.
fn in_one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    // Only `send` takes what looks like an option as something else.
    let is_of_use =
        |part: &str| !part.trim_start().starts_with("tip: to pass") || text.contains("Usage: leads-comm send");
    let said = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let said: Vec<String> =
        said.filter(|part| is_of_use(part)).map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_typed_fits_together() {
        whole().debug_assert();
    }

    #[test]
    fn help_begins_with_examples_and_fits_a_terminal() {
        let mut whole = whole();
        whole.build();
        let verbs = whole.get_subcommands_mut().filter(|verb| verb.get_name() != "help");
        let mut texts: Vec<_> = verbs.map(|verb| verb.render_long_help().to_string()).collect();
        texts.push(whole.render_long_help().to_string());
        for text in texts {
            assert!(text.starts_with("Examples:\n  "), "{text}");
            let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{wide:#?}");
        }
    }

    #[test]
    fn options_of_all_verbs_are_the_last_ones() {
        let mut whole = whole();
        whole.build();
        for verb in whole.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
            let help = verb.render_help().to_string();
            let options = help.lines().skip_while(|line| *line != "Options:").take_while(|line| !line.is_empty());
            let names: Vec<_> =
                options.filter_map(|line| line.split("--").nth(1)?.split([' ', '.', '[']).next()).collect();
            assert!(names.ends_with(&["quiet", "verbose", "no-color", "help"]), "{help}");
        }
    }

    #[test]
    fn what_clap_says_is_one_line() {
        for (words, expected) in [
            (&["lisen", "x"][..], "unrecognized subcommand 'lisen'; tip: a similar subcommand exists: 'listen'"),
            (&["listen"], "the following required arguments were not provided: <ADDRESS>"),
            (
                &["listen", "x", "-W", "soon"],
                "invalid value 'soon' for '--wait <TIME>': not a time such as 5s, 500ms, 2m or 1h30m",
            ),
            (&["serve", "-c", "-1"], "invalid value '-1' for '--count <N>': not a number from 1 on"),
            (
                &["replay", "x", "--start", "-5s"],
                "invalid value '-5s' for '--start <TIME>': not a time such as 5s, 500ms, 2m or 1h30m",
            ),
            (&["replay", "x", "--rate", "-1"], "invalid value '-1' for '--rate <X>': is no rate from 0.001 to 1000"),
            (
                &["send", "x", "--rate", "-1"],
                "invalid value '-1' for '--rate <R>': not from 0.000001 to 1000000000 times a second",
            ),
            (&["info", "--nosuch"], "unexpected argument '--nosuch' found"),
            (&["send", "x", "--zz"], "unexpected argument '--zz' found; tip: to pass '--zz' as a value, use '-- --zz'"),
            (
                &["listen", "x", "-f", "xml"],
                "invalid value 'xml' for '--format <FORMAT>' [possible values: line, text, raw, json, hex]",
            ),
        ] {
            let error = whole().try_get_matches_from(["leads-comm"].iter().chain(words)).unwrap_err();
            assert_eq!(in_one_line(&error.render().to_string()), expected);
        }
    }
}
