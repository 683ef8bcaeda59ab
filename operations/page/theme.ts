// Light, dark, or as the system has it.
//
// Owns: the choice and where it is kept. Does not own: the colours (palette.ts).

import { typedIn } from "./typed.js";
import { html, useState, type View } from "./view.js";

const place = "driftmend.theme";
const themes = ["system", "light", "dark"] as const;
type Theme = (typeof themes)[number];

export function keptTheme(storage: Storage): Theme {
  return themes.find((theme) => theme === storage.getItem(place)) ?? "system";
}

/** Nothing on the root: the system decides (palette.ts). */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function ThemeField({ storage }: { readonly storage: Storage }): View {
  const [theme, setTheme] = useState<Theme>(keptTheme(storage));
  const choose = (change: Event): void => {
    const chosen = themes.find((each) => each === typedIn(change)) ?? "system";
    storage.setItem(place, chosen);
    applyTheme(chosen);
    setTheme(chosen);
  };
  return html`<label class="theme"><span class="unseen">Theme</span><select value=${theme} onChange=${choose}>${themes.map((each) => html`<option value=${each}>${each === "system" ? "System theme" : each === "light" ? "Light" : "Dark"}</option>`)}</select></label>`;
}
