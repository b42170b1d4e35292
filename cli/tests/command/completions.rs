//! `completions`: that shells take what it prints, and complete with it.

use std::process::Command;

use leads_comm_testing::child;
use leads_comm_testing::folder::Folder;

use crate::process::run;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What a shell makes of a script of its own.
#[track_caller]
fn told_by(shell: &str, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(shell).args(["-c", script, shell]).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_shell_has_its_own() {
    let folder = Folder::new("completions");
    let path = folder.path().join("not there yet");
    let ended = run(&["completions", "--all", path.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 0, 0), "{ended:?}");
    let names = ["leads-comm.bash", "leads-comm.elv", "leads-comm.fish", "_leads-comm.ps1", "_leads-comm"];
    for (shell, name) in SHELLS.into_iter().zip(names) {
        let printed = run(&["completions", shell]);
        assert_eq!((printed.code, printed.stderr.len()), (0, 0), "{printed:?}");
        let written = std::fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(printed.stdout.join("\n").trim_end(), written.trim_end(), "{shell}");
        for verb in ["listen", "serve", "completions"] {
            assert!(written.contains(verb), "{shell} does not know {verb}");
        }
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), SHELLS.len());
}

#[test]
fn what_it_cannot_do_is_one_line() {
    for (arguments, code, why) in [
        (&[][..], 2, "SHELL"),
        (&["tcsh"], 2, "bash, elvish, fish, powershell, zsh"),
        (&["bash", "--all", "somewhere"], 2, "--all"),
        (&["--all", "/dev/null/folder"], 1, "cannot write to /dev/null/folder: "),
    ] {
        let ended = run(&[&["completions"], arguments].concat());
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (code, 0, 1), "{ended:?}");
        assert!(ended.stderr[0].contains(why), "{ended:?}");
    }
}

/// Completes the last of the words as bash does, by the function that it was told of.
const COMPLETE: &str = r#"
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
function=$(complete -p leads-comm | sed 's/.* -F \([^ ]*\) .*/\1/')
"$function" "$1" "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_verbs_options_and_values() {
    if !child::is_there("bash", "completing in bash") {
        return;
    }
    let folder = Folder::new("completions-bash");
    let file = folder.path().join("leads-comm.bash");
    std::fs::write(&file, run(&["completions", "bash"]).stdout.join("\n")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(told_by("bash", "bash -n \"$1\"", &[file]), "");
    let complete = |words: &[&str]| -> Vec<String> {
        told_by("bash", COMPLETE, &[&[file], words].concat()).lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&["leads-comm", "ser"]), ["serve"]);
    assert!(complete(&["leads-comm", ""]).len() > 3);
    assert_eq!(complete(&["leads-comm", "serve", "--ech"]), ["--echo"]);
    assert_eq!(complete(&["leads-comm", "serve", "--echo", "--rel"]), ["--relay"]);
    assert_eq!(complete(&["leads-comm", "serve", "--slow", ""]), ["wait", "drop", "latest", "disconnect"]);
    assert_eq!(complete(&["leads-comm", "listen", "--format", "j"]), ["json"]);
    assert_eq!(complete(&["leads-comm", "completions", "z"]), ["zsh"]);
    // A file.
    let found = complete(&["leads-comm", "listen", "--token-file", &file[..file.len() - 2]]);
    assert_eq!(found, [file]);
}

#[test]
fn other_shells_take_theirs() {
    for shell in ["zsh", "fish"] {
        if !child::is_there(shell, "its completions") {
            continue;
        }
        let folder = Folder::new("completions-shell");
        let file = folder.path().join("script");
        std::fs::write(&file, run(&["completions", shell]).stdout.join("\n")).unwrap();
        // Reads it, and runs nothing.
        let output = Command::new(shell).arg("-n").arg(&file).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}
