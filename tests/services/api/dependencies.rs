//! The library's dependencies are few, and `Cargo.toml` says of each why it is there.

use std::fs;
use std::path::Path;

/// How many crates the library names without features, and with all of them.
const REQUIRED: usize = 7;
const IN_ALL: usize = 11;

struct Dependency {
    name: String,
    optional: bool,
    /// Whether there is a comment above it.
    has_reason: bool,
}

/// The library's direct dependencies; those of the models are no part of any program.
fn of_the_manifest() -> Vec<Dependency> {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("src/lib.rs").exists()).expect("the library is not there");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (mut section, mut above) = ("", "");
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" || section == "[target.'cfg(unix)'.dependencies]" {
            if let Some((name, what)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                let optional = what.contains("optional = true");
                found.push(Dependency { name: name.to_owned(), optional, has_reason: above.starts_with('#') });
            }
        }
        above = line;
    }
    found
}

#[test]
fn dependencies_are_few_and_each_has_its_reason() {
    let dependencies = of_the_manifest();
    let required: Vec<_> = dependencies.iter().filter(|dependency| !dependency.optional).collect();
    for name in ["log", "rustix"] {
        assert!(required.iter().any(|dependency| dependency.name == name), "the manifest is not read as it should be");
    }
    for dependency in &dependencies {
        assert!(dependency.has_reason, "Cargo.toml does not say why {} is there", dependency.name);
    }
    let (required, in_all) = (required.len(), dependencies.len());
    println!("S6: unsafe 0; direct dependencies without features {required}, with all features {in_all}");
    assert!(required <= REQUIRED, "{required} crates without features, at most {REQUIRED}");
    assert!(in_all <= IN_ALL, "{in_all} crates with all features, at most {IN_ALL}");
}
