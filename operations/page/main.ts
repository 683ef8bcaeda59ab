// The page's root: puts the real clock, the real fetch and the browser's stores into the parts, and draws.
//
// Owns: the wiring, and drawing again when something new is known. Does not own: anything that is shown.

import { systemClock } from "../../supervision/clock.js";
import { App } from "./app.js";
import { openAsk } from "./ask.js";
import { follow } from "./follow.js";
import { learn, nothingKnown, type Tidings } from "./live.js";
import { applyTheme, keptTheme } from "./theme.js";
import { keepToken, readToken, takeHandedToken } from "./token.js";
import { h, render } from "./view.js";

const place = document.getElementById("app");
if (place === null) throw new Error("the page has no place for itself");

applyTheme(keptTheme(localStorage));
takeHandedToken({ session: sessionStorage, location, history });

const token = (): string | null => readToken(sessionStorage);
const fetching: typeof fetch = (input, init) => fetch(input, init);
const ask = openAsk({ fetch: fetching, token });

let live = nothingKnown;
let isDue = false;
let hurry: () => void = () => undefined;

/** Once per frame, however much is told. */
function draw(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (place !== null)
      render(
        h(App, {
          live,
          ask,
          clock: systemClock,
          token: token(),
          storage: localStorage,
          keepToken: useToken,
          hurry: () => hurry(),
        }),
        place,
      );
  });
}

function useToken(given: string | null): void {
  keepToken(sessionStorage, given);
  hurry();
  draw();
}

function tell(tidings: Tidings): void {
  live = learn(live, tidings);
  draw();
}

draw();
void follow({
  fetch: fetching,
  ask,
  clock: systemClock,
  token,
  tell,
  hurried: () =>
    new Promise((resolve) => {
      hurry = resolve;
    }),
});
