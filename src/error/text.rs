//! How what went wrong is told: in one line of characters that can be seen, also where a peer wrote it.

use std::error::Error;
use std::fmt::{self, Display, Formatter, Write};

/// Shown as what it holds, but in one line in which everything can be seen: what would begin another line, change the
/// direction of the text, or hide in it, is escaped. For whatever peers and programs may have written: names, panics,
/// errors.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, char) in text.char_indices().filter(|(_, char)| !is_seen(*char)) {
            self.0.write_str(&text[plain..at])?;
            write!(self.0, "{}", char.escape_default())?;
            plain = at + char.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

/// Whether a character stays where it is and can be seen. Not so are control characters, separators of lines and
/// paragraphs, marks of annotations, and those that Unicode calls ignorable: of zero width, or for the direction.
fn is_seen(char: char) -> bool {
    let hidden = matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    !hidden && !char.is_control()
}

/// What a message that may have many lines comes down to in one.
pub(super) fn first_line(message: &str) -> OneLine<&str> {
    OneLine(message.lines().next().unwrap_or_default())
}

/// Goes on with the sources of an error that has been shown, where `{:#}` asks for them.
pub(crate) fn write_sources(f: &mut Formatter<'_>, error: &dyn Error) -> fmt::Result {
    let mut next = error.source().filter(|_| f.alternate());
    while let Some(source) = next {
        write!(f, ": {}", OneLine(source))?;
        next = source.source();
    }
    Ok(())
}
