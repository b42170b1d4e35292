//! The example `custom_transport`: a server and a client over a transport from outside the crate.

use crate::process::run;

#[test]
fn it_carries_messages_both_ways_and_ends() {
    let ended = run("custom_transport", &[]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 4, 0), "{ended:?}");
    assert!(ended.stdout[1].ends_with("at the same time, all whole and in order"), "{ended:?}");
    let numbers: Vec<u64> = ended.stdout[2].split(' ').filter_map(|word| word.parse().ok()).collect();
    let [plain, packed] = numbers[..] else { panic!("{ended:?}") };
    assert!(packed < plain / 2, "hardly packed: {ended:?}");
    assert!(ended.stdout[3].ends_with("the peer said goodbye"), "{ended:?}");
}
