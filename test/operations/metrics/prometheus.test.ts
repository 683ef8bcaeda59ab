// The Prometheus text, read by a parser that takes nothing the format does not name.

import test from "ava";
import { families } from "../../../operations/metrics/families.js";
import { exposedNames, prometheusText } from "../../../operations/metrics/prometheus.js";
import { figuresOf } from "./cluster-figures.js";

interface Read {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface ReadFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Read[];
}

/** Text exposition format 0.0.4: HELP, TYPE, then all samples of a family together, each name with labels once; the last line ends too. */
function parse(text: string): ReadFamily[] {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const read: ReadFamily[] = [];
  const seen = new Set<string>();
  let help: readonly [string, string] | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const helpLine = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    const typeLine = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (helpLine !== null) {
      help = [helpLine[1] ?? "", unescaped(helpLine[2] ?? "", false)];
    } else if (typeLine !== null) {
      const [, name = "", type = ""] = typeLine;
      if (help?.[0] !== name) throw new Error(`TYPE ${name} without its HELP`);
      if (read.some((family) => family.name === name)) throw new Error(`${name} stands twice`);
      read.push({ name, type, help: help[1], samples: [] });
    } else {
      const family = read.at(-1);
      if (family === undefined) throw new Error(`a sample before any family: ${line}`);
      const sample = sampleIn(line);
      const own =
        family.type === "summary" ? [family.name, `${family.name}_sum`, `${family.name}_count`] : [family.name];
      if (!own.includes(sample.name)) throw new Error(`${sample.name} under ${family.name}`);
      if ("quantile" in sample.labels !== (family.type === "summary" && sample.name === family.name))
        throw new Error(`a quantile where none belongs, or none where one does: ${line}`);
      const key = line.slice(0, line.lastIndexOf(" "));
      if (seen.has(key)) throw new Error(`twice: ${key}`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  return read;
}

function sampleIn(line: string): Read {
  const match =
    /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)+)\})? (\S+)$/.exec(
      line,
    );
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name = "", inner = "", number = ""] = match;
  if (!/^([+-]?(\d+(\.\d+)?(e[+-]?\d+)?|Inf)|NaN)$/.test(number)) throw new Error(`no number: ${number}`);
  const pairs = [...inner.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/g)];
  if (pairs.map(([whole]) => whole).join("") !== inner || inner.endsWith(",")) throw new Error(`labels: ${inner}`);
  const labels = Object.fromEntries(pairs.map(([, key = "", value = ""]) => [key, unescaped(value, true)]));
  if (Object.keys(labels).length !== pairs.length) throw new Error(`a label stands twice: ${inner}`);
  return { name, labels, value: number.endsWith("Inf") ? Number(`${number}inity`) : Number(number) };
}

function unescaped(text: string, quotes: boolean): string {
  return text.replace(/\\(.)/g, (_, letter: string) => {
    if (letter === "n") return "\n";
    if (letter === "\\" || (quotes && letter === '"')) return letter;
    throw new Error(`an escape that the format has not: \\${letter}`);
  });
}

function numberAt(read: readonly ReadFamily[], name: string, labels: Readonly<Record<string, string>> = {}) {
  const found = read
    .flatMap(({ samples }) => samples)
    .find((each) => each.name === name && JSON.stringify(each.labels) === JSON.stringify(labels));
  return found?.value;
}

test("(S1-38) the text is what the format asks for, and its numbers are those of the figures in base units", (t) => {
  const read = parse(prometheusText(figuresOf()));
  t.is(numberAt(read, "driftmend_requests_total"), 500);
  t.is(numberAt(read, "driftmend_refused_total", { code: "deadline" }), 4);
  t.is(numberAt(read, "driftmend_answered_total", { model: "digits" }), 490);
  t.is(numberAt(read, "driftmend_processing_seconds_total", { model: "digits" }), 1.25);
  t.is(numberAt(read, "driftmend_knn_failures_total"), 10);
  t.is(numberAt(read, "driftmend_phase_failed_total", { kind: "infer", phase: "remember" }), 10);
  t.is(numberAt(read, "driftmend_job_duration_seconds", { kind: "infer", quantile: "0.99" }), 0.0095);
  t.is(numberAt(read, "driftmend_job_duration_seconds_sum", { kind: "infer" }), 1.25);
  t.is(numberAt(read, "driftmend_job_duration_seconds_count", { kind: "infer" }), 500);
  t.is(numberAt(read, "driftmend_kl_nats", { model: "digits", quantile: "0.5" }), 0.01);
  t.is(numberAt(read, "driftmend_pool_utilization_ratio", { pool: "infer" }), 0.75);
  t.is(numberAt(read, "driftmend_node_cpu_ratio", { node: "serving-1" }), 1.3);
  t.is(numberAt(read, "driftmend_node_up", { node: "learning-1", roles: "learning" }), 0);
  t.is(numberAt(read, "driftmend_queue_oldest_seconds", { queue: "update", where: "driftmend-update-digits" }), 1.5);
});

test("what is not known has no sample; a counter that nobody counted is 0", (t) => {
  const read = parse(prometheusText(figuresOf()));
  t.is(numberAt(read, "driftmend_job_queue_seconds", { kind: "infer", quantile: "0.5" }), 0.002);
  t.is(numberAt(read, "driftmend_job_queue_seconds", { kind: "infer", quantile: "0.99" }), undefined);
  t.is(numberAt(read, "driftmend_accuracy_ratio", { by: "source" }), undefined);
  t.is(numberAt(read, "driftmend_retry_success_ratio", { kind: "update" }), undefined);
  t.is(numberAt(read, "driftmend_log_max_bytes", { stream: "driftmend-experience-digits" }), undefined);
  t.is(numberAt(read, "driftmend_node_open_files", { node: "learning-1" }), undefined);
  t.is(numberAt(read, "driftmend_dead_letters_total"), 0);
  t.false(prometheusText(figuresOf()).includes("of_another_version"));
});

test("names with quotes, backslashes and line ends come through escaped", (t) => {
  const stream = 'a"b\\c\nd';
  const read = parse(prometheusText(figuresOf({ logs: [{ stream, messages: 1, bytes: 4_096, maxBytes: null }] })));
  t.is(numberAt(read, "driftmend_log_bytes", { stream }), 4_096);
});

test("every sample bears an exposed name and the labels of its family, and every family is reached", (t) => {
  const read = parse(prometheusText(figuresOf()));
  const exposed = exposedNames();
  for (const { name, type, help, samples } of read) {
    const family = families.find((each) => each.name === name);
    t.deepEqual([family?.type, family?.help], [type, help]);
    for (const sample of samples) {
      t.true(exposed.has(sample.name), sample.name);
      const labels = Object.keys(sample.labels).filter((label) => label !== "quantile");
      t.deepEqual(labels.sort(), [...(family?.labels ?? [])].sort(), name);
    }
  }
  const silent = families.filter(({ name }) => !read.some((each) => each.name === name)).map(({ name }) => name);
  const uncounted = silent.filter((name) => name.endsWith("_total"));
  t.deepEqual(
    silent.filter((name) => !uncounted.includes(name)),
    ["driftmend_log_max_bytes"],
    "beside labelled counters that nobody counted, only what is not known",
  );
});

test("negative control: the parser refuses what the format does not allow", (t) => {
  const broken = [
    "driftmend_x 1\n",
    "# HELP a b\n# TYPE a gauge\na{x=1} 1\n",
    "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
    "# HELP a b\n# TYPE a gauge\nb 1\n",
    "# HELP a b\n# TYPE a gauge\na null\n",
    "# HELP a b\n# TYPE a summary\na 1\n",
    "# TYPE a gauge\na 1\n",
    "# HELP a b\n# TYPE a gauge\na 1",
  ];
  for (const text of broken) t.throws(() => parse(text), undefined, text);
});
