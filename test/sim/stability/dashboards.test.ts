// The files for others' tools: the Grafana dashboard and the Prometheus rules name metrics that exist, the nightly workflow runs a command
// that the verb takes.

import { readFile } from "node:fs/promises";
import test from "ava";
import { Command } from "commander";
import { parse } from "yaml";
import { families } from "../../../operations/metrics/families.js";
import { exposedNames } from "../../../operations/metrics/prometheus.js";
import { stabilityVerb } from "../../../sim/stability/grammar.js";
import { misuse, type StabilityOptions } from "../../../sim/stability/options.js";

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly __inputs: readonly { readonly name: string }[];
}

async function dashboard(): Promise<Dashboard> {
  return JSON.parse(await readFile("dashboards/grafana/driftmend.json", "utf8"));
}

async function expressions(): Promise<string[]> {
  const { panels, annotations } = await dashboard();
  const rules = (await alertRules()).map(({ expr }) => expr);
  const drawn = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return [...drawn, ...annotations.list.map(({ expr }) => expr), ...rules];
}

async function alertRules(): Promise<readonly { readonly alert: string; readonly expr: string }[]> {
  const { groups } = parse(await readFile("dashboards/prometheus/alerts.yml", "utf8"));
  return groups.flatMap(({ rules }: { readonly rules: readonly object[] }) => rules);
}

function namesIn(expr: string): readonly string[] {
  return expr.match(/driftmend_[a-z_]+/g) ?? [];
}

test("every query of the dashboard and every alert rule names metrics that /metrics exposes (S1-88)", async (t) => {
  const exposed = exposedNames();
  const all = await expressions();
  t.true(all.length > 50);
  t.deepEqual(
    all.filter((expr) => namesIn(expr).length === 0 || namesIn(expr).some((name) => !exposed.has(name))),
    [],
  );
});

test("labels that queries choose or show by are labels of these metrics (S1-88)", async (t) => {
  const labelsOf = new Map<string, readonly string[]>(families.map(({ name, labels }) => [name, labels]));
  const wrong = (await expressions()).flatMap((expr) =>
    Array.from(expr.matchAll(/(driftmend_[a-z_]+)\{([^}]*)\}/g), ([, name = "", matchers = ""]) => ({
      name,
      matchers,
    })).flatMap(({ name, matchers }) =>
      Array.from(matchers.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g), ([, label = ""]) => label)
        .filter((label) => label !== "quantile" && !(labelsOf.get(name) ?? []).includes(label))
        .map((label) => `${name}{${label}}`),
    ),
  );
  t.deepEqual(wrong, []);
});

test("the dashboard shows the five vital signs with Worker Crash marks, and asks for its data source (S1-88)", async (t) => {
  const { panels, annotations, __inputs } = await dashboard();
  const titles = panels.map(({ title }) => title);
  for (const vital of ["update_rate", "knn_failure_rate", "mean_kl_divergence", "queue_size", "Accuracy"])
    t.true(titles.includes(vital), vital);
  t.is(annotations.list[0]?.name, "Worker Crash");
  t.is(__inputs[0]?.name, "DS_PROMETHEUS");
});

test("the alerts that every cluster knows exist for Prometheus under the same names", async (t) => {
  const names = (await alertRules()).map(({ alert }) => alert);
  for (const name of [
    ...["update_rate_stalled", "kl_drift", "queue_growing", "knn_failing", "model_below_source"],
    ...["restart_storm", "log_backpressure"],
  ])
    t.true(names.includes(name), name);
});

async function taken(words: readonly string[]): Promise<StabilityOptions> {
  const root = new Command("driftmend").exitOverride().configureOutput({ writeErr: () => undefined });
  let options: object = {};
  stabilityVerb(
    root,
    async (parsed) => {
      options = parsed;
    },
    "",
  );
  await root.parseAsync(words, { from: "user" });
  return options as StabilityOptions;
}

interface Workflow {
  readonly on: { readonly schedule: readonly { readonly cron: string }[]; readonly workflow_dispatch: object };
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly env: Readonly<Record<string, string>>;
        readonly steps: readonly {
          readonly run?: string;
          readonly uses?: string;
          readonly if?: string;
          readonly "continue-on-error"?: boolean;
          readonly with?: Readonly<Record<string, unknown>>;
        }[];
      }
    >
  >;
}

/** The words of the verb in the nightly workflow, each variable with what it has when nobody typed anything. */
function wordsOf(command: string, env: Readonly<Record<string, string>>): readonly string[] {
  const words = command.trim().split(/\s+/);
  const variable = (name: string): string => /\|\| '([^']+)'/.exec(env[name] ?? "")?.[1] ?? "17";
  return words
    .slice(words.indexOf("stability"))
    .map((word) => word.replace(/^"\$([A-Z]+)"$/, (_, name) => variable(name)));
}

test("the nightly workflow runs the verb with flags that it takes, fails when it fails, and keeps the report (S0-22)", async (t) => {
  const workflow: Workflow = parse(await readFile(".github/workflows/stability.yml", "utf8"));
  t.is(workflow.on.schedule.length, 1);
  t.true("inputs" in workflow.on.workflow_dispatch);
  const [job] = Object.values(workflow.jobs);
  const steps = job?.steps ?? [];
  const at = steps.findIndex(({ run = "" }) => run.includes(" stability"));
  const { run = "", "continue-on-error": isForgiven = false } = steps[at] ?? {};
  const words = wordsOf(run, job?.env ?? {});
  const options = await taken(words);
  t.is(misuse(options), undefined);
  t.like(options, {
    duration: 28_800_000,
    enableChaosTesting: true,
    workerCrashProbability: 0.01,
    rate: 200,
    seed: 17,
  });
  t.false(isForgiven || /\|\||; *true|set \+e/.test(run), "its exit code is the step's");
  const keeping = steps.findIndex(({ uses = "" }) => uses.startsWith("actions/upload-artifact@"));
  t.true(keeping > at && steps[keeping]?.if === "always()");
  t.is(steps[keeping]?.with?.path, options.report);
});

test("durations are in human units; what cannot be is refused with the flag named (S0-23)", async (t) => {
  for (const [text, ms] of [
    ["90s", 90_000],
    ["2m", 120_000],
    ["8h", 28_800_000],
  ] as const)
    t.is((await taken(["stability", "--duration", text])).duration, ms);
  for (const words of [
    ["--duration", "banana"],
    ["--sample-every", "500ms"],
    ["--grace", "soon"],
    ["--worker-crash-probability", "1.5"],
    ["--rate", "0"],
    ["--requests", "none"],
  ]) {
    const error = await t.throwsAsync(taken(["stability", ...words]));
    t.true(error?.message.includes(words[0] ?? ""), error?.message);
  }
});

test("flags that do not go together are wrong usage, with the flag named (S0-20, S0-25)", async (t) => {
  const said = async (...words: string[]) => {
    const found = misuse(await taken(["stability", ...words]));
    return found !== undefined && "message" in found ? `${found.kind}: ${found.message}` : "fine";
  };
  t.regex(await said(), /^usage: without --duration and --requests/);
  t.regex(await said("--requests", "9", "--worker-crash-probability", "0.1"), /^usage: --worker-crash-probability/);
  t.regex(await said("--duration", "10s", "--grace", "10s"), /^usage: --grace/);
  t.is(await said("--requests", "9", "--duration", "8h"), "fine");
});
