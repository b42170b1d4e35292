use super::{EncodeError, Framing};

/// Frames one message: returns what goes over the wire, or refuses what a receiver would not read back as exactly this
/// one message.
///
/// # Errors
///
/// Those of [`check`].
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{EncodeError, Framing, Separator, encode};
///
/// let framing = Framing::from(Separator::new("aa")?);
/// assert_eq!(encode(b"b", &framing)?, b"baa");
/// // `a` would travel as `aaa`, of which a receiver makes an empty message and an `a` that waits for more.
/// assert_eq!(encode(b"a", &framing), Err(EncodeError::ContainsSeparator { at: 0 }));
/// assert_eq!(encode(b"disconnect", &framing), Err(EncodeError::IsGoodbye));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(message: &[u8], framing: &Framing) -> Result<Vec<u8>, EncodeError> {
    let mut frame = Vec::new();
    encode_into(message, framing, &mut frame)?;
    Ok(frame)
}

/// Appends what goes over the wire to `buffer`: [`encode`] for messages that go out together.
///
/// # Errors
///
/// Those of [`check`]; nothing has been appended then.
///
/// # Examples
///
/// ```
/// use leads_comm::codec::{EncodeError, Framing, encode_into};
///
/// let framing = Framing::default();
/// let mut frames = Vec::new();
/// encode_into(b"speed=12", &framing, &mut frames)?;
/// assert!(encode_into(b"speed=13;speed=14", &framing, &mut frames).is_err());
/// encode_into(b"speed=15", &framing, &mut frames)?;
/// assert_eq!(frames, b"speed=12;speed=15;");
/// # Ok::<(), EncodeError>(())
/// ```
#[inline]
pub fn encode_into(message: &[u8], framing: &Framing, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
    let body = framing.body(message)?;
    let pieces = framing.pieces(&body);
    buffer.reserve(pieces.len());
    pieces.append_to(buffer);
    Ok(())
}

/// Whether a message can be framed, for those who write it from where it lies.
///
/// # Errors
///
/// [`EncodeError::IsGoodbye`] when the message is the reserved word `disconnect`;
/// [`EncodeError::ContainsSeparator`] when the first match of the separator in `message ++ separator` is not at the
/// message's end; [`EncodeError::TooLong`] when its length does not fit into 4 bytes; [`EncodeError::ByProgram`] when a
/// framing of the program's own does not take it, which is asked to encode it for that.
///
/// # Examples
///
/// ```
/// use std::io::{IoSlice, Write};
///
/// use leads_comm::codec::{Separator, check};
///
/// let separator = Separator::default();
/// let message = b"x".repeat(1024 * 1024);
/// check(&message, &separator.clone().into())?;
/// let mut stream = Vec::new();
/// let written = stream.write_vectored(&[IoSlice::new(&message), IoSlice::new(separator.as_bytes())])?;
/// assert_eq!(written, message.len() + separator.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn check(message: &[u8], framing: &Framing) -> Result<(), EncodeError> {
    framing.body(message).map(drop)
}
