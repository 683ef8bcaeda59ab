// The report of a stability run: the same document for short and long runs, the text, and the page, also in a real browser.

import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { chromium } from "playwright-core";
import { plain } from "../../../operations/terminal/colours.js";
import { thinned } from "../../../sim/page/time-plot.js";
import { assertionsOn } from "../../../sim/stability/assertions.js";
import { commandOf } from "../../../sim/stability/command.js";
import type { Facts } from "../../../sim/stability/facts.js";
import { type ReportHead, reportOf, seriesOf } from "../../../sim/stability/report/document.js";
import { page, pageTitle } from "../../../sim/stability/report/page.js";
import { perMinute } from "../../../sim/stability/report/plots.js";
import { renderReport } from "../../../sim/stability/report/text.js";
import { progressLine } from "../../../sim/stability/verb.js";
import { beganAtMs, crash, elapsedMs, facts, life, mebibyte, point, points } from "./planted.js";

const head: ReportHead = {
  id: "20260101-000000-seed1",
  command: "driftmend stability --duration 10m --seed 1",
  machine: { cpus: 2, cpuModel: "a <processor>", memoryBytes: 8 * 1024 * mebibyte, node: "20.20.2" },
};

function reported(of: Facts) {
  const report = reportOf(head, of, assertionsOn(of));
  return { report, html: page(report, seriesOf(head, of)), text: renderReport(report, plain) };
}

const kills = [crash(1, 150_000), crash(2, 400_000, { recoveryMs: 2_000 })];

/** Every name in a document, without the content of lists. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return "list";
  if (typeof value !== "object" || value === null) return "value";
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, each === null ? "value" : shapeOf(each)]),
  );
}

test("a short and a long run have the same report schema (S0-19)", (t) => {
  const short = facts({ points: [point(0)], elapsedMs: 1_000, crashes: [], lives: [] });
  t.deepEqual(shapeOf(reported(short).report), shapeOf(reported(facts()).report));
});

test("the report lists every kill with pid, time, signal and next pid, and spreads of recovery (S0-27, S0-45)", (t) => {
  const { chaos } = reported(facts({ crashes: kills })).report;
  t.is(chaos.count, 2);
  t.like(chaos.kills[0], { pid: 101, signal: "SIGKILL", nextPid: 102, node: "learning-1", incarnation: 1 });
  t.is(chaos.kills[0]?.at, new Date(beganAtMs + 150_000).toISOString());
  t.deepEqual(chaos.recoveryMs, { n: 2, p50: 400, p95: 2_000, max: 2_000 });
});

test("without chaos there are no kills in the report (S0-25)", (t) => {
  const { chaos, text } = { ...reported(facts({ crashes: [] })).report, text: reported(facts({ crashes: [] })).text };
  t.is(chaos.count, 0);
  t.regex(text, /0 injected/);
});

test("the text names each assertion, a failed one with measured and allowed value and what it is about (S0-29)", (t) => {
  const { text } = reported(facts({ lives: [life("serving-1", 1, elapsedMs, mebibyte)] }));
  t.regex(text, /FAILED +memory_stable +serving-1 #1: .*; allowed: below 1\.1 times/);
  t.regex(text, /holds +update_queue_bounded/);
  t.regex(text, /next update p50 400 ms, p95 400 ms/);
  t.regex(text, /1 assertion failed$/);
  t.regex(reported(facts()).text, /every assertion holds$/);
});

test("the text says which side limited a rate that was not reached (S0-24)", (t) => {
  const { punctuality } = facts();
  const slow = { ...punctuality, sentPerSecond: 150, answeredPerSecond: 150, limitedBy: "load" as const };
  t.regex(reported(facts({ punctuality: slow })).text, /150\.0 sent .* of 200 wanted a second; the load limited it/);
});

test("the page asks for nothing from outside, and a name cannot become markup (S0-36)", (t) => {
  const { html } = reported(facts({ crashes: kills }));
  t.true(html.includes(`<h1>${pageTitle}</h1>`));
  t.is(pageTitle, "Nightly Stability Test");
  t.notRegex(html, /https?:|\/\/[a-z]+\.|@import|url\(|<link|<img|\ssrc=/);
  t.notRegex(html, /<processor>/);
  t.regex(html, /prefers-color-scheme:dark/);
  t.regex(html, /driftmend stability --duration 10m --seed 1/);
});

test("a leak is red with a word and its MB per hour, a steady process is not (S0-37)", (t) => {
  const { html } = reported(
    facts({ lives: [life("serving-1", 1, elapsedMs, mebibyte), life("operations-1", 1, elapsedMs)] }),
  );
  const row = (name: string) => new RegExp(`<tr data-life="${name} #1"[^>]*>.*?</tr>`).exec(html)?.[0] ?? "";
  t.regex(row("serving-1"), /data-rising="true".*<span class="bad">\+3\d{3}\.\d<\/span>.*<b class="bad">LEAKS<\/b>/);
  t.regex(row("operations-1"), /data-rising="false".*<b class="good">steady<\/b>/);
  t.regex(html, /fitted slope/);
});

test("update_rate is drawn from the chain in stretches: the second of a crash is a dip", (t) => {
  const rate = perMinute(facts({ crashes: kills }).appliedBySecond, 1_000, elapsedMs);
  t.is(rate.length, elapsedMs / 1_000);
  t.is(rate[150]?.value, 0);
  t.is(rate[149]?.value, 600);
});

test("thinning keeps the least and the most, and gaps", (t) => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ atMs: i, value: i === 7_777 ? 99 : i === 15_000 ? -9 : 1 }));
  const kept = thinned(many, 20_000);
  t.true(kept.length <= 1_000);
  t.true(kept.some(({ value }) => value === 99) && kept.some(({ value }) => value === -9));
});

test("the command of a report is what was typed, in the same units", (t) => {
  const base = { rate: 200, seed: 3, sampleEvery: 300_000, serving: 1, store: "", searchPath: "" };
  t.is(
    commandOf({ ...base, duration: 28_800_000, enableChaosTesting: true, workerCrashProbability: 0.01 }),
    "driftmend stability --duration 8h --enable-chaos-testing --worker-crash-probability 0.01 --rate 200 --seed 3 --sample-every 5m",
  );
  t.is(
    commandOf({ ...base, requests: 500, grace: 1_500, sampleEvery: 1_000, model: "my models/m" }),
    "driftmend stability --requests 500 --rate 200 --seed 3 --sample-every 1s --grace 1500ms --model 'my models/m'",
  );
});

test("the progress line says how far it is, what is left, and how it stands", (t) => {
  const line = progressLine({
    ...{
      phase: "running",
      startedAtMs: 0,
      elapsedMs: 3_600_000,
      plannedMs: 28_800_000,
      progress: 0.125,
      sent: 720_000,
    },
    ...{ kills: 36, inTime: 0.999, accuracy: { adapting: 0.9, source: 0.6 }, newest: point(3_600_000) },
  });
  t.is(
    line,
    "12.5 %, 7 h 00 m left   720,000 sent, 99.9 % in time   36 crashes   600 updates/min, queue 12   accuracy 90.0 % (source 60.0 %)",
  );
});

async function browserHere(): Promise<string | undefined> {
  for (const place of ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"])
    if (
      await access(place).then(
        () => true,
        () => false,
      )
    )
      return place;
  return undefined;
}

test.serial(
  "in a browser: the update_rate plot has one mark per crash at its time, labelled Worker Crash; a phone needs no sideways scroll (S0-36, S0-38)",
  async (t) => {
    t.timeout(90_000);
    const executablePath = await browserHere();
    if (executablePath === undefined) {
      t.log("no browser on this machine: the page was not looked at");
      t.pass();
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), "driftmend-page-"));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "report.html");
    await writeFile(file, reported(facts({ crashes: kills, points: points() })).html);
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    t.teardown(() => browser.close());
    for (const [width, colorScheme] of [
      [1280, "light"],
      [375, "dark"],
    ] as const) {
      const shown = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      const faults: string[] = [];
      shown.on("pageerror", (error) => faults.push(error.message));
      shown.on("request", (request) => {
        if (!request.url().startsWith("file:")) faults.push(request.url());
      });
      await shown.goto(`file://${file}`);
      t.is(await shown.title(), "Nightly Stability Test: every assertion holds");
      const plot = shown.locator("#update_rate");
      t.is(await plot.locator("path.line").count(), 2);
      const marks = plot.locator('line[data-mark="Worker Crash"]');
      t.is(await marks.count(), kills.length);
      const frame = await plot.locator("svg").boundingBox();
      for (const [i, { atMs }] of kills.entries()) {
        const box = await marks.nth(i).boundingBox();
        const x = (box?.x ?? 0) + (box?.width ?? 0) / 2 - (frame?.x ?? 0);
        const drawnAtMs = (x / (frame?.width ?? 1)) * elapsedMs;
        const pixelMs = elapsedMs / (frame?.width ?? 1);
        t.true(Math.abs(drawnAtMs - (atMs - beganAtMs)) <= 1_000 + pixelMs, `${drawnAtMs} for ${atMs - beganAtMs}`);
        t.is(await marks.nth(i).getAttribute("data-at-ms"), `${atMs - beganAtMs}`);
      }
      t.is(await plot.locator(".named").first().innerText(), "Worker Crash");
      await plot.locator("svg").hover();
      t.regex(await plot.locator(".tip").innerText(), /update_rate/);
      const { scrolled, wide } = (await shown.evaluate(
        "({ scrolled: document.documentElement.scrollWidth, wide: innerWidth })",
      )) as { scrolled: number; wide: number };
      t.true(scrolled <= wide, `${scrolled} of ${wide} pixels`);
      t.deepEqual(faults, []);
      await shown.close();
    }
  },
);
