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
    A: stages("A", "class-balanced moments: driftmend's stage A", { moments: true, head: false }, microBatch),
    "A+C": stages(
      "A+C",
      "moments and the guarded head step: stages A and C",
      { moments: true, head: true },
      microBatch,
    ),
  };
  return methodNames.map((name) => kinds[name]);
}
