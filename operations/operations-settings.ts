// What the operations file says, with its secrets: the rules of health and who is told of alerts, as they are now.
//
// Owns: the join of the two sections, the resolution of secrets at every reading. Does not own: the file and its reload
// (health/operations-file.ts), the sections (health/rules.ts, alerts/notify/notify-settings.ts).
//
// S1. A secret that cannot be resolved rejects the section `notify:` like any other mistake: the one before stays.

import type { Clock } from "../models/clock.js";
import {
  type Notify,
  type NotifySettings,
  notifySchema,
  resolveNotify,
  type SecretSources,
} from "./alerts/notify/notify-settings.js";
import type { RuleSet } from "./health/health.js";
import { type Operations, openOperationsFile, problemLine } from "./health/operations-file.js";
import { OperationsFileError } from "./operations-file-error.js";

export interface OperationsSettings {
  rules(): RuleSet;
  /** Undefined: nobody is told. */
  notify(): Notify | undefined;
  close(): void;
}

export interface OperationsSettingsOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly secrets: SecretSources;
  /** A newer version was taken, or what is wrong with it. */
  readonly onChange: (lines: readonly string[]) => void;
}

/** Throws OperationsFileError when the file is bad from the beginning. */
export async function openOperationsSettings(options: OperationsSettingsOptions): Promise<OperationsSettings> {
  const { path, clock, onChange } = options;
  let notify: Notify | undefined;
  let unresolved: string | null = null;
  const take = (operations: Operations<NotifySettings>): void => {
    const resolved = resolve(options, operations);
    unresolved = resolved.kind === "refused" ? resolved.line : null;
    if (resolved.kind === "resolved") notify = resolved.notify;
  };
  const opened = await openOperationsFile({
    path,
    clock,
    notify: notifySchema,
    onChange: (change) => {
      if (change.kind === "taken") take(change.operations);
      onChange(change.kind === "rejected" ? change.lines : unresolved === null ? [] : [unresolved]);
    },
  });
  if (opened.kind === "refused") throw new OperationsFileError(opened.lines.join("\n"));
  const { file } = opened;
  take(file.operations);
  if (unresolved !== null) {
    file.close();
    throw new OperationsFileError(unresolved);
  }
  return {
    rules: () => {
      const rules = file.rules();
      return { ...rules, rejected: rules.rejected ?? unresolved };
    },
    notify: () => notify,
    close: () => file.close(),
  };
}

type Resolution =
  | { readonly kind: "resolved"; readonly notify: Notify | undefined }
  | { readonly kind: "refused"; readonly line: string };

function resolve({ path, secrets }: OperationsSettingsOptions, { notify, at }: Operations<NotifySettings>): Resolution {
  if (notify === undefined) return { kind: "resolved", notify: undefined };
  const resolved = resolveNotify(notify, secrets);
  if (resolved.kind === "resolved") return { kind: "resolved", notify: resolved.notify };
  return { kind: "refused", line: problemLine(path, { ...at(["notify", ...resolved.path]), what: resolved.message }) };
}
