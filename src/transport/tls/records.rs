//! Where the records of a stream begin and end.

/// How long the header of a record is, and where in it the length of the rest is, in two bytes.
const HEADER: usize = 5;
const LEN_AT: usize = 3;

/// What of the record that is arriving has arrived. Every record is a header and as many bytes as that says ([RFC
/// 8446](https://www.rfc-editor.org/rfc/rfc8446#section-5.1), as in 1.2). What it says may be nonsense: that is found
/// out elsewhere.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER],
    /// How much of the header there is; 0 between two records.
    begun: usize,
    /// How many bytes are missing behind the header, once that is whole.
    missing: usize,
}

impl Records {
    /// These bytes have arrived.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = if self.begun < HEADER {
                let taken = bytes.len().min(HEADER - self.begun);
                self.header[self.begun..][..taken].copy_from_slice(&bytes[..taken]);
                self.begun += taken;
                if self.begun == HEADER {
                    self.missing = usize::from(u16::from_be_bytes([self.header[LEN_AT], self.header[LEN_AT + 1]]));
                }
                taken
            } else {
                let taken = bytes.len().min(self.missing);
                self.missing -= taken;
                taken
            };
            bytes = &bytes[taken..];
            if self.begun == HEADER && self.missing == 0 {
                self.begun = 0;
            }
        }
    }

    /// Whether a record has begun and is not whole.
    pub(super) fn is_within(&self) -> bool {
        self.begun > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_they_should_however_they_are_cut() {
        let stream = [&[23, 3, 3, 0, 2, 9, 9][..], &[22, 3, 3, 0, 0], &[23, 3, 3, 1, 1], &[7; 257]].concat();
        let ends = [7, 12, 12 + 5 + 257];
        for cut in 1..=stream.len() {
            let mut records = Records::default();
            let mut arrived = 0;
            for bytes in stream.chunks(cut) {
                records.pass(bytes);
                arrived += bytes.len();
                assert_eq!(records.is_within(), !ends.contains(&arrived), "{arrived} bytes, {cut} at a time");
            }
        }
    }
}
