// Whether a model may be added to, or taken away from, a cluster: pure, from what the registry and the nodes say.
//
// Owns: the decision, and what a person types instead. Does not own: its execution (verbs/models.ts); nodes decide by the registry alone
// (transport/log/model-records.ts), so whoever passes this by is refused there.
//
// D1. The same bytes under the same name are the same model: adding them again changes nothing.
// D2. Another model under a used name is refused, and so is one under the name of a log whose model is not known to be the same.

import type { ModelPackage } from "../../models/adoption/model-package.js";
import { modelBounds, type Standing } from "../../transport/log/model-records.js";
import type { ModelOnNode } from "../../transport/messages/model-looks.js";
import { isToken } from "../../transport/subjects.js";

export interface Situation {
  readonly standing: Standing;
  /** The model of that name on the nodes that answer. */
  readonly onNodes: readonly ModelOnNode[];
  /** There is a log under the name, whoever's. */
  readonly hasLog: boolean;
  /** Other models that are served. */
  readonly others: number;
}

export type Decision =
  | { readonly kind: "go" }
  | { readonly kind: "already"; readonly source: "given" | "added" }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

/** Parts of a node's tree: a model's subtree has its name. */
const reserved: readonly string[] = [
  ...["beacon", "watchdog", "observer", "alerter", "web", "exporter", "registrar", "intake", "root", "tree", "status"],
];
const shown = 12;

/** Before anything is asked of the cluster. Undefined when nothing is wrong. */
export function unfit({ name, bytes, files }: ModelPackage): Extract<Decision, { kind: "refused" }> | undefined {
  const { packageMaxBytes, filesMax } = modelBounds;
  if (!isToken(name) || reserved.includes(name) || name.endsWith("-updater"))
    return refused(`"${name}" cannot be the name of an added model`, "give it another: driftmend model init --name");
  if (bytes > packageMaxBytes)
    return refused(`packageMaxBytes: ${name} has ${bytes} bytes, at most ${packageMaxBytes} can be added`, giveFolder);
  if (files.length > filesMax) return refused(`filesMax: ${name} has ${files.length} files`, giveFolder);
  return undefined;
}

const giveFolder = "start the cluster with it: driftmend up --model DIR";

export function admission({ name, sha256 }: ModelPackage, { standing, onNodes, hasLog, others }: Situation): Decision {
  const given = onNodes.find(({ source }) => source === "given");
  const purge = `driftmend model rm ${name} --purge-log, then add it; or give it another name`;
  if (given !== undefined) {
    if (given.sha256 === sha256) return { kind: "already", source: "given" };
    return refused(
      `the cluster was started with another model of the name ${name} (sha256 ${given.sha256.slice(0, shown)})`,
      "give the new one another name: driftmend model init --name",
    );
  }
  if (standing.served !== undefined) {
    if (standing.served.sha256 === sha256) return { kind: "already", source: "added" };
    const other = standing.served.sha256.slice(0, shown);
    return refused(`another model is served under the name ${name} (sha256 ${other})`, purge);
  }
  if (standing.logOf !== undefined && standing.logOf !== sha256)
    return refused(
      `the log under the name ${name} is another model's (sha256 ${standing.logOf.slice(0, shown)})`,
      purge,
    );
  if (standing.logOf === undefined && hasLog)
    return refused(`there is a log under the name ${name}, and nothing says which model's`, purge);
  if (others >= modelBounds.modelsMax)
    return refused(
      `modelsMax: a node serves ${modelBounds.modelsMax} models at most`,
      "driftmend model ls; model rm NAME",
    );
  return { kind: "go" };
}

export type Removal =
  | { readonly kind: "remove"; readonly sha256: string }
  /** Nothing is served; a log is left. */
  | { readonly kind: "purge" }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

export function removal(name: string, purgeLog: boolean, { standing, onNodes, hasLog }: Situation): Removal {
  if (standing.served !== undefined) return { kind: "remove", sha256: standing.served.sha256 };
  if (onNodes.some(({ source }) => source === "given"))
    return refused(`the cluster was started with ${name}`, "start it without --model of that folder");
  const hasAny = hasLog || standing.logOf !== undefined;
  if (purgeLog && hasAny) return { kind: "purge" };
  const next = hasAny ? `its log is there: driftmend model rm ${name} --purge-log` : "driftmend model ls";
  return refused(`no model ${name} was added`, next);
}

function refused(message: string, next: string): Extract<Decision, { kind: "refused" }> {
  return { kind: "refused", message, next };
}
