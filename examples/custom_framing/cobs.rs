//! Consistent overhead byte stuffing (Cheshire and Baker, 1997): no zero but the one that ends a frame, at the cost of
//! one byte in 254 and two more.

use leads_comm::codec::{CustomFraming, Frame, FramingError};

/// Each run of bytes that are not zero stands behind its length and one; a run of [`RUN`] is followed by no zero.
pub(crate) struct Cobs;

const RUN: usize = 254;

impl CustomFraming for Cobs {
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
        for run in message.split(|byte| *byte == 0) {
            let blocks = run.chunks_exact(RUN);
            let rest = blocks.remainder();
            for block in blocks {
                frame.push(u8::MAX);
                frame.extend_from_slice(block);
            }
            frame.push(rest.len() as u8 + 1);
            frame.extend_from_slice(rest);
        }
        frame.push(0);
        Ok(())
    }

    fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
        let Some(end) = bytes[seen..].iter().position(|byte| *byte == 0).map(|at| seen + at) else { return Ok(None) };
        // Unstuffed where it lies: the payload never grows beyond what has been read of the frame.
        let (mut from, mut to) = (0, 0);
        while from < end {
            let code = usize::from(bytes[from]);
            if from + code > end {
                return Err(FramingError::new("a run of bytes goes on behind its frame"));
            }
            bytes.copy_within(from + 1..from + code, to);
            from += code;
            to += code - 1;
            if code <= RUN && from < end {
                bytes[to] = 0;
                to += 1;
            }
        }
        match end {
            0 => Err(FramingError::new("a frame of nothing")),
            _ => Ok(Some(Frame { payload: 0..to, len: end + 1 })),
        }
    }
}
