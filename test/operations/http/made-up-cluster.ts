// A cluster of plain data behind the Open Inference Protocol: it answers each row at once with what can be counted from its elements, and
// remembers what it was asked.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Manifest, parseManifest } from "../../../models/manifest.js";
import { digitsFolder } from "../../../operations/cluster/local-cluster.js";
import type { KserveDeps } from "../../../operations/http/kserve/routes-kserve.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { ClientOutcome, InferOptions } from "../../../transport/client.js";
import type { Tensor } from "../../../transport/messages/codec.js";
import type { InferenceReply } from "../../../transport/messages/wire.js";

const entry = fileURLToPath(new URL("../../../cli.js", import.meta.url));
export const digits: Manifest = parseManifest(readFileSync(join(digitsFolder(entry), "manifest.json"), "utf8"));

/** Takes rows of two elements, in every type there is. */
export const pairs: Manifest = {
  ...digits,
  name: "pairs",
  input: {
    ...digits.input,
    shape: [2],
    accepts: ["<f4", "<f8", "<f2", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"].map((dt) => ({
      dt,
      scale: 1,
    })),
  },
};

export const traceIdOf = (id: string): string => Buffer.from(id).toString("hex").padStart(32, "0").slice(-32);

export class MadeUpCluster {
  readonly asked: { readonly model: string; readonly input: Tensor; readonly options: InferOptions }[] = [];
  /** What a row is answered with instead, by its id. */
  readonly instead = new Map<string, ClientOutcome<InferenceReply>>();
  /** Answers wait for this. */
  holding: Promise<unknown> = Promise.resolve();
  atOnce = 0;
  atOnceMax = 0;
  served = new Set(["digits", "pairs"]);
  isReachable = true;

  constructor(readonly clock: VirtualClock = new VirtualClock()) {}

  async infer(model: string, input: Tensor, options: InferOptions = {}): Promise<ClientOutcome<InferenceReply>> {
    this.asked.push({ model, input, options });
    this.atOnce += 1;
    this.atOnceMax = Math.max(this.atOnceMax, this.atOnce);
    await this.holding;
    await Promise.resolve();
    this.atOnce -= 1;
    const id = options.id ?? "none";
    const sum = Array.from(input.data, Number).reduce((total, value) => total + value, 0);
    const index = Math.abs(Math.round(sum)) % 10;
    const explain = options.explain === true ? { explain: explanation } : {};
    const reply = {
      ...{ id, answer: { index, label: `${index}` }, confidence: 1 / 3, mode: "ensemble" as const, modelVersion: 7 },
      ...{ experience: { seq: this.asked.length, index: 0 }, traceId: traceIdOf(id), node: "serving-1", ...explain },
    };
    return this.instead.get(id) ?? { kind: "reply", reply, tries: 1 };
  }

  deps(): KserveDeps {
    return {
      version: "1.2.3",
      clock: this.clock,
      models: () => [digits, pairs],
      served: async () => this.served,
      asker: async () => (this.isReachable ? this : undefined),
      deadlineMs: 5_000,
    };
  }
}

const explanation = { own: [1], model: [1], domain: null, looks: [], neighbours: [], weights: [1] };
