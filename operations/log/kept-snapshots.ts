// The snapshots of one model as policies: where a fold may begin, and what the log must keep for it.
//
// Owns: the choice of a starting point, the places of the kept snapshots. Does not own: the bytes (transport/log/snapshot.ts), the state in
// them (models/policy/policy-snapshot.ts), what is removed from the log (model-log.ts).
//
// K1. A fold begins at the newest snapshot that is intact and belongs to this model, else at one before it, else at the source as long as
//     both logs reach back to their first message. Otherwise there is nothing to begin at, and that is said.

import type { Model } from "../../models/manifest.js";
import { type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import type { StreamState, Unavailable } from "../../transport/log/jetstream.js";
import type {
  FoundSnapshot,
  PutOutcome,
  SnapshotListing,
  SnapshotOutcome,
  SnapshotPlace,
  Snapshots,
} from "../../transport/log/snapshot.js";

/** Where a fold begins: a snapshot, or the source (`snapshotSeq` 0). */
export interface StartingPoint {
  readonly policy: Policy;
  readonly snapshotSeq: number;
}

export type PolicyAt =
  | { readonly kind: "policy"; readonly policy: Policy }
  | { readonly kind: "missing" }
  | { readonly kind: "refused"; readonly why: string };

/** Neither a snapshot nor the beginning of the log is left. A person must bring back a store that has one of them. */
export class NothingToFoldFromError extends Error {
  override readonly name = "NothingToFoldFromError";
  constructor(model: string) {
    super(`${model}: no snapshot that can be used is left, and the log does not reach back to its beginning`);
  }
}

export interface SnapshotSource {
  readonly model: Model;
  readonly snapshots: Snapshots;
  /** Repeats a read while the broker is away. */
  reading<T extends { readonly kind: string }>(
    what: string,
    read: () => Promise<T | Unavailable>,
  ): Promise<Exclude<T, Unavailable>>;
  state(kind: "update" | "experience"): Promise<StreamState>;
  onUnreadable(seq: number, message: string): void;
}

export class KeptSnapshots {
  readonly #source: SnapshotSource;
  /** By sequence; undefined until the stream has been asked. */
  #places: Map<number, SnapshotPlace> | undefined;

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** K1. What is known about kept snapshots is forgotten: another writer may have been at work. */
  async newest(): Promise<StartingPoint> {
    this.#places = undefined;
    for (let before: number | undefined; ; ) {
      const found = await this.#read("the newest snapshot", () => this.#source.snapshots.newest(before));
      if (found.kind === "none") return { policy: await this.source(), snapshotSeq: 0 };
      const decoded = this.#decode(found);
      if (decoded.kind === "policy") return { policy: decoded.policy, snapshotSeq: found.seq };
      before = found.seq;
    }
  }

  /** The untrained state, if both logs can still be folded from there. */
  async source(): Promise<Policy> {
    const { model } = this.#source;
    for (const kind of ["update", "experience"] as const)
      if ((await this.#source.state(kind)).firstSeq > 1) throw new NothingToFoldFromError(model.manifest.name);
    return sourcePolicy(model);
  }

  async at(seq: number): Promise<PolicyAt> {
    const found = await this.#read(`snapshot ${seq}`, () => this.#source.snapshots.at(seq));
    if (found.kind === "none")
      return found.damaged === 0
        ? { kind: "missing" }
        : { kind: "refused", why: "its bytes do not have the checksum they were stored with" };
    return decodePolicy(found.bytes, this.#source.model);
  }

  async put(policy: Policy, behind: number): Promise<Exclude<PutOutcome, Unavailable | { kind: "too_large" }>> {
    const { updateSeq, experienceSeq, version } = policy;
    const place = { updateSeq, experienceSeq, version };
    const outcome = await this.#source.snapshots.put(encodePolicy(policy), { place, behind });
    if (outcome.kind === "stored") this.#places?.set(outcome.seq, place);
    if (outcome.kind === "stored" || outcome.kind === "fenced") return outcome;
    throw new Error(`the snapshot of ${policy.model} could not be stored: ${outcome.kind}`);
  }

  /** Newest first. */
  async list(): Promise<readonly SnapshotListing[]> {
    const { snapshots } = await this.#read("the snapshots", () => this.#source.snapshots.list());
    return snapshots.map((each) => ({ ...each }));
  }

  /** The places of the newest `count` snapshots, oldest first; fewer when there are fewer that can be used. */
  async places(count: number): Promise<readonly SnapshotPlace[]> {
    this.#places ??= await this.#readPlaces();
    const rising = [...this.#places].sort(([one], [other]) => one - other).slice(-count);
    this.#places = new Map(rising);
    return rising.map(([, place]) => place);
  }

  /** Snapshots of an earlier version do not say where they stand; what is in them does. */
  async #readPlaces(): Promise<Map<number, SnapshotPlace>> {
    const places = new Map<number, SnapshotPlace>();
    for (const { seq, intact, place } of await this.list()) {
      if (!intact) continue;
      if (place !== undefined) places.set(seq, place);
      else {
        const decoded = await this.at(seq);
        if (decoded.kind === "policy") places.set(seq, decoded.policy);
      }
    }
    return places;
  }

  #decode(found: FoundSnapshot): PolicyAt {
    const decoded = decodePolicy(found.bytes, this.#source.model);
    if (decoded.kind === "refused") this.#source.onUnreadable(found.seq, decoded.why);
    return decoded;
  }

  #read<T extends SnapshotOutcome | Awaited<ReturnType<Snapshots["list"]>>>(what: string, read: () => Promise<T>) {
    return this.#source.reading<T>(what, read);
  }
}
