// The health rules: what the list `checks:` of an operations file says, as rules.
//
// Owns: the fields of a rule, and every reason to refuse one, each with its place. Does not own: conditions (expression.ts), YAML itself
// (yaml-text.ts), which rules hold without a file (default-rules.ts), the rest of the file (operations-file.ts).
//
// R1. A rule that is taken can be evaluated: names, units, levels and placeholders have been looked at here.
// R2. One name may have one rule of each severity: the same check, stricter and milder.

import { z } from "zod";
import { isToken } from "../../transport/subjects.js";
import { parseDuration } from "../duration.js";
import { type BaselineSettings, baselineDefaults } from "./baseline.js";
import { type ClearLevel, type Condition, type Parsed, parseClear, parseCondition } from "./expression.js";
import { severities } from "./health-report.js";
import { measureOf } from "./measures.js";
import { suggestion } from "./nearest-name.js";
import { type Placeholder, placeholders, placeholdersIn, sizingPlaceholders } from "./recommend.js";
import { schemaProblems } from "./schema-problems.js";
import type { Path, Problem, YamlText } from "./yaml-text.js";

export type Severity = (typeof severities)[number];

export interface Rule {
  readonly name: string;
  readonly severity: Severity;
  readonly condition: Condition;
  /** The condition as it was written: the same text is the same question. */
  readonly when: string;
  readonly forMs: number;
  /** Left out: over as soon as the condition does not hold. */
  readonly clear?: ClearLevel;
  readonly keepFiringMs: number;
  readonly minSamples: number;
  readonly alert?: string;
  readonly recommend?: string;
  /** Left out: whatever the measure is about. */
  readonly about?: readonly string[];
  readonly baseline: BaselineSettings;
}

/** `off`: names whose built-in rules do not hold. */
export interface RuleList {
  readonly rules: readonly Rule[];
  readonly off: readonly string[];
}

const rulesMax = 500;
const text = (max: number) => z.string().min(1).max(max);

const ruleSchema = z.strictObject({
  name: text(32),
  off: z.literal(true).optional(),
  severity: z.enum(severities).optional(),
  when: text(500).optional(),
  for: z.union([z.string(), z.literal(0)]).optional(),
  clear: text(100).optional(),
  keep_firing_for: z.string().optional(),
  min_samples: z.int().min(1).optional(),
  alert: text(32).optional(),
  recommend: text(500).optional(),
  about: z.union([text(128), z.array(text(128)).min(1).max(64)]).optional(),
  baseline: z.strictObject({ over: z.string().optional(), after: z.string().optional() }).optional(),
});
type Written = z.infer<typeof ruleSchema>;

/** The list; its entries are looked at one by one, so that one that is wrong does not hide what is wrong with the next. */
export const checksSchema = z.array(z.unknown()).max(rulesMax);

/** The rules of a text that is a list of rules and nothing else: the built-in ones. */
export function parseRuleList(yaml: YamlText): { readonly list: RuleList; readonly problems: readonly Problem[] } {
  const parsed = checksSchema.safeParse(yaml.value);
  if (parsed.success) return rulesOf(parsed.data, yaml, []);
  return { list: { rules: [], off: [] }, problems: schemaProblems(parsed.error, checksSchema, yaml, []) };
}

/** `path`: where the list stands in the text. Rules with problems are left out of the list. */
export function rulesOf(
  entries: readonly unknown[],
  yaml: YamlText,
  path: Path,
): { readonly list: RuleList; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const rules: Rule[] = [];
  const off: string[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const place = [...path, index];
    const parsed = ruleSchema.safeParse(entry);
    if (!parsed.success) {
      problems.push(...schemaProblems(parsed.error, ruleSchema, yaml, place));
      continue;
    }
    const written = parsed.data;
    const reader = new RuleReader(written, yaml, place, problems);
    const key = written.off ? written.name : `${written.name} (${written.severity})`;
    if (seen.has(key))
      reader.refuse("name", `"${key}" is there already: one rule for each name and severity, so merge the two`);
    seen.add(key);
    if (written.off) off.push(written.name);
    const rule = reader.rule();
    if (rule !== undefined) rules.push(rule);
  }
  return { list: { rules, off }, problems };
}

/** The built-in rules, less those whose name the list says something about, and the list's own. */
export function withBuiltIn(builtIn: readonly Rule[], { rules, off }: RuleList): readonly Rule[] {
  const named = new Set([...off, ...rules.map(({ name }) => name)]);
  return [...builtIn.filter(({ name }) => !named.has(name)), ...rules];
}

/** Reads one entry, and notes whatever is wrong with it. */
class RuleReader {
  readonly #written: Written;
  readonly #yaml: YamlText;
  readonly #path: Path;
  readonly #problems: Problem[];
  #isSound = true;

  constructor(written: Written, yaml: YamlText, path: Path, problems: Problem[]) {
    this.#written = written;
    this.#yaml = yaml;
    this.#path = path;
    this.#problems = problems;
  }

  refuse(field: string, what: string, index?: number): undefined {
    this.#isSound = false;
    const path = [...this.#path, ...field.split(".")];
    this.#problems.push({ ...this.#yaml.at(path, index), what: `${field}: ${what}` });
    return undefined;
  }

  rule(): Rule | undefined {
    const { name, off, severity, when, alert, recommend, about, min_samples: minSamples } = this.#written;
    if (!isToken(name)) this.refuse("name", `use 1 to 32 letters, digits, "-" or "_"`);
    if (off) return this.#switchedOff();
    if (severity === undefined) this.refuse("severity", "is missing: write critical, warning or info");
    if (when === undefined) this.refuse("when", "is missing: write a condition like pool.utilization > 95");
    const condition = when === undefined ? undefined : this.#expression("when", parseCondition(when));
    const forMs = this.#duration("for");
    const keepFiringMs = this.#duration("keep_firing_for");
    const clear = condition === undefined ? undefined : this.#clear(condition);
    const baseline = this.#baseline(condition);
    if (minSamples !== undefined && condition !== undefined && measureOf(condition.lead.measure).sampled !== true)
      this.refuse("min_samples", `${condition.lead.measure} is read, not counted over samples: leave it out`);
    this.#tellable(alert, severity, recommend, condition);
    if (!this.#isSound || condition === undefined || when === undefined || severity === undefined) return undefined;
    return {
      name,
      severity,
      condition,
      when,
      forMs,
      keepFiringMs,
      minSamples: minSamples ?? 1,
      baseline,
      ...(clear === undefined ? {} : { clear }),
      ...(alert === undefined ? {} : { alert }),
      ...(recommend === undefined ? {} : { recommend }),
      ...(about === undefined ? {} : { about: typeof about === "string" ? [about] : about }),
    };
  }

  #switchedOff(): undefined {
    const [more] = Object.keys(this.#written).filter((key) => key !== "name" && key !== "off");
    if (more !== undefined) this.refuse(more, "a rule that is off has a name and nothing else");
    return undefined;
  }

  #expression<T>(field: "when" | "clear", parsed: Parsed<T>): T | undefined {
    return parsed.kind === "ok" ? parsed.value : this.refuse(field, parsed.message, parsed.at);
  }

  #clear({ lead }: Condition): ClearLevel | undefined {
    const { clear } = this.#written;
    return clear === undefined ? undefined : this.#expression("clear", parseClear(clear, lead));
  }

  /** 0 when it is left out. */
  #duration(field: "for" | "keep_firing_for"): number {
    return this.#ms(field, this.#written[field] ?? 0);
  }

  #ms(field: string, written: string | 0): number {
    if (written === 0 || /^0(ms|s|m|h|d)?$/.test(written)) return 0;
    const parsed = parseDuration(written);
    if (parsed.kind === "ok") return parsed.ms;
    this.refuse(field, parsed.message);
    return 0;
  }

  #baseline(condition: Condition | undefined): BaselineSettings {
    const { baseline } = this.#written;
    if (baseline === undefined) return baselineDefaults;
    if (condition !== undefined && condition.lead.level.kind !== "baseline")
      this.refuse("baseline", "goes with a level like 2x baseline in when");
    const overMs = baseline.over === undefined ? baselineDefaults.overMs : this.#ms("baseline.over", baseline.over);
    const afterMs =
      baseline.after === undefined
        ? Math.min(baselineDefaults.afterMs, overMs / 2)
        : this.#ms("baseline.after", baseline.after);
    if (this.#isSound && !(afterMs < overMs))
      this.refuse(
        baseline.after === undefined ? "baseline.over" : "baseline.after",
        "the baseline is made of what lies within `over`, so `after` has to be shorter",
      );
    return { overMs, afterMs };
  }

  #tellable(
    alert: string | undefined,
    severity: Severity | undefined,
    recommend: string | undefined,
    condition: Condition | undefined,
  ): void {
    if (alert !== undefined && !isToken(alert)) this.refuse("alert", `use 1 to 32 letters, digits, "-" or "_"`);
    if (alert !== undefined && severity === "info")
      this.refuse("alert", "an info check notifies nobody: leave it out, or make the rule a warning");
    for (const { name, at } of recommend === undefined ? [] : placeholdersIn(recommend)) {
      const found: Placeholder | undefined = placeholders.find((each) => each === name);
      if (found === undefined)
        this.refuse(
          "recommend",
          `unknown placeholder {${name}}${suggestion(name, placeholders) || `; there are ${placeholders.join(", ")}`}`,
          at,
        );
      else if (
        sizingPlaceholders.includes(found) &&
        condition !== undefined &&
        !measureOf(condition.lead.measure).sizes
      )
        this.refuse("recommend", `{${name}} is a number of slots: it goes with a measure of a pool`, at);
    }
  }
}
