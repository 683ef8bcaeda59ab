// Substrate: `driftmend eval` as a real process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { loadModel } from "../../../models/manifest.js";
import type { EvaluationReport } from "../../../sim/evaluation/report/document.js";
import { misfit } from "../../../sim/evaluation/verb.js";

const cli = fileURLToPath(new URL("../../../cli.js", import.meta.url));
let folder = "";

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-eval-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

function started(...words: readonly string[]) {
  const child = spawn(process.execPath, [cli, "eval", ...words], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const read = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      read[stream] += text;
    });
  const ended = once(child, "close").then(([code]: (number | null)[]) => ({ code: code ?? null, ...read }));
  return { child, ended };
}

test("eval compares the methods on the streams, prints one document and writes the same with a page", async (t) => {
  const words = ["--quick", "--streams", "iid,cleanBursts", "--methods", "bn64,t3a,A+C", "--requests", "220"];
  const { code, stdout, stderr } = await started(...words, "--report", "out", "--json").ended;
  t.is(code, 0, stderr);
  const report: EvaluationReport = JSON.parse(stdout);
  t.deepEqual(
    report.methods.map(({ name }) => name),
    ["source", "bn64", "t3a", "A+C"],
  );
  t.is(report.results.length, 8);
  t.true(report.complete);
  t.true(report.results.every(({ requests, worstWindow }) => requests === 220 && worstWindow !== null));
  t.deepEqual(JSON.parse(await readFile(join(folder, "out", "report.json"), "utf8")), report);
  const html = await readFile(join(folder, "out", "report.html"), "utf8");
  t.is(html.match(/<polyline /g)?.length, 8);
});

test("Ctrl-C ends it with 130, and what was measured is written", async (t) => {
  const words = ["--streams", "clean", "--methods", "plain,tent1", "--requests", "20000", "--report", "cut"];
  const { child, ended } = started(...words);
  const firstProgress = new Promise<void>((resolve) => child.stderr.once("data", () => resolve()));
  await Promise.race([firstProgress, ended]);
  child.kill("SIGINT");
  const { code, stdout } = await ended;
  t.is(code, 130);
  t.regex(stdout, /interrupted/);
  const report: EvaluationReport = JSON.parse(await readFile(join(folder, "cut", "report.json"), "utf8"));
  t.false(report.complete);
});

const wrong: readonly (readonly [words: readonly string[], code: number, says: RegExp])[] = [
  [["--methods", "magic"], 2, /--methods.*source, plain, tent1/],
  [["--streams", "rain"], 2, /--streams.*iid, noniid, mixed/],
  [["--seeds", "0"], 2, /--seeds.*from 1/],
  [["no-such-folder"], 1, /no-such-folder.*cannot be read/],
];

for (const [words, code, says] of wrong)
  test(`"driftmend eval ${words.join(" ")}" says what is wrong and ends with ${code}`, async (t) => {
    const ended = await started(...words).ended;
    t.is(ended.code, code, ended.stderr);
    t.is(ended.stdout, "");
    t.regex(ended.stderr, says);
  });

test("a model of anything but digits is told so, with what it takes", async (t) => {
  const model = await loadModel(fileURLToPath(new URL("../../../../models/digits", import.meta.url)));
  t.is(misfit(model), undefined);
  const { manifest } = model;
  const outcome = misfit({ ...model, manifest: { ...manifest, name: "mail", labels: ["ham", "spam"] } });
  t.is(outcome?.kind, "failed");
  t.regex(
    outcome !== undefined && "message" in outcome ? outcome.message : "",
    /^mail has inputs \[1, 28, 28\] and 2 labels/,
  );
});
