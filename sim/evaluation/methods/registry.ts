// Every method of the evaluation.
//
// Owns: which name is which method. A stage of driftmend is a name in names.ts, an entry here and, where it is more than a switch of the
// production fold, a file beside driftmend.ts.
import { bn64 } from "./batch-statistics.js";
import { stages } from "./driftmend.js";
import { knn } from "./knn.js";
import { lame } from "./lame.js";
import type { MethodKind } from "./method.js";
import { type MethodName, methodNames } from "./names.js";
import { plain } from "./plain.js";
import { running } from "./running.js";
import { source } from "./source.js";
import { t3a } from "./t3a.js";
import { tent1, tent64 } from "./tent.js";

/** In the order of the names. `microBatch`: requests that driftmend's stages answer with the same parameters. */
export function methods(microBatch: number): readonly MethodKind[] {
  const kinds: Readonly<Record<MethodName, MethodKind>> = {
    source,
    plain,
    tent1,
    tent64,
    bn64,
    running,
    t3a,
    lame,
    knn,
    ...ownStages(microBatch),
  };
  return methodNames.map((name) => kinds[name]);
}

type OwnName = "A" | "A+B" | "A+C" | "A+B+C" | "all";

function ownStages(microBatch: number): Readonly<Record<OwnName, MethodKind>> {
  const a = { moments: true, views: false, head: false, floor: false };
  const own = (name: OwnName, about: string, on: Partial<typeof a>) => stages(name, about, { ...a, ...on }, microBatch);
  return {
    A: own("A", "class-balanced moments of each domain: driftmend's stage A", {}),
    "A+B": own("A+B", "and more looks where one is not enough, weighted by how well they served: stages A and B", {
      views: true,
    }),
    "A+C": own("A+C", "moments and the guarded head step: stages A and C", { head: true }),
    "A+B+C": own("A+B+C", "moments, looks and the guarded head step: stages A, B and C", { views: true, head: true }),
    all: own("all", "and the source answers where it does better: driftmend as it is shipped, stages A to D", {
      views: true,
      head: true,
      floor: true,
    }),
  };
}
