//! The example `custom_framing`: a server and a client with a framing from outside the crate.

use crate::process::run;

#[test]
fn it_carries_any_bytes_there_and_back() {
    let ended = run("custom_framing", &[]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let lengths: Vec<_> = ended.stdout.iter().filter_map(|line| line.strip_suffix(" bytes there and back")).collect();
    assert_eq!(lengths, ["0", "1", "254", "255", "61440"]);
}
