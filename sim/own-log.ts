// A log of one's own for a run that brings its cluster along: empty at the start and gone at the end, unless somebody wants to keep it.
//
// Owns: the place of the log, and where the nodes' own lines go. Does not own: the cluster.

import { closeSync, openSync } from "node:fs";
import { readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../models/make-folder.js";
import type { Aside } from "../operations/cluster/up.js";
import { defaultStore } from "../transport/access/context.js";

export interface OwnPlace {
  readonly store: string;
  /** On a broker of somebody else there is no log of ours. */
  readonly nats?: string;
}

/** In the default store the log stands in a folder `name` of its own, and goes with it; in another one it stays. */
export async function withOwnLog<T>(
  { store, nats }: OwnPlace,
  name: string,
  work: (aside: Required<Aside>) => Promise<T>,
): Promise<T> {
  const throwaway = store === defaultStore && nats === undefined;
  const logStore = throwaway ? join(store, name) : store;
  // Left by a run that was killed: nobody else writes there.
  if (throwaway) await rm(logStore, { recursive: true, force: true });
  await makeFolder(logStore, 0o700);
  // Log lines would tear what is on the screen: they go to a file beside the log, and with it.
  const output = openSync(join(logStore, "nodes.log"), "a", 0o600);
  try {
    return await work({ output, logStore });
  } finally {
    closeSync(output);
    if (throwaway) await removeStore(store, logStore);
  }
}

/** The run's own log goes, and the store with it unless something else, as the log of `up`, is kept there. */
async function removeStore(store: string, logStore: string): Promise<void> {
  await rm(logStore, { recursive: true, force: true });
  if ((await readdir(store)).length === 0) await rmdir(store);
}
