// The folder that a verb folds a model's log with: the one that was given, that of an added model out of the registry, or the digits.
//
// Owns: the temporary folder of an added model, for as long as the work lasts. Does not own: what is done with it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackModel } from "../../models/adoption/model-package.js";
import type { Clock } from "../../models/clock.js";
import type { DriftmendClient } from "../../transport/client.js";
import { openModelRegistry } from "../../transport/log/model-registry.js";
import type { Outcome } from "../cluster/outcome.js";

export interface Wanted {
  readonly model: string;
  /** As typed. */
  readonly folder: string | undefined;
  /** For a model that was not added. */
  readonly otherwise: string;
}

export async function withModelFolder(
  { bus, subjects }: DriftmendClient,
  clock: Clock,
  { model, folder, otherwise }: Wanted,
  work: (folder: string) => Promise<Outcome>,
): Promise<Outcome> {
  if (folder !== undefined) return work(folder);
  const registry = openModelRegistry(bus, clock, subjects);
  const read = await registry.standings();
  const added = read.kind === "standings" ? read.standings.get(model)?.served : undefined;
  if (added === undefined) return work(otherwise);
  const fetched = await registry.fetch(added);
  if (fetched.kind !== "fetched") {
    const message =
      fetched.kind === "refused" ? fetched.message : `the folder of ${model} cannot be read: ${fetched.why}`;
    return { kind: "failed", message, next: `give its folder: --model DIR` };
  }
  const temporary = await mkdtemp(join(tmpdir(), "driftmend-model-"));
  try {
    const place = join(temporary, "model");
    await unpackModel(added, fetched.bytes, place);
    return await work(place);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
