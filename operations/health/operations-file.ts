// The operations file: YAML with the health rules (`checks:`) and who is told of alerts (`notify:`), read again whenever it changes.
//
// Owns: the file as a whole, its reload, what is wrong with it and where. Does not own: rules (rules.ts), the section `notify:`, whose
// schema is given, secrets that it refers to.
//
// F1. A bad version is never taken: the one before stays, and what is wrong is told with line and column.
// F2. A version is taken when two looks in a row found the same text: an editor that is still writing is not read.
// F3. Looking is reading the whole (bounded) file: that sees a renamed, mounted or linked one too, which notifications of the system miss.
// F4. A version that cannot even be judged is a bad one: an edit never ends the node, and the next one is read like any other.

import { open } from "node:fs/promises";
import { z } from "zod";
import type { Clock } from "../../models/clock.js";
import { whyUnread } from "../text.js";
import { builtInRules } from "./default-rules.js";
import type { RuleSet } from "./health.js";
import { checksSchema, type Rule, rulesOf, withBuiltIn } from "./rules.js";
import { schemaProblems } from "./schema-problems.js";
import { type Path, type Position, type Problem, readYaml, textMax } from "./yaml-text.js";

export interface Operations<Notify> {
  /** The built-in ones included, as far as the file leaves them. */
  readonly rules: readonly Rule[];
  /** Undefined: the file says nothing of it. */
  readonly notify: Notify | undefined;
  /** Where a part of the file stands, for what is found wrong later. */
  readonly at: (path: Path) => Position;
}

export type OperationsRead<Notify> =
  | { readonly kind: "ok"; readonly operations: Operations<Notify> }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** Problems are in the order of the text. */
export function readOperations<Notify>(text: string, notify: z.ZodType<Notify>): OperationsRead<Notify> {
  const yaml = readYaml(text);
  if (yaml.kind === "refused") return yaml;
  const schema = z.strictObject({ checks: checksSchema.optional(), notify: notify.optional() });
  // An empty file says nothing, which is something that can be said.
  const parsed = schema.safeParse(yaml.value ?? {});
  if (!parsed.success) return refused(schemaProblems(parsed.error, schema, yaml, []));
  const { list, problems } = rulesOf(parsed.data.checks ?? [], yaml, ["checks"]);
  if (problems.length > 0) return refused(problems);
  const operations = {
    rules: withBuiltIn(builtInRules(), list),
    notify: parsed.data.notify,
    at: (path: Path) => yaml.at(path),
  };
  return { kind: "ok", operations };
}

function refused<Notify>(problems: readonly Problem[]): OperationsRead<Notify> {
  return { kind: "refused", problems: [...problems].sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** `file:line:column: what`, as compilers say it. */
export function problemLine(file: string, { line, column, what }: Problem): string {
  return `${file}:${line}:${column}: ${what}`;
}

export type FileText =
  | { readonly kind: "read"; readonly text: string }
  | { readonly kind: "unreadable"; readonly message: string };

/** Of at most `textMax` bytes: a longer one is not read, for its beginning alone could be taken for the whole. */
export async function readOperationsText(path: string): Promise<FileText> {
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(textMax + 1), 0, textMax + 1, 0);
      if (bytesRead > textMax) return { kind: "unreadable", message: `more than ${textMax} bytes are too many` };
      return { kind: "read", text: buffer.subarray(0, bytesRead).toString("utf8") };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return { kind: "unreadable", message: whyUnread(error) };
  }
}

/** Without a file: the built-in rules, and nobody is told. */
export const builtInRuleSet: RuleSet = {
  get rules() {
    return builtInRules();
  },
  source: "built in",
  rejected: null,
};

export interface OperationsFileOptions<Notify> {
  readonly path: string;
  readonly notify: z.ZodType<Notify>;
  readonly clock: Clock;
  /** Default 500 ms. */
  readonly lookEveryMs?: number;
  /** A new version holds, or was rejected, with one line for each problem. */
  readonly onChange: (change: OperationsChange<Notify>) => void;
}

export type OperationsChange<Notify> =
  | { readonly kind: "taken"; readonly operations: Operations<Notify> }
  | { readonly kind: "rejected"; readonly lines: readonly string[] };

export interface OperationsFile<Notify> {
  readonly operations: Operations<Notify>;
  /** For `openHealth`. */
  rules(): RuleSet;
  close(): void;
}

export type OpenedFile<Notify> =
  | { readonly kind: "open"; readonly file: OperationsFile<Notify> }
  /** It was bad from the beginning, so there is nothing to go by: one line for each problem. */
  | { readonly kind: "refused"; readonly lines: readonly string[] };

/** Reads the file and keeps looking at it until it is closed. */
export async function openOperationsFile<Notify>(options: OperationsFileOptions<Notify>): Promise<OpenedFile<Notify>> {
  const found = await readOperationsText(options.path);
  if (found.kind === "unreadable") return { kind: "refused", lines: [`${options.path}: ${found.message}`] };
  const read = readOperations(found.text, options.notify);
  if (read.kind === "refused")
    return { kind: "refused", lines: read.problems.map((problem) => problemLine(options.path, problem)) };
  return { kind: "open", file: new WatchedFile(options, read.operations, found.text) };
}

const lookEveryMsDefault = 500;

class WatchedFile<Notify> implements OperationsFile<Notify> {
  readonly #options: OperationsFileOptions<Notify>;
  readonly #end = new AbortController();
  #operations: Operations<Notify>;
  #rejected: string | null = null;
  /** What was judged last, taken or not. */
  #judged: string;
  #seen: string;

  constructor(options: OperationsFileOptions<Notify>, operations: Operations<Notify>, text: string) {
    this.#options = options;
    this.#operations = operations;
    this.#judged = textKey({ kind: "read", text });
    this.#seen = this.#judged;
    void this.#watch();
  }

  get operations(): Operations<Notify> {
    return this.#operations;
  }

  rules(): RuleSet {
    return { rules: this.#operations.rules, source: this.#options.path, rejected: this.#rejected };
  }

  close(): void {
    this.#end.abort();
  }

  async #watch(): Promise<void> {
    const { clock, lookEveryMs = lookEveryMsDefault, path } = this.#options;
    const { signal } = this.#end;
    while (!signal.aborted) {
      await clock.delay(lookEveryMs, signal);
      if (signal.aborted) return;
      try {
        this.#look(await readOperationsText(path));
      } catch (error) {
        // F4.
        this.#reject([`${path}: cannot be judged: ${error instanceof Error ? error.message : String(error)}`]);
      }
    }
  }

  #look(found: FileText): void {
    const key = textKey(found);
    const isSettled = key === this.#seen;
    this.#seen = key;
    if (!isSettled || key === this.#judged || this.#end.signal.aborted) return;
    this.#judged = key;
    const { path, notify, onChange } = this.#options;
    const read = found.kind === "read" ? readOperations(found.text, notify) : found;
    if (read.kind === "ok") {
      this.#operations = read.operations;
      this.#rejected = null;
      onChange({ kind: "taken", operations: read.operations });
    } else if (read.kind === "refused") this.#reject(read.problems.map((problem) => problemLine(path, problem)));
    else this.#reject([`${path}: ${read.message}`]);
  }

  #reject(lines: readonly string[]): void {
    this.#rejected = lines.join("\n");
    this.#options.onChange({ kind: "rejected", lines });
  }
}

/** Same key, same text, or the same reason why there is none. */
function textKey(found: FileText): string {
  return found.kind === "read" ? `read ${found.text}` : `unreadable ${found.message}`;
}
