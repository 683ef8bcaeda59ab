// The token of whoever sits before the page, for as long as his tab is open.
//
// Owns: where it is kept, how it leaves the address bar. Does not own: who may do what (the server says).

import { handedToken } from "./route.js";

const place = "driftmend.token";

export interface TokenPlace {
  readonly session: Storage;
  readonly location: Location;
  readonly history: History;
}

/** Takes a token out of the address, if one came with it. */
export function takeHandedToken({ session, location, history }: TokenPlace): void {
  const handed = handedToken(location.hash);
  if (handed === undefined) return;
  keepToken(session, handed.token);
  history.replaceState(null, "", handed.fragment);
}

export function readToken(session: Storage): string | null {
  return session.getItem(place);
}

export function keepToken(session: Storage, token: string | null): void {
  if (token === null || token === "") session.removeItem(place);
  else session.setItem(place, token);
}
