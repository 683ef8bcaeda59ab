// Where in the page one is: the fragment of the address, read and written. Pure.
//
// Owns: the views' addresses, and what a fragment may carry besides (a token, once). Does not own: what a view shows.

export const viewNames = ["overview", "tree", "learning", "queues", "alerts", "traces", "stability"] as const;
export type ViewName = (typeof viewNames)[number];

export type Route =
  | { readonly kind: "view"; readonly view: ViewName }
  | { readonly kind: "trace"; readonly traceId: string }
  | { readonly kind: "unknown"; readonly address: string };

export const viewTitles: Readonly<Record<ViewName, string>> = {
  overview: "Overview",
  tree: "Tree",
  learning: "Learning",
  queues: "Queues",
  alerts: "Alerts",
  traces: "Traces",
  stability: "Nightly Stability Test",
};

export function addressOf(view: ViewName): string {
  return view === "overview" ? "#/" : `#/${view}`;
}

export function traceAddress(traceId: string): string {
  return `#/traces/${traceId}`;
}

/** `fragment` as in `location.hash`. */
export function readRoute(fragment: string): Route {
  const path = fragment.replace(/^#\/?/, "");
  if (path === "") return { kind: "view", view: "overview" };
  const trace = /^traces\/([0-9a-f]{32})$/.exec(path)?.[1];
  if (trace !== undefined) return { kind: "trace", traceId: trace };
  const view = viewNames.find((name) => name === path);
  return view === undefined ? { kind: "unknown", address: path } : { kind: "view", view };
}

export function viewOf(route: Route): ViewName | undefined {
  if (route.kind === "view") return route.view;
  return route.kind === "trace" ? "traces" : undefined;
}

export interface HandedToken {
  readonly token: string;
  /** What is left of the fragment, without the token: it does not stay in the address bar. */
  readonly fragment: string;
}

/** A token that came in the fragment, as in `#operator=...` or `#viewer=...`; with `&/tree` behind it, the view to go to. */
export function handedToken(fragment: string): HandedToken | undefined {
  const match = /^#(?:operator|viewer|token)=([^&]+)(?:&(.*))?$/.exec(fragment);
  if (match?.[1] === undefined) return undefined;
  const rest = match[2] ?? "";
  return { token: decoded(match[1]), fragment: rest.startsWith("/") ? `#${rest}` : "#/" };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
