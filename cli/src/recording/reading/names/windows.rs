//! Windows: neither `cmd` nor PowerShell looks for the files of a pattern, and no name has `*` or `?` in it.

use std::path::{Path, PathBuf};

use super::super::super::broken::folder;

/// The files whose last name is like this, sorted; where there is none, this.
pub(super) fn named(typed: &Path) -> Vec<PathBuf> {
    let pattern = typed.file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?']));
    let Some((pattern, entries)) = pattern.zip(folder(typed).read_dir().ok()) else { return vec![typed.into()] };
    let pattern: Vec<char> = pattern.chars().collect();
    let names = entries.flatten().map(|entry| entry.file_name());
    let alike = names.filter(|name| name.to_str().is_some_and(|name| is_like(name.chars(), &pattern)));
    let mut files: Vec<_> = alike.map(|name| typed.with_file_name(name)).collect();
    files.sort();
    if files.is_empty() { vec![typed.into()] } else { files }
}

/// Whether a name is one of a pattern, in which `?` is any character, and `*` any number of them; as the system has it,
/// whatever is large or small.
fn is_like(mut name: impl Iterator<Item = char> + Clone, pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => name.next().is_none(),
        Some(('*', rest)) => loop {
            if is_like(name.clone(), rest) {
                return true;
            }
            if name.next().is_none() {
                return false;
            }
        },
        Some((wanted, rest)) => {
            let is_same = |found: char| *wanted == '?' || wanted.to_lowercase().eq(found.to_lowercase());
            name.next().is_some_and(is_same) && is_like(name, rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use leads_comm_testing::folder::Folder;

    use super::*;

    #[test]
    fn a_pattern_is_the_files_of_its_folder() {
        let folder = Folder::new("names");
        for name in ["a_0002.mcap", "a_0001.mcap", "A_0003.MCAP", "b_0001.mcap", "a_0001.csv"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let files = named(&folder.path().join(pattern));
            files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("a_*.mcap"), ["A_0003.MCAP", "a_0001.mcap", "a_0002.mcap"]);
        assert_eq!(names("?_0001.*"), ["a_0001.csv", "a_0001.mcap", "b_0001.mcap"]);
        assert_eq!(names("*2*"), ["a_0002.mcap"]);
        for alone in ["c_*.mcap", "a_0001.mcap", "serial:auto?tag=VeC"] {
            assert_eq!(names(alone), [alone]);
        }
    }
}
