// `driftmend config check FILE`: would a cluster take this operations file?
//
// Owns: the verb's words and ending: 0 for a good file, 1 for a bad one with a line for each problem, file:line:column first.
// Does not own: what is good (health/operations-file.ts, health/rules.ts).
import { notifySchema } from "../alerts/notify/notify-settings.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { problemLine, readOperations, readOperationsText } from "../health/operations-file.js";
import type { Rule } from "../health/rules.js";
import type { Terminal } from "../terminal/terminal.js";
import { plural, printable } from "../text.js";

export async function configCheck(path: string, terminal: Terminal): Promise<Outcome> {
  const found = await readOperationsText(path);
  if (found.kind === "unreadable")
    return { kind: "failed", message: `${path}: ${found.message}`, next: "name a YAML file with checks: and notify:" };
  const read = readOperations(found.text, notifySchema);
  if (terminal.json)
    terminal.print(
      JSON.stringify(
        read.kind === "ok"
          ? { file: path, good: true, rules: read.operations.rules.map(told), problems: [] }
          : { file: path, good: false, rules: [], problems: read.problems },
      ),
    );
  if (read.kind === "refused") {
    const lines = read.problems.map((problem) => printable(problemLine(path, problem)));
    if (!terminal.json) for (const line of lines) terminal.print(line);
    const next = "docs/health.md has the grammar; a running cluster keeps the version before until this one is mended";
    return { kind: "failed", message: `${path}: ${plural(lines.length, "problem")}`, next };
  }
  const { rules, notify } = read.operations;
  if (!terminal.json)
    terminal.print(
      `${path} is good: ${plural(rules.length, "rule")} hold with it, built-in ones included; notify: ${notify === undefined ? "nobody" : "yes"}`,
    );
  return done;
}

function told({ name, severity, when, alert }: Rule) {
  return { name, severity, when, alert: alert ?? null };
}
