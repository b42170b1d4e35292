/** Any bytes as text that shows all of itself, and nothing else on the page. */

/**
 * Control characters; what is not seen; what turns the direction of the text around; halves of pairs; private use.
 * None of them can do harm to a page, but each can make text look like other text.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\u00a0\u115f\u1160\u3164\uffa0]/gu;

const SHORT = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\0", "\\0"],
]);

/** @param {number} most longer text is cut to this many UTF-16 units, and ends with an ellipsis */
export function shown(text, most = Infinity) {
  const cut = text.length > most ? `${text.slice(0, most)}` : text;
  const escaped = cut.replace(UNSEEN, (char) => SHORT.get(char) ?? numbered(char.codePointAt(0)));
  return cut === text ? escaped : `${escaped}…`;
}

function numbered(code) {
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
}

/** `00 ff 1a`. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Of Base64, or nothing where it is none. */
export function decoded(base64) {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
