// A policy as bytes: what recovery starts from.
//
// Owns: the format and its checks. Does not own: where snapshots lie, when they are written (transport/, actors/learning/updater.ts).
//
// N1. What is read back is the same state, to the bit; anything else is refused with a reason, and recovery begins at the source.
import { z } from "zod";
import { allFinite } from "../learning/guardrails.js";
import type { Subject } from "../manifest.js";
import { type BlockArray, BlocksError, readBlocks, writeBlocks } from "../numbers/blocks.js";
import { checksum, decidingArrays, decidingNumbers, type Policy, sourcePolicy } from "./policy.js";

export type DecodedPolicy =
  | { readonly kind: "policy"; readonly policy: Policy }
  | { readonly kind: "refused"; readonly why: string };

const count = z.number().int().nonnegative();

const headerSchema = z.strictObject({
  kind: z.literal("policy"),
  v: z.literal(2),
  model: z.string(),
  source: z.string(),
  checksum: z.string(),
  numbers: z.strictObject({
    version: count,
    updateSeq: count,
    experienceSeq: count,
    horizonSeq: count,
    experiences: count,
    steps: count,
    tasks: count,
  }),
  counters: z.strictObject({
    applied: count,
    duplicates: count,
    clipped: count,
    refused: z.strictObject({
      kl: count,
      anchors: count,
      nan: count,
      cold: count,
      no_material: count,
      disabled: count,
      // Snapshots that were stored before an update could be skipped do not name it.
      poison: count.default(0),
    }),
    rowsSkipped: count,
    rowsRepeated: count,
    labelsUsed: count,
    labelsMissed: count,
    rewardsUsed: count.default(0),
  }),
});

export function encodePolicy(policy: Policy): Uint8Array {
  const header = {
    kind: "policy",
    v: 2,
    model: policy.model,
    source: policy.source,
    checksum: checksum(policy),
    numbers: decidingNumbers(policy),
    counters: { ...policy.counters, refused: { ...policy.counters.refused } },
  };
  return writeBlocks(header, decidingArrays(policy));
}

/** The policy in `bytes`, if it belongs to this model and nothing in it is damaged. */
export function decodePolicy(bytes: Uint8Array, subject: Subject): DecodedPolicy {
  try {
    return { kind: "policy", policy: parse(bytes, subject) };
  } catch (error) {
    if (error instanceof BlocksError) return { kind: "refused", why: error.message };
    throw error;
  }
}

function parse(bytes: Uint8Array, subject: Subject): Policy {
  const { header, arrays } = readBlocks(bytes);
  const parsed = headerSchema.safeParse(header);
  if (!parsed.success) throw new BlocksError(`not a policy: ${z.prettifyError(parsed.error)}`);
  const { numbers, counters, ...identity } = parsed.data;
  const policy = sourcePolicy(subject);
  if (identity.model !== policy.model || identity.source !== policy.source) {
    throw new BlocksError(`a policy of ${identity.model} ${identity.source.slice(0, 12)}, not of ${policy.model}`);
  }
  for (const [name, array] of Object.entries(decidingArrays(policy))) fill(name, array, arrays[name]);
  if (![policy.head, policy.served, policy.firstMoment, policy.secondMoment].every(allFinite)) {
    throw new BlocksError("a parameter is not finite");
  }
  policy.recentIds.reindex();
  Object.assign(policy, numbers, { counters });
  if (checksum(policy) !== identity.checksum)
    throw new BlocksError("the state is not the one the checksum was made of");
  return policy;
}

/** Copies a block over the array of a fresh policy, whose type and length it must have. */
function fill(name: string, into: BlockArray, from: BlockArray | undefined): void {
  if (from === undefined || from.constructor !== into.constructor || from.length !== into.length) {
    throw new BlocksError(`block "${name}" is not ${into.length} values of ${into.constructor.name}`);
  }
  into.set(from);
}
