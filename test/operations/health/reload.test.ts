// The operations file in real time: edited while it is watched, with short values, and no wait for time but for the file's own news.
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { z } from "zod";
import { openHealth } from "../../../operations/health/health.js";
import {
  type OperationsChange,
  type OperationsFile,
  openOperationsFile,
} from "../../../operations/health/operations-file.js";
import { systemClock } from "../../../supervision/clock.js";
import { distribution, failing, figures, model } from "./figures.js";

const notify = z.strictObject({ slack: z.strictObject({ webhook: z.string() }).optional() });
type Notify = z.infer<typeof notify>;

const limits = (limit: string) =>
  `checks:\n  - {name: kl_drift, severity: warning, when: model.kl > ${limit}, for: 50ms, alert: kl_drift}\n`;

let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-operations-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

/** News of the file, each taken once by whoever waits for it. */
class News {
  readonly #come: OperationsChange<Notify>[] = [];
  #waiting: ((change: OperationsChange<Notify>) => void) | undefined;

  readonly tell = (change: OperationsChange<Notify>): void => {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#come.push(change);
    else waiting(change);
  };

  next(): Promise<OperationsChange<Notify>> {
    const first = this.#come.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

async function opened(path: string): Promise<{ readonly file: OperationsFile<Notify>; readonly news: News }> {
  const news = new News();
  const open = await openOperationsFile({ path, notify, clock: systemClock, lookEveryMs: 20, onChange: news.tell });
  if (open.kind === "refused") throw new Error(open.lines.join("\n"));
  return { file: open.file, news };
}

test("an edit holds without a restart, a bad one is rejected with its place and the one before stays (S0-18, S1-37)", async (t) => {
  const path = join(folder, "operations.yaml");
  await writeFile(path, limits("0.5"));
  const { file, news } = await opened(path);
  t.teardown(() => file.close());
  const health = openHealth({ rules: () => file.rules() });
  const high = (atMs: number) => health.evaluate(figures(atMs, { models: [model({ kl: distribution(0.3) })] }));
  high(1_000);
  t.deepEqual(failing(high(2_000)), []);

  await writeFile(path, limits("0.2"));
  t.is((await news.next()).kind, "taken");
  high(3_000);
  t.deepEqual(failing(high(4_000)), ["warning kl_drift digits"]);

  await writeFile(path, limits("0.2").replace("model.kl", "model.lk"));
  const rejected = await news.next();
  const line = `${path}:2:47: when: unknown measure "model.lk"; did you mean model.kl?`;
  t.deepEqual(rejected, { kind: "rejected", lines: [line] });
  const report = high(5_000);
  t.deepEqual(failing(report), ["warning kl_drift digits"]);
  t.deepEqual(report.rules, { source: path, rejected: line });

  // As editors do it: another file takes its place.
  await writeFile(`${path}~`, `${limits("0.9")}notify: {slack: {webhook: env:HOOK}}\n`);
  await rename(`${path}~`, path);
  const taken = await news.next();
  t.is(taken.kind, "taken");
  t.deepEqual(file.operations.notify, { slack: { webhook: "env:HOOK" } });
  t.deepEqual(file.operations.at(["notify", "slack", "webhook"]), { line: 3, column: 27 });
  t.deepEqual(failing(high(6_000)), []);
  t.is(high(7_000).rules.rejected, null);
});

test("a file that goes away is said to be, and the last good version stays", async (t) => {
  const path = join(folder, "gone.yaml");
  await writeFile(path, limits("0.5"));
  const { file, news } = await opened(path);
  t.teardown(() => file.close());
  await rm(path);
  t.regex(JSON.stringify(await news.next()), /rejected.*gone\.yaml.*there is no such file/);
  t.is(file.operations.rules.find(({ name }) => name === "kl_drift")?.when, "model.kl > 0.5");
  await writeFile(path, limits("0.5"));
  t.is((await news.next()).kind, "taken");
  t.is(file.rules().rejected, null);
});

test("a file that is bad from the beginning is refused with its places", async (t) => {
  const path = join(folder, "bad.yaml");
  await writeFile(path, "chekcs: []\n");
  const open = await openOperationsFile({ path, notify, clock: systemClock, onChange: () => t.fail() });
  t.deepEqual(open, { kind: "refused", lines: [`${path}:1:1: unknown field "chekcs"; did you mean checks?`] });
  const missing = await openOperationsFile({
    path: `${path}.not`,
    notify,
    clock: systemClock,
    onChange: () => t.fail(),
  });
  t.is(missing.kind, "refused");
});

test("a file that is longer than may be is refused whole, in bytes: half of it is never taken for the whole", async (t) => {
  const path = join(folder, "long.yaml");
  // As many characters as may be, each of two bytes, and a section behind them.
  await writeFile(path, `# ${"ü".repeat(200_000)}\n${limits("0.5")}`);
  const open = await openOperationsFile({ path, notify, clock: systemClock, onChange: () => t.fail() });
  t.is(open.kind, "refused");
  if (open.kind === "refused") t.regex(open.lines.join(), /long\.yaml.*262144 bytes/);
});

test("a version that cannot even be judged is rejected by name, and the next one is read like any other", async (t) => {
  const path = join(folder, "odd.yaml");
  await writeFile(path, limits("0.5"));
  let throwing = true;
  const odd = z.custom<Notify>(() => {
    if (throwing) throw new RangeError("nobody thought of this");
    return true;
  });
  const news = new News();
  const open = await openOperationsFile({
    path,
    notify: odd,
    clock: systemClock,
    lookEveryMs: 20,
    onChange: news.tell,
  });
  if (open.kind === "refused") return t.fail();
  t.teardown(() => open.file.close());
  await writeFile(path, `${limits("0.6")}notify: {}\n`);
  t.deepEqual(await news.next(), { kind: "rejected", lines: [`${path}: cannot be judged: nobody thought of this`] });
  throwing = false;
  await writeFile(path, `${limits("0.7")}notify: {}\n`);
  t.is((await news.next()).kind, "taken");
});
