//! What becomes of messages while the side that they go to is gone, as it is typed: `drop`, `latest`, `memory=SIZE`,
//! `spool=DIR,max=SIZE`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::units;

/// How much a spool may have unless told otherwise, in bytes.
const MAX: u64 = 1 << 30;

/// What becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offline {
    /// They are lost, and counted.
    Drop,
    /// The newest of each key waits.
    Latest,
    /// So many bytes of the newest wait in memory.
    Memory(u64),
    /// They wait in files of this folder, as far as those have no more than so many bytes.
    Spool(PathBuf, u64),
}

impl FromStr for Offline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "drop" => Ok(Self::Drop),
            None if text == "latest" => Ok(Self::Latest),
            Some(("memory", size)) => Ok(Self::Memory(units::len(size)?)),
            Some(("spool", place)) => {
                let (folder, max) = match place.rsplit_once(",max=") {
                    None => (place, MAX),
                    Some((folder, size)) => (folder, units::len(size)?),
                };
                match folder {
                    "" => Err("spool= needs a folder".into()),
                    folder => Ok(Self::Spool(folder.into(), max)),
                }
            }
            _ => Err("not drop, latest, memory=SIZE or spool=DIR,max=SIZE".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_has_its_word() {
        for (text, expected) in [
            ("drop", Ok(Offline::Drop)),
            ("latest", Ok(Offline::Latest)),
            ("memory=8MiB", Ok(Offline::Memory(8 << 20))),
            ("spool=/var/spool/car", Ok(Offline::Spool("/var/spool/car".into(), 1 << 30))),
            ("spool=a=b,c,max=64k", Ok(Offline::Spool("a=b,c".into(), 64 << 10))),
            ("memory=", Err("not a size such as 812, 64k or 16M".into())),
            ("spool=x,max=much", Err("not a size such as 812, 64k or 16M".into())),
            ("spool=,max=1k", Err("spool= needs a folder".into())),
            ("memory", Err("not drop, latest, memory=SIZE or spool=DIR,max=SIZE".into())),
            ("", Err("not drop, latest, memory=SIZE or spool=DIR,max=SIZE".into())),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
