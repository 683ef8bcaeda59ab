// Added models on one node: fetched, verified, unpacked into a folder of the node's own, loaded.
//
// Owns: the folders, and the reason why a model cannot be had. Does not own: the registry (transport/log/model-registry.ts), what a folder means
// (models/manifest.ts).
//
// C1. A model is loaded from a folder whose bytes have the checksum of its record, fetched now or left by an earlier incarnation.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { packModel, unpackModel } from "../../models/adoption/model-package.js";
import { makeFolder } from "../../models/make-folder.js";
import { type Model, ModelError } from "../../models/manifest.js";
import type { AddedModel } from "../../transport/log/model-records.js";
import type { ModelRegistry } from "../../transport/log/model-registry.js";

export type Acquired =
  | { readonly kind: "model"; readonly model: Model }
  | { readonly kind: "failed"; readonly cause: string };

export interface ModelCache {
  acquire(added: AddedModel): Promise<Acquired>;
  drop(added: Pick<AddedModel, "sha256">): Promise<void>;
}

export interface ModelCacheOptions {
  readonly registry: Pick<ModelRegistry, "fetch">;
  /** Made with mode 0700; one folder below it for each model. */
  readonly folder: string;
  /** Reads a folder as the node reads those it was started with. */
  readonly load: (folder: string) => Promise<Model>;
}

export function openModelCache({ registry, folder, load }: ModelCacheOptions): ModelCache {
  const placeOf = ({ sha256 }: Pick<AddedModel, "sha256">): string => join(folder, sha256);
  return {
    acquire: async (added) => {
      const place = placeOf(added);
      await makeFolder(folder, 0o700);
      if (!(await holds(place, added))) {
        const fetched = await registry.fetch(added);
        if (fetched.kind === "unavailable")
          return { kind: "failed", cause: `its bytes cannot be read: ${fetched.why}` };
        if (fetched.kind === "refused") return { kind: "failed", cause: fetched.message };
        await unpackModel(added, fetched.bytes, place);
      }
      return loaded(added, await attempt(() => load(place)));
    },
    drop: (added) => rm(placeOf(added), { recursive: true, force: true }),
  };
}

async function holds(place: string, { sha256 }: AddedModel): Promise<boolean> {
  const packed = await attempt(() => packModel(place));
  return packed.kind === "done" && packed.value.package.sha256 === sha256;
}

function loaded({ name }: AddedModel, attempted: Attempted<Model>): Acquired {
  if (attempted.kind === "refused") return { kind: "failed", cause: attempted.cause };
  const model = attempted.value;
  if (model.manifest.name === name) return { kind: "model", model };
  return { kind: "failed", cause: `it was added as ${name}, its manifest says ${model.manifest.name}` };
}

type Attempted<T> = { readonly kind: "done"; readonly value: T } | { readonly kind: "refused"; readonly cause: string };

/** A folder that cannot be used is somebody's mistake, not a bug of this node. */
async function attempt<T>(work: () => Promise<T>): Promise<Attempted<T>> {
  try {
    return { kind: "done", value: await work() };
  } catch (error) {
    if (error instanceof ModelError || (error instanceof Error && error.name === "GuardrailError"))
      return { kind: "refused", cause: error.message };
    throw error;
  }
}
