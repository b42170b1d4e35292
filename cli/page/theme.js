/** Light or dark: as the system says, until one is chosen here. The choice is remembered by the browser. */

const THEMES = ["auto", "light", "dark"];
const KEY = "leads-comm.theme";

let theme = remembered();
apply();

/** The button goes on to the next one; `changed` is called when the colours may be others. */
export function themeSwitch(button, changed) {
  const name = () => {
    button.textContent = `◐ ${theme[0].toUpperCase()}${theme.slice(1)}`;
    button.setAttribute("aria-label", `Colours: ${theme}`);
    button.title = "Colours: as the system says, light or dark";
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    apply();
    name();
    remember();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  name();
}

/** The style sheet has both colours of everything; which one holds is up to this property. */
function apply() {
  document.documentElement.style.colorScheme = theme === "auto" ? "light dark" : theme;
}

function remembered() {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto"; // A browser may keep nothing.
  }
}

function remember() {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Then it holds until the page is left.
  }
}
