//! D2: what decoding costs, in instructions, however a stream is cut.

use std::fs;

use leads_comm::codec::{Decoder, Separator};

use leads_comm_testing::PATIENCE;
use leads_comm_testing::alone::{self, again_under};
use leads_comm_testing::child::{Process, is_there, task, tell};

/// The lengths of the streams in bytes: four times as long is to cost four times as much.
const SHORT: usize = 64 * 1024;
const LONG: usize = 4 * SHORT;

/// Separator, and what the stream repeats: nothing like it, nearly it over and over, and messages.
const STREAMS: [(&str, &[u8], &[u8]); 4] = [
    ("no separator", b";", b"x"),
    ("near separators, aab", b"aab", b"a"),
    ("near separators, end;", b"end;", b"end:"),
    ("messages of 63 bytes", b";", b"123456789012345678901234567890123456789012345678901234567890123;"),
];

const CHUNKS: [usize; 3] = [1, 7, 64 * 1024];

/// Decodes a stream; how many messages there were.
fn decode(stream: usize, chunk: usize, len: usize) -> usize {
    let (_, separator, pattern) = STREAMS[stream];
    let mut bytes = pattern.repeat(len / pattern.len() + 1);
    bytes.truncate(len);
    let mut decoder = Decoder::new(Separator::new(separator).unwrap(), 2 * LONG);
    let mut messages = 0;
    for chunk in bytes.chunks(chunk) {
        let mut arrived = decoder.decode(chunk);
        while arrived.next_message().unwrap().is_some() {
            messages += 1;
        }
    }
    messages
}

/// How many instructions a process executes that decodes a stream of this length.
fn instructions(stream: usize, chunk: usize, len: usize) -> u64 {
    const TEST: &str = "d2_decoding_is_linear";
    let out = tempfile(stream, chunk, len);
    let file = format!("--callgrind-out-file={out}");
    let valgrind = ["valgrind", "--tool=callgrind", "-q", &file];
    let task = format!("{stream} {chunk} {len}");
    let mut process = Process::spawn(again_under(&valgrind, module_path!(), TEST, &task));
    process.hear_within("messages", alone::LONG);
    assert!(process.wait(PATIENCE).expect("the process does not end").success());
    let profile = fs::read_to_string(&out).unwrap();
    fs::remove_file(&out).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.unwrap().trim().parse().unwrap()
}

fn tempfile(stream: usize, chunk: usize, len: usize) -> String {
    let name = format!("leads-comm-callgrind-{}-{stream}-{chunk}-{len}", std::process::id());
    std::env::temp_dir().join(name).into_os_string().into_string().unwrap()
}

#[test]
#[ignore = "long: takes a minute, and needs valgrind"]
fn d2_decoding_is_linear() {
    if let Some(task) = task() {
        let numbers: Vec<usize> = task.split(' ').map(|number| number.parse().unwrap()).collect();
        return tell("messages", decode(numbers[0], numbers[1], numbers[2]));
    }
    if !is_there("valgrind", "D2") {
        return;
    }
    // What comes before and after; making the stream costs less than an instruction per byte.
    let nothing = instructions(0, 1, 0);
    for (stream, (name, ..)) in STREAMS.iter().enumerate() {
        let costs = CHUNKS.map(|chunk| {
            [SHORT, LONG].map(|len| (instructions(stream, chunk, len).saturating_sub(nothing)) as f64 / len as f64)
        });
        let [by_one, by_seven, by_64_kib] = costs.map(|[_, long]| long);
        let worst = costs.iter().map(|[short, long]| long / short).fold(0.0, f64::max);
        println!(
            "D2: {name}: instructions per byte {by_one:.0} in chunks of 1, {by_seven:.0} of 7, {by_64_kib:.1} of 64 KiB; \
             in a stream four times as long {worst:.2} times as many"
        );
        assert!(worst < 1.5, "{name}: {costs:?}");
    }
}
