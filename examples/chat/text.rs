//! What people write: what of it others are shown, and what may be a name.

/// The longest name, in characters.
pub(crate) const LONGEST_NAME: usize = 24;

/// What everybody is called at first, with a number behind it.
pub(crate) const GUEST: &str = "guest";

/// A name is what can be seen, so that no two look the same by what cannot, and is none of those that are given.
pub(crate) fn is_name(name: &str) -> bool {
    let (lower, len) = (name.to_lowercase(), name.chars().count());
    let is_given = lower.strip_prefix(GUEST).is_some_and(|rest| rest.chars().all(|char| char.is_ascii_digit()));
    let is_seen = |char| char == ' ' || is_printable(char) && !is_blank(char);
    (1..=LONGEST_NAME).contains(&len) && name.chars().all(is_seen) && !name.contains("  ") && !is_given
}

/// The text without line ends, and whatever else could confuse somebody's terminal or turn it around.
pub(crate) fn printable(text: &str) -> String {
    let show = |char: char| match char {
        // What scripts and emoji are joined by.
        '\u{200c}' | '\u{200d}' => Some(char),
        _ if is_printable(char) => Some(char),
        _ if char.is_whitespace() && !char.is_control() => Some(' '),
        _ => None,
    };
    text.chars().filter_map(show).collect::<String>().trim().to_owned()
}

/// Whether a character is more than control, format or separation. Those are what `Debug` escapes, and marks where they
/// stand behind nothing, quotes and backslashes.
fn is_printable(char: char) -> bool {
    let behind_letter = String::from_iter(['a', char]);
    matches!(char, '\'' | '"' | '\\') || behind_letter.escape_debug().eq(behind_letter.chars())
}

/// Letters, marks and symbols that are shown as nothing.
fn is_blank(char: char) -> bool {
    matches!(
        char,
        // A mark that joins others, and what Khmer and Mongolian had for sorting.
        '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Fillers of Hangul, and the empty pattern of braille.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}'
        // Variations of the character before.
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}
