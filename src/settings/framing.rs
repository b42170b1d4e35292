//! A framing of the program's own, whose panics a service contains.

use std::sync::Arc;

use crate::codec::{CustomFraming, Frame, Framing, FramingError};
use crate::sync::user_code::{self, Foreign};

struct Contained(Foreign<Arc<dyn CustomFraming>>);

/// The same framing, called through the door.
pub(crate) fn contained(framing: Framing) -> Framing {
    match framing {
        Framing::Custom(custom) => Framing::Custom(
            custom.within(|framing| Arc::new(Contained(Foreign::new("the framing", Box::new(framing))))),
        ),
        Framing::Separator(_) | Framing::Length => framing,
    }
}

impl CustomFraming for Contained {
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
        user_code::call(|| self.0.encode(message, frame)).unwrap_or_else(|message| Err(FramingError::panicked(message)))
    }

    fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
        user_code::call(|| self.0.decode(bytes, seen)).unwrap_or_else(|message| Err(FramingError::panicked(message)))
    }
}
