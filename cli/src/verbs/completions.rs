//! `completions`: what a shell has to know to complete what is typed.

use std::fs;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueEnum, value_parser};
use clap_complete::{Generator, Shell, generate};

use crate::command;
use crate::console::{Failure, fail, print};

const EXAMPLES: &str = "\
Examples:
  leads-comm completions --all DIR        a file for each shell, for packages
  leads-comm completions fish > ~/.config/fish/completions/leads-comm.fish
  source <(leads-comm completions bash)   in ~/.bashrc";

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
                .help("A file for each shell, under the name that it looks for"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(directory) = matches.get_one::<PathBuf>("all") else {
        let shell = matches.get_one::<Shell>("shell").expect("clap asks for it, or for --all");
        print(&[script(*shell).as_bytes()]);
        return Ok(());
    };
    let failed = |error| fail(format!("cannot write to {}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    for shell in Shell::value_variants() {
        fs::write(directory.join(shell.file_name(NAME)), script(*shell)).map_err(failed)?;
    }
    Ok(())
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut command::whole(), NAME, &mut script);
    let script = String::from_utf8(script).expect("it is made of the texts in this program");
    // clap_complete 4.6.11 has two names for what follows a command with a `-` in its name, so that bash finds no option
    // of any verb (clap-rs/clap#6421).
    script.replace("leads__subcmd__comm", "leads__comm")
}
