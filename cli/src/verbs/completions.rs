//! `completions`: what a shell has to know to complete what is typed.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueEnum, value_parser};
use clap_complete::{Shell, generate, generate_to};

use crate::command;
use crate::console::{Failure, fail, print};

const EXAMPLES: &str = "\
Examples:
  source <(leads-comm completions bash)      in ~/.bashrc
  leads-comm completions fish > ~/.config/fish/completions/leads-comm.fish
  leads-comm completions --all DIR           a file for each shell, for packagers";

/// What is typed to run the command.
const NAME: &str = "leads-comm";

pub(crate) fn command() -> Command {
    Command::new("completions")
        .about("Print what a shell needs to complete the command's arguments")
        .before_help(EXAMPLES)
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .required_unless_present("all")
                .hide_possible_values(true)
                .help("bash, elvish, fish, powershell or zsh"),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("shell")
                .help("Write those of every shell into this directory, each under the name that its shell looks for"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let mut whole = command::whole();
    if let Some(directory) = matches.get_one::<PathBuf>("all") {
        let failed = |error| fail(format!("cannot write to {}: {error}", directory.display()));
        std::fs::create_dir_all(directory).map_err(failed)?;
        for shell in Shell::value_variants() {
            generate_to(*shell, &mut whole, NAME, directory).map_err(failed)?;
        }
        return Ok(());
    }
    let shell = matches.get_one::<Shell>("shell").expect("clap asks for it, or for --all");
    let mut script = Vec::new();
    generate(*shell, &mut whole, NAME, &mut script);
    print(&[&script]);
    Ok(())
}
