// What a schema finds wrong with a text, in words and with its place.
//
// Owns: the words. Does not own: the schemas (rules.ts, operations-file.ts), places (yaml-text.ts).

import { z } from "zod";
import { suggestion } from "./nearest-name.js";
import type { Path, Problem, YamlText } from "./yaml-text.js";

type Issue = z.core.$ZodIssue;

/** `path`: where the value that was checked stands in the text. */
export function schemaProblems(error: z.ZodError, schema: z.ZodType, yaml: YamlText, path: Path): readonly Problem[] {
  return error.issues.flatMap((issue) => problemsOf(issue, schema, yaml, path));
}

function problemsOf(issue: Issue, schema: z.ZodType, yaml: YamlText, path: Path): readonly Problem[] {
  const inside = issue.path.filter((step) => typeof step !== "symbol");
  const place = [...path, ...inside];
  const last = place.at(-1);
  const field = typeof last === "string" ? last : "";
  const said = (what: string): Problem => ({ ...yaml.at(place), what: field === "" ? what : `${field}: ${what}` });
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, inside);
    return issue.keys.map((key) => ({
      ...yaml.atKey(place, key),
      what: `unknown field "${key}"${suggestion(key, known) || (known.length === 0 ? "" : `; there are ${known.join(", ")}`)}`,
    }));
  }
  if (issue.code === "invalid_value") return [said(`has to be ${alternatives(issue.values.map(String))}`)];
  if (issue.code === "invalid_union") {
    const expected = issue.errors
      .flat()
      .flatMap((each) => (each.code === "invalid_type" ? [nameOf(each.expected)] : []));
    return [
      said(
        expected.length === 0 ? "is none of what may stand here" : `has to be ${alternatives([...new Set(expected)])}`,
      ),
    ];
  }
  if (issue.code === "invalid_type") {
    const isMissing = issue.input === undefined && /received undefined/.test(issue.message);
    return [said(isMissing ? `is missing: write ${nameOf(issue.expected)}` : `has to be ${nameOf(issue.expected)}`)];
  }
  return [said(issue.message.charAt(0).toLowerCase() + issue.message.slice(1))];
}

const names: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "fields with values",
};

/** "a, b or c". */
function alternatives(words: readonly string[]): string {
  return words.join(", ").replace(/, ([^,]*)$/, " or $1");
}

function nameOf(expected: string): string {
  return names[expected] ?? expected;
}

/** The fields that an object of the schema has at that place; none when it cannot be told. */
function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  let here: unknown = schema;
  for (const step of path) {
    here = unwrapped(here);
    if (here instanceof z.ZodArray && typeof step === "number") here = here.element;
    else if (here instanceof z.ZodObject && typeof step === "string") here = here.shape[step];
    else return [];
  }
  here = unwrapped(here);
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function unwrapped(schema: unknown): unknown {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? unwrapped(schema.unwrap()) : schema;
}
