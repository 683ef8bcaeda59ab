// Whether what stands on the screen is of now: said plainly, in words, where it is seen first.
//
// Owns: these words. Does not own: the connection (follow.ts).

import { age } from "./figures.js";
import { freshnessOf, type Live } from "./live.js";
import { badge } from "./panel.js";
import { html, type View } from "./view.js";

/** In the header. `nowMs` in the browser's time. */
export function connectionBadge(live: Live, nowMs: number): View {
  switch (live.connection.kind) {
    case "connecting":
      return badge("quiet", "connecting");
    case "live":
      return freshnessOf(live, nowMs).kind === "fresh" ? badge("good", "live") : badge("warn", "silent");
    case "lost":
      return badge("bad", "not connected");
    case "refused":
      return badge("bad", "no access");
    default:
      return live.connection satisfies never;
  }
}

/** Across the page, when something keeps it from being live. */
export function connectionBanner(live: Live, nowMs: number, hurry: () => void): View {
  const { connection } = live;
  if (connection.kind === "lost") {
    const waitMs = connection.nextTryAtMs - nowMs;
    const next = waitMs > 500 ? `next try in ${age(waitMs + 500)}` : "trying now";
    const shown = live.metrics === null ? "" : " What you see is as it was then.";
    return html`<div class="banner tone-bad" role="alert" data-banner="lost"><p><b>Not connected for ${age(nowMs - connection.sinceMs)}:</b> ${connection.why}; ${next}.${shown}</p><button type="button" onClick=${hurry}>Try now</button></div>`;
  }
  if (connection.kind === "refused")
    return html`<div class="banner tone-warn" role="alert" data-banner="refused"><p><b>No access:</b> ${connection.message}</p></div>`;
  const freshness = freshnessOf(live, nowMs);
  if (connection.kind === "live" && freshness.kind === "stale")
    return html`<div class="banner tone-warn" role="alert" data-banner="stale"><p><b>Nothing heard for ${age(freshness.ageMs)}:</b> the connection stands, the figures are old.</p></div>`;
  return null;
}
