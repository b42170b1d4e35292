//! The manual says what there is, all of it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Command;

use leads_comm_testing::{checkout, child};

use crate::process::run;

/// An option as it is typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Option {
    long: String,
    short: std::option::Option<char>,
    value: std::option::Option<String>,
}

impl fmt::Display for Option {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.short.map_or(Ok(()), |short| write!(f, "-{short}, "))?;
        write!(f, "--{}", self.long)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, " {value}"))
    }
}

type Options = BTreeSet<Option>;

/// What the help of a verb lists, by its headings.
fn helped(verb: &str) -> BTreeMap<String, Options> {
    let help = if verb.is_empty() { run(&["--help"]) } else { run(&[verb, "--help"]) };
    let mut sections = BTreeMap::<String, Options>::new();
    let mut heading = String::new();
    for line in &help.stdout {
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            heading = name.to_owned();
        }
        let words = line.trim_start().split("  ").next().unwrap_or_default();
        // Deeper are texts about them.
        if !matches!(line.len() - line.trim_start().len(), 2..=6) || !words.starts_with('-') {
            continue;
        }
        let (mut long, mut short, mut value) = (None, None, None);
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            let word = word.trim_end_matches("...");
            if let Some(name) = word.strip_prefix("--") {
                // `--loop[=<N>]`
                let (name, optional) = name.split_once("[=").map_or((name, None), |(name, rest)| (name, Some(rest)));
                long = Some(name.to_owned());
                value = optional.map(|value| value.trim_matches(['<', '>', ']']).to_owned());
            } else if let Some(name) = word.strip_prefix('-') {
                short = name.chars().next();
            } else {
                value = Some(word.trim_matches(['<', '>']).to_owned());
            }
        }
        let option = Option { long: long.unwrap_or_else(|| panic!("{verb}: {line}")), short, value };
        sections.entry(heading.clone()).or_default().insert(option);
    }
    sections
}

/// The verbs that help knows, but itself.
fn verbs() -> BTreeSet<String> {
    let help = run(&["--help"]).stdout;
    let commands = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

/// A section of the manual: its options, and the sections that it names.
#[derive(Debug, Default)]
struct Section {
    options: Options,
    names: BTreeSet<String>,
}

fn manual() -> String {
    std::fs::read_to_string(checkout().join("cli/man/leads-comm.1")).unwrap()
}

/// The subsections of the manual, and which of them are about verbs.
fn sections() -> (BTreeMap<String, Section>, BTreeSet<String>) {
    let (mut sections, mut verbs) = (BTreeMap::<String, Section>::new(), BTreeSet::new());
    let mut name = String::new();
    for line in manual().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [".Ss", title] => {
                name = title.to_owned();
                if title.starts_with(char::is_lowercase) {
                    verbs.insert(name.clone());
                }
            }
            [".Sh", ..] => name.clear(),
            [".Sx", title, ..] => drop(sections.entry(name.clone()).or_default().names.insert(title.to_owned())),
            [".It", "Fl", ref rest @ ..] => {
                let (mut long, mut short, mut value) = (None, None, None);
                for word in rest.iter().filter(|word| !matches!(**word, "Fl" | "," | "Ns" | "Op" | "=")) {
                    match (word.strip_prefix('-'), word.chars().count()) {
                        (Some(name), _) => long = Some(name.to_owned()),
                        (None, 1) if long.is_none() => short = word.chars().next(),
                        (None, _) if *word == "Ar" => {}
                        (None, _) => value = Some((*word).to_owned()),
                    }
                }
                let option = Option { long: long.unwrap_or_else(|| panic!("{line}")), short, value };
                sections.entry(name.clone()).or_default().options.insert(option);
            }
            _ => {}
        }
    }
    (sections, verbs)
}

#[track_caller]
fn assert_same(what: &str, manual: &Options, help: &Options) {
    let list = |options: Vec<&Option>| options.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (missing, too_many) = (list(help.difference(manual).collect()), list(manual.difference(help).collect()));
    assert!(missing.is_empty() && too_many.is_empty(), "{what}: missing {missing:?}, not there {too_many:?}");
}

#[test]
fn it_has_every_verb_and_option_and_no_other() {
    let (sections, told) = sections();
    assert_eq!(told, verbs(), "the verbs");
    let general = &sections["General"].options;
    assert_same("leads-comm", general, &helped("")["Options"]);
    // Of those that are said once for all verbs, which ones are some verb's.
    let mut used = BTreeMap::<&str, Options>::new();
    for verb in &told {
        let own = sections.get(verb).map(|section| &section.options).cloned().unwrap_or_default();
        let names = sections.get(verb).map(|section| &section.names).cloned().unwrap_or_default();
        let (mut there, mut named) = (Options::new(), BTreeSet::new());
        for (heading, options) in helped(verb) {
            for option in options.difference(general) {
                match sections.get(&heading).filter(|section| !own.contains(option) && section.options.contains(option))
                {
                    Some(_) => {
                        named.insert(heading.clone());
                        let (name, _) = sections.get_key_value(&heading).unwrap();
                        used.entry(name).or_default().insert(option.clone());
                    }
                    None => drop(there.insert(option.clone())),
                }
            }
        }
        assert_same(verb, &own, &there);
        assert_eq!(names, named, "the sections that {verb} names");
    }
    for (name, section) in sections.iter().filter(|(name, _)| !told.contains(*name) && *name != "General") {
        assert_same(name, &section.options, used.get(&**name).unwrap_or(&Options::new()));
    }
}

#[test]
fn its_examples_can_be_typed() {
    let manual = manual();
    let typed = manual.lines().filter_map(|line| line.strip_prefix(".Dl leads-comm "));
    let help: BTreeSet<String> = typed
        .map(|line| {
            let verb = line.split(' ').next().unwrap();
            let known: Options = helped(verb).into_values().flatten().collect();
            for word in line.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
                assert!(known.iter().any(|option| option.long == word), "{line}");
            }
            verb.to_owned()
        })
        .collect();
    assert!(help.is_superset(&["listen", "send", "serve"].map(str::to_owned).into()), "{help:?}");
}

/// Formats it, and says so if anything in it is wrong.
#[test]
fn it_can_be_read() {
    let file = checkout().join("cli/man/leads-comm.1");
    for (program, arguments) in
        [("groff", &["-mandoc", "-Tutf8", "-ww", "-z"][..]), ("mandoc", &["-Tlint", "-Wwarning"])]
    {
        if !child::is_there(program, "the manual") {
            continue;
        }
        let output = Command::new(program).args(arguments).arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{program}: {}", String::from_utf8_lossy(&said));
    }
}
