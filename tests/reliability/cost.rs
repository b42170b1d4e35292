//! D2: what decoding costs, in instructions, however a stream is cut.

use std::fs;
use std::process::Command;

use leads_comm::codec::{Decoder, Separator};

use crate::alone::{LONG, Process, again_under, role, tell};
use crate::support::PATIENCE;

const LEN: usize = 256 * 1024;

/// Separator, and what the stream repeats: nothing like it, nearly it over and over, and messages.
const STREAMS: [(&str, &[u8], &[u8]); 4] = [
    ("no separator", b";", b"x"),
    ("near separators, aab", b"aab", b"a"),
    ("near separators, end;", b"end;", b"end:"),
    ("messages of 63 bytes", b";", b"123456789012345678901234567890123456789012345678901234567890123;"),
];

const CHUNKS: [usize; 3] = [1, 7, 64 * 1024];

/// Decodes a stream so many times; how many messages there were.
fn decode(stream: usize, chunk: usize, times: usize) -> usize {
    let (_, separator, pattern) = STREAMS[stream];
    let bytes: Vec<u8> = pattern.iter().copied().cycle().take(LEN).collect();
    let mut messages = 0;
    for _ in 0..times {
        let mut decoder = Decoder::new(Separator::new(separator).unwrap(), 2 * LEN);
        for chunk in bytes.chunks(chunk) {
            let mut arrived = decoder.decode(chunk);
            while arrived.next_message().unwrap().is_some() {
                messages += 1;
            }
        }
    }
    messages
}

/// How many instructions a process executes that decodes a stream so many times.
fn instructions(stream: usize, chunk: usize, times: usize) -> u64 {
    const TEST: &str = "d2_decoding_is_linear";
    let out = tempfile(stream, chunk, times);
    let file = format!("--callgrind-out-file={out}");
    let valgrind = ["valgrind", "--tool=callgrind", "-q", &file];
    let role = format!("{stream} {chunk} {times}");
    let mut process = Process::start(again_under(&valgrind, module_path!(), TEST, &role));
    process.hear_within("messages", LONG);
    assert!(process.wait(PATIENCE).expect("the process does not end").success());
    let profile = fs::read_to_string(&out).unwrap();
    fs::remove_file(&out).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.unwrap().trim().parse().unwrap()
}

fn tempfile(stream: usize, chunk: usize, times: usize) -> String {
    let name = format!("leads-comm-callgrind-{}-{stream}-{chunk}-{times}", std::process::id());
    std::env::temp_dir().join(name).into_os_string().into_string().unwrap()
}

#[test]
#[ignore = "long: takes a minute, and needs valgrind"]
fn d2_decoding_is_linear() {
    if let Some(role) = role() {
        let numbers: Vec<usize> = role.split(' ').map(|number| number.parse().unwrap()).collect();
        return tell("messages", decode(numbers[0], numbers[1], numbers[2]));
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("D2: there is no valgrind: skipped");
    }
    for (stream, (name, ..)) in STREAMS.iter().enumerate() {
        let costs = CHUNKS.map(|chunk| {
            // The difference is what one more stream costs, without all that comes before and after.
            let [one, three] = [1, 3].map(|times| instructions(stream, chunk, times));
            (three - one) as f64 / (2 * LEN) as f64
        });
        let [by_one, by_seven, by_64_kib] = costs;
        println!(
            "D2: {name}: instructions per byte {by_one:.1} in chunks of 1, {by_seven:.1} of 7, {by_64_kib:.2} of 64 KiB; \
             a call costs {:.0}",
            (by_one - by_64_kib).max(0.0)
        );
        // A chunk of one byte costs the call; it does not cost what came before it.
        assert!(by_one < 500.0 && by_seven < 100.0 && by_64_kib < 20.0, "{costs:?}");
    }
}
