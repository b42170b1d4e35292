//! Where the frames of a stream begin and end, and where its messages do.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest head of a frame, in bytes.
const LONGEST_HEAD: usize = 14;

/// What of the message that is arriving has arrived. What a head says may be nonsense: that is found out elsewhere, and
/// then nothing is asked here any more.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; LONGEST_HEAD],
    /// How much of the head there is; 0 between two frames.
    begun: usize,
    /// How many bytes are missing behind the head.
    missing: u64,
    /// Whether a message goes on in a further frame.
    unfinished: bool,
}

impl Frames {
    /// These bytes have arrived.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let part = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
            self.missing -= part as u64;
            bytes = &bytes[part..];
            if self.missing > 0 || bytes.is_empty() {
                return;
            }
            if self.begun == LONGEST_HEAD {
                // No frame has such a head.
                return;
            }
            self.head[self.begun] = bytes[0];
            self.begun += 1;
            bytes = &bytes[1..];
            if let Ok(Some((header, len))) = FrameHeader::parse(&mut Cursor::new(&self.head[..self.begun])) {
                self.begun = 0;
                self.missing = len;
                match header.opcode {
                    OpCode::Data(Data::Text | Data::Binary | Data::Continue) => self.unfinished = !header.is_final,
                    OpCode::Data(Data::Reserved(_)) | OpCode::Control(_) => {}
                }
            }
        }
    }

    /// Whether something has begun and is not whole, so that nothing of it can be handed out.
    pub(crate) fn is_within(&self) -> bool {
        self.begun > 0 || self.missing > 0 || self.unfinished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_should_however_they_are_cut() {
        let mut stream = Vec::new();
        let mut ends = vec![0];
        // Text; a message in two frames with a ping between them; an empty one, masked; two with longer lengths.
        let messages: [&[&[u8]]; 5] = [
            &[&[0x81, 2], b"ab"],
            &[&[0x02, 1], b"x", &[0x89, 1], b"p", &[0x80, 1], b"y"],
            &[&[0x82, 0x80, 1, 2, 3, 4]],
            &[&[0x82, 126, 1, 0], &[7; 256]],
            &[&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], &[7; 65_536]],
        ];
        for message in messages {
            stream.extend(message.concat());
            ends.push(stream.len());
        }
        for cut in (1..40).chain([1000, stream.len()]) {
            let mut frames = Frames::default();
            let mut arrived = 0;
            for bytes in stream.chunks(cut) {
                frames.pass(bytes);
                arrived += bytes.len();
                assert_eq!(frames.is_within(), !ends.contains(&arrived), "{arrived} bytes, {cut} at a time");
            }
        }
    }
}
