//! Services whose messages no separator tells apart: by length, and by a framing of the program's own.

mod both_ways;
#[path = "../../../examples/custom_framing/cobs.rs"]
mod cobs;
mod handed_back;
mod panics;
mod settings;
mod viewers;
mod wire;

use leads_comm::codec::{Framing, encode};
use leads_comm_testing::*;

use cobs::Cobs;

fn stuffed() -> Framing {
    Framing::custom(Cobs).unwrap()
}

fn framings() -> [Framing; 2] {
    [Framing::Length, stuffed()]
}

/// A server of this framing.
fn start(net: Net, framing: &Framing) -> Started {
    net.start_server(|builder| builder.framing(framing.clone()))
}

fn frame(message: &[u8], framing: &Framing) -> Vec<u8> {
    encode(message, framing).unwrap()
}

/// Messages that no separator of one byte could carry.
fn binary() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0..=255).collect();
    let lengths = [0, 1, 3, 4, 253, 254, 255, 256, 1000, 4096, 60 * 1024, 300_000];
    lengths.iter().map(|len| all.iter().copied().cycle().take(*len).collect()).chain([all.clone()]).collect()
}
