// The report of an evaluation: its figures over seeds, the terminal's table, and the page that needs nothing else.
import test from "ava";
import { plain } from "../../../operations/terminal/colours.js";
import type { Evaluation, RunResult } from "../../../sim/evaluation/evaluate.js";
import { methods } from "../../../sim/evaluation/methods/registry.js";
import { type EvaluationReport, reportOf } from "../../../sim/evaluation/report/document.js";
import { page } from "../../../sim/evaluation/report/page.js";
import { renderReport } from "../../../sim/evaluation/report/table.js";

const kinds = methods(1).filter(({ name }) => ["source", "tent64", "A"].includes(name));
const streams = ["iid", "mixed"];
const seeds = [1, 2];
const requests = 400;

function result(method: string, stream: string, seed: number): RunResult {
  const gain = method === "source" ? 0 : seed / 10;
  return {
    method,
    stream,
    seed,
    requests,
    accuracy: 0.5 + gain,
    gain,
    worstWindow: { difference: -gain, from: 10 * seed },
    byDrift: [
      { drift: "blur", n: 100, accuracy: 0.5 + gain, source: 0.5 },
      { drift: "none", n: 300, accuracy: 0.9, source: 0.9 },
    ],
    clean: { accuracy: 0.99, forgotten: 0 },
    passesPerRequest: 1,
    curve: [
      { at: 25, accuracy: 0.5 },
      { at: 400, accuracy: 0.5 + gain },
    ],
    medianUs: 40,
  };
}

const stretches = [
  { drift: "blur", severity: 2, from: 0, to: 100 },
  { drift: "none", severity: 0, from: 100, to: 400 },
];
const everyRequest = Array.from({ length: requests }, (_, from) => ({
  drift: `d${from % 10}`,
  severity: 2,
  from,
  to: from + 1,
}));

const evaluation: Evaluation = {
  complete: true,
  streams: streams.flatMap((stream) =>
    seeds.map((seed) => ({ stream, seed, requests, stretches: stream === "mixed" ? everyRequest : stretches })),
  ),
  results: streams.flatMap((stream) => seeds.flatMap((seed) => kinds.map(({ name }) => result(name, stream, seed)))),
};

function reported(changes: Partial<Evaluation> = {}, model = "digits"): EvaluationReport {
  const head = { model, sha256: "ab", requests, seeds, microBatch: 1, quick: false };
  return reportOf(head, kinds, { ...evaluation, ...changes });
}

test("over seeds there are means with their range, and the worst window is the worst of any seed", (t) => {
  const { summary } = reported();
  t.is(summary.length, 6);
  const own = summary.find(({ method, stream }) => method === "A" && stream === "iid");
  t.true(Math.abs((own?.gain.mean ?? 0) - 0.15) < 1e-12);
  t.is(own?.gain.low, 0.1);
  t.is(own?.accuracy.high, 0.7);
  t.deepEqual(own?.worstWindow, { difference: -0.2, from: 20, seed: 2 });
  t.is(own?.byDrift.find(({ drift }) => drift === "blur")?.n, 200);
  t.true(Math.abs((own?.byDrift[0]?.accuracy ?? 0) - 0.65) < 1e-12);
});

test("the terminal shows one table a stream, and says when it is not all", (t) => {
  const text = renderReport(reported(), 120, plain);
  t.regex(text, /^digits: 400 requests of each stream, 2 seeds; tent64 answer 64 together, late/);
  for (const stream of streams) t.regex(text, new RegExp(`^${stream}$`, "m"));
  t.regex(text, /^ {2}A +0\.650 +0\.600\.\.0\.700 +\+0\.150 +-0\.200 /m);
  t.notRegex(text, /interrupted/);
  t.regex(renderReport(reported({ complete: false }), 120, plain), /interrupted/);
});

test("the page holds every series of every stream and seed, names the drifts, and asks for nothing from outside", (t) => {
  const html = page(reported());
  for (const stream of streams) {
    const section = html.slice(html.indexOf(`data-stream="${stream}"`)).split("</section>")[0] ?? "";
    const figures = section.split("<figure ").slice(1);
    t.is(figures.length, seeds.length);
    for (const [i, figure] of figures.entries()) {
      t.true(figure.startsWith(`data-seed="${seeds[i]}"`));
      for (const { name } of kinds)
        t.regex(figure, new RegExp(`<polyline [^>]*data-method="${name}" points="[\\d., ]+"`));
    }
  }
  t.regex(html, />blur 2</);
  t.regex(html, /another drift with every request/);
  t.is(html.match(/data-drift="d\d/g), null, "drifts of one request are not drawn one by one");
  t.notRegex(html, /https?:|\/\/[a-z]+\.|@import|url\(|<link|<img|\ssrc=/);
  t.regex(html, /prefers-color-scheme:dark/);
});

test("the page says when it is not all, and a name cannot become markup", (t) => {
  const html = page(reported({ complete: false }, "<script>alert(1)</script>"));
  t.regex(html, /interrupted/);
  t.notRegex(html, /<script>alert/);
});

test("the page's script is a script", (t) => {
  const script = /<script>([\s\S]*)<\/script>/.exec(page(reported()))?.[1] ?? "";
  t.true(script.length > 500);
  t.notThrows(() => new Function(script));
});
