// The page in a real browser, against a server of the test's own (fixture-server.ts): every view in both themes, wide and narrow; by
// keyboard alone; with what goes wrong. One browser, one test at a time. Without a browser on the machine each test says so and is done.

import anyTest, { type ExecutionContext } from "ava";
import type { Browser, Page } from "playwright-core";
import { readRoute, viewNames } from "../../operations/page/route.js";
import { pulse, systemClock } from "../../supervision/clock.js";
import { findBrowser, type Look, launch, openPage, shoot, type Watched } from "./browser.js";
import { FixtureServer, operatorToken } from "./fixture-server.js";
import {
  colourOf,
  focusedName,
  focusedText,
  goTo,
  hardToRead,
  headingIsFocused,
  isFocusSeen,
  marksIn,
  overflowPx,
  skippedHeadings,
} from "./in-page.js";
import { busyWorld, freshWorld } from "./world.js";
import { klDrift, nodeDied } from "./world-alarms.js";
import { traceId } from "./world-jobs.js";

let browser: Browser | undefined;
let server: FixtureServer;
let stopBeat = (): void => undefined;

anyTest.before(async (t) => {
  t.timeout(60_000);
  const found = await findBrowser();
  if (found !== undefined) browser = await launch(found);
  server = await FixtureServer.start(busyWorld(systemClock.nowMs()));
  stopBeat = pulse(1_000, () => server.beat());
});

anyTest.after.always(async () => {
  stopBeat();
  await browser?.close();
  await server?.shut();
});

/** A test of the page, with a world that no test before it has touched. */
function test(
  title: string,
  run: (t: ExecutionContext, open: (look?: Partial<Look>, fragment?: string) => Promise<Watched>) => Promise<void>,
): void {
  anyTest.serial(title, async (t) => {
    t.timeout(90_000);
    const running = browser;
    if (running === undefined) {
      t.log("skipped: there is no chromium on this machine");
      t.pass();
      return;
    }
    server.world = busyWorld(systemClock.nowMs());
    server.failing.clear();
    server.orders.length = 0;
    const opened: Watched[] = [];
    try {
      await run(t, async (look = {}, fragment = "") => {
        const watched = await openPage(running, server.url, { width: 1_280, scheme: "light", ...look }, fragment);
        opened.push(watched);
        return watched;
      });
    } finally {
      for (const { close } of opened) await close();
    }
  });
}

const asOperator = (view = ""): string => `#operator=${operatorToken}&/${view}`;
const addresses = [...viewNames.map((view) => (view === "overview" ? "" : view)), `traces/${traceId(4)}`];

async function go(page: Page, address: string): Promise<void> {
  await goTo(page, `#/${address}`);
  await page.locator("main .panel").first().waitFor();
}

const grounds = { light: "rgb(246, 247, 249)", dark: "rgb(13, 16, 21)" } as const;

test("every view stands light and dark, wide and at 360 px: nothing beyond the edge, no error, no request elsewhere (S0-36)", async (t, open) => {
  const { page, faults } = await open({}, asOperator());
  for (const address of addresses) {
    await go(page, address);
    const name = address === "" ? "overview" : address.startsWith("traces/") ? "trace" : address;
    for (const scheme of ["light", "dark"] as const)
      for (const width of [1_280, 360]) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: 900 });
        await shoot(page, `${name}-${scheme}-${width}`);
        t.is(await overflowPx(page), 0, `${name} scrolls sideways at ${width}`);
        t.is(await colourOf(page, "body", "backgroundColor"), grounds[scheme]);
      }
    t.deepEqual(await hardToRead(page), [], name);
    t.deepEqual(await skippedHeadings(page), [], name);
  }
  t.deepEqual(faults, []);
});

test("a cluster that has just started says in words what is not there yet", async (t, open) => {
  server.world = freshWorld(systemClock.nowMs());
  const { page, faults } = await open();
  const words: Readonly<Record<string, string>> = {
    "": "No label has come yet",
    learning: "Still the source model",
    queues: "No dead letters",
    alerts: "Nothing fires",
    traces: "No trace yet",
    stability: "No test runs now",
  };
  for (const [address, said] of Object.entries(words)) {
    await go(page, address);
    await page.getByText(said).first().waitFor();
    await shoot(page, `fresh-${address === "" ? "overview" : address}`);
  }
  await go(page, "");
  t.is(await page.locator('[data-sign="mean_kl_divergence"] .sign-value').innerText(), "not known");
  t.is(await page.locator('[data-sign="queue_size"] .sign-value').innerText(), "0");
  t.deepEqual(faults, []);
});

test("the five vital signs, both accuracies and the gain are those of the metrics, and follow them (S0-8)", async (t, open) => {
  const { page } = await open();
  const { vitals } = server.world.metrics;
  await page.locator("[data-sign]").first().waitFor();
  t.is(await page.locator("[data-sign]").count(), 5);
  const figures = await page.locator(".figure-value").allInnerTexts();
  const [adapting, source] = [vitals.accuracy.adapting ?? 0, vitals.accuracy.source ?? 0];
  t.deepEqual(figures, [
    `${(100 * adapting).toFixed(1)} %`,
    `${(100 * source).toFixed(1)} %`,
    `+${(100 * (adapting - source)).toFixed(1)} points`,
  ]);
  server.world.metrics = { ...server.world.metrics, vitals: { ...vitals, queueSize: 1_234 } };
  server.beat();
  await page.locator('[data-sign="queue_size"]', { hasText: "1,234" }).waitFor();
});

test("by keyboard alone one comes to the content, through every view, and always sees where one is", async (t, open) => {
  const { page } = await open();
  await page.locator("nav a").first().waitFor();
  await page.keyboard.press("Tab");
  t.is(await focusedText(page), "Skip to the content");
  await page.keyboard.press("Enter");
  t.is(await focusedText(page), "Overview");
  for (const [index, view] of viewNames.entries()) {
    await page.locator("nav a").nth(index).focus();
    t.true(await isFocusSeen(page), `${view}: the focus is not seen`);
    await page.keyboard.press("Enter");
    await headingIsFocused(page);
    t.is(readRoute(new URL(page.url()).hash).kind, "view");
    t.is(await page.locator("nav [aria-current=page]").count(), 1);
    t.true((await page.title()).includes(await focusedText(page)));
  }
  await page.keyboard.press("Shift+Tab");
  t.true(await isFocusSeen(page));
});

test("a kill is confirmed first, leaves a receipt, and its next incarnation is in the tree", async (t, open) => {
  const { page, faults } = await open({}, asOperator("tree"));
  const row = page.locator('[data-path="serving-1/digits/voter"]');
  await row.waitFor();
  t.is(await row.locator("[data-incarnation]").innerText(), "1");
  const kill = page.getByRole("button", { name: "Kill serving-1/digits/voter" });
  await kill.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Kill serving-1/digits/voter?" });
  await dialog.waitFor();
  await shoot(page, "kill-dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  t.is(await focusedName(page), "Kill serving-1/digits/voter");
  t.deepEqual(server.orders, [], "nothing was struck yet");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Kill it" }).click();
  await page.locator('[data-next-incarnation="2"]').waitFor();
  await shoot(page, "kill-receipt");
  t.deepEqual(server.orders, [
    { path: "/api/chaos", body: { node: "serving-1", target: "digits/voter", mode: "kill" } },
  ]);
  t.is(await page.locator("#said").innerText(), "serving-1/digits/voter works again after 11 ms");
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator('[data-path="serving-1/digits/voter"] [data-incarnation]', { hasText: "2" }).waitFor();
  t.deepEqual(faults, []);
});

test("a fault that lasts is given its time, a process is asked of the root, and a refusal is shown by its name", async (t, open) => {
  const { page } = await open({ width: 360 }, asOperator("tree"));
  await page.getByRole("button", { name: "Kill learning-1", exact: true }).click();
  await page.getByRole("radio", { name: /sigstop/ }).check();
  await page.getByRole("combobox", { name: /^For/ }).selectOption("5");
  server.failing.set("/api/chaos", 409);
  await page.getByRole("button", { name: "Make it freeze" }).click();
  await page.getByRole("alert").getByText("no node answers").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  server.failing.clear();
  await page.getByRole("button", { name: "Kill learning-1", exact: true }).click();
  await page.getByRole("radio", { name: /sigstop/ }).check();
  await page.getByRole("combobox", { name: /^For/ }).selectOption("5");
  await page.getByRole("button", { name: "Make it freeze" }).click();
  await page.locator("[data-next-incarnation]").waitFor();
  t.deepEqual(server.orders.at(-1)?.body, { node: "root", target: "learning-1", mode: "sigstop", forMs: 5_000 });
});

test("without the operator's token nothing can be ordered; typed in, it opens the orders and is in no address", async (t, open) => {
  const { page } = await open({}, "#/tree");
  await page.locator("[data-path]").first().waitFor();
  t.is(await page.getByRole("button", { name: /^Kill/ }).count(), 0);
  await page.getByLabel("Operator token").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Kill serving-2/beacon" }).click();
  await page.getByRole("button", { name: "Kill it" }).click();
  await page.getByRole("alert").getByText("this token is not one of this cluster's").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Forget" }).click();
  await page.getByLabel("Operator token").fill(operatorToken);
  await page.getByRole("button", { name: "Use" }).click();
  await page.getByRole("button", { name: "Kill serving-2/beacon" }).click();
  await page.getByRole("button", { name: "Kill it" }).click();
  await page.locator("[data-next-incarnation]").waitFor();
  t.false(page.url().includes(operatorToken));
  t.false(server.asked.some((path) => path.includes(operatorToken)));
});

test("a token that came in the address is gone from it, and stays for a reload", async (t, open) => {
  const { page } = await open({}, asOperator("alerts"));
  await page.getByText("operator token is set").waitFor();
  t.is(new URL(page.url()).hash, "#/alerts");
  await page.reload();
  await page.getByText("operator token is set").waitFor();
});

test("an alert appears and is gone without a reload, first among the firing, and is said aloud", async (t, open) => {
  server.world.alerts = { v: 1, atMs: systemClock.nowMs(), alerts: [klDrift(systemClock.nowMs())], silences: [] };
  const { page } = await open({}, "#/alerts");
  await page.locator('[data-alert="kl_drift"]').waitFor();
  const nowMs = systemClock.nowMs();
  const planted = { ...nodeDied(nowMs), message: "<img src=x onerror=alert(1)> ended" };
  server.tell("alerts", { v: 1, atMs: nowMs, alerts: [klDrift(nowMs), planted], silences: [] });
  await page.locator('[data-alert="node_died"]').waitFor();
  t.is(await page.locator("[data-alert]").first().getAttribute("data-alert"), "node_died", "the worst is first");
  t.true((await page.locator('[data-alert="node_died"]').innerText()).includes("<img src=x"), "a message is text");
  t.is(await page.locator("main img").count(), 0);
  t.true((await page.locator("nav .count").innerText()).startsWith("2"));
  t.true((await page.title()).startsWith("(2)"));
  t.is(await page.locator("#said").innerText(), "Alert node_died of learning-1 fires.");
  server.tell("alerts", { v: 1, atMs: nowMs, alerts: [], silences: [] });
  await page.getByText("Nothing fires", { exact: true }).waitFor();
  t.is(await page.locator("nav .count").count(), 0);
});

test("an alert is acknowledged with a note and silenced for a time", async (t, open) => {
  const { page } = await open({}, asOperator("alerts"));
  await page.getByRole("button", { name: "Acknowledge kl_drift of digits" }).click();
  await page.getByLabel("Note").fill("the camera was changed");
  await page.getByRole("button", { name: "Acknowledge", exact: true }).click();
  await page.locator('[data-alert="kl_drift"]').getByText("the camera was changed").waitFor();
  await page.getByRole("button", { name: "Silence kl_drift of digits" }).click();
  await page.getByRole("combobox", { name: /^For/ }).selectOption("4h");
  await shoot(page, "silence-dialog");
  await page.getByRole("button", { name: "Silence", exact: true }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  t.deepEqual(server.orders, [
    { path: "/api/alerts/ack", body: { fingerprint: "kl_drift:digits", note: "the camera was changed" } },
    { path: "/api/alerts/silence", body: { matches: "kl_drift:digits", for: "4h", note: "" } },
  ]);
});

test("a dead letter is put back after a second word, and then says so", async (t, open) => {
  const { page } = await open({}, asOperator("queues"));
  await page.getByRole("button", { name: "Requeue dead letter 31" }).click();
  await page.getByRole("button", { name: "Requeue", exact: true }).click();
  await page.getByText("requeued 0 s ago").waitFor();
  t.deepEqual(server.orders, [{ path: "/api/dlq/31/requeue", body: {} }]);
});

test("a lost connection is said at once with its time, what was known stays, and it comes back by itself", async (t, open) => {
  const { page } = await open();
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator("[data-sign]").first().waitFor();
  await server.shut();
  await page.locator('[data-banner="lost"]').waitFor();
  await shoot(page, "lost");
  t.regex(
    await page.locator('[data-banner="lost"]').innerText(),
    /Not connected for \d+ s: .*What you see is as it was then\./,
  );
  t.is(await page.locator("[data-sign]").count(), 5);
  await server.open();
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator("[data-banner]").waitFor({ state: "detached" });
});

test("a view says that it waits, that it failed and why, and that what it shows is not the newest", async (t, open) => {
  let release = (): void => undefined;
  server.holding = new Promise((resolve) => {
    release = resolve;
  });
  const { page } = await open({}, "#/learning");
  await page.getByText("Learning is being read").waitFor({ state: "attached" });
  await shoot(page, "loading");
  server.failing.set("/api/learning", 503);
  release();
  server.holding = Promise.resolve();
  await page.reload();
  await page.getByText("Learning cannot be shown").waitFor();
  await shoot(page, "failed");
  server.failing.clear();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Newest updates" }).waitFor();
  server.failing.set("/api/learning", 503);
  await page.getByText("Not the newest: no node answers").waitFor();
  t.is(await page.getByRole("heading", { name: "Newest updates" }).count(), 1, "the older answer stays");
});

test("without access the page says so, and a token opens it", async (t, open) => {
  server.isClosed = true;
  try {
    const { page } = await open();
    await page.locator('[data-banner="refused"]').waitFor();
    await page.getByLabel("Operator token").fill(operatorToken);
    await page.keyboard.press("Enter");
    await page.locator('[data-connection="live"]').waitFor();
    await page.locator("[data-sign]").first().waitFor();
    t.pass();
  } finally {
    server.isClosed = false;
  }
});

test("the Nightly Stability Test plots update_rate with one mark per crash, each labelled, each at its time (S0-36, S0-38)", async (t, open) => {
  const { page } = await open({}, "#/stability");
  await page.getByRole("heading", { level: 1, name: "Nightly Stability Test" }).waitFor();
  const plot = page.getByRole("region", { name: "Update rate and worker crashes" });
  await plot.locator(".mark").first().waitFor({ state: "attached" });
  t.regex((await plot.getByRole("img").getAttribute("aria-label")) ?? "", /update_rate: \d+ now/);
  const found = await marksIn(page, "Update rate and worker crashes");
  const crashes = server.world.series.marks;
  t.deepEqual(
    found.map(({ label, atMs }) => ({ label, atMs })),
    crashes.map(({ label, atMs }) => ({ label, atMs })),
  );
  const [first, last] = [found[0], found.at(-1)];
  if (first === undefined || last === undefined) throw new Error("no marks");
  const msPerPx = (last.atMs - first.atMs) / (last.leftPx - first.leftPx);
  for (const { atMs, leftPx } of found) t.true(Math.abs(first.atMs + (leftPx - first.leftPx) * msPerPx - atMs) < 1_000);
});

test("a node whose memory creeps is called growing, in red, with its slope in MB an hour (S0-37)", async (t, open) => {
  const { page } = await open();
  const row = page.getByRole("row").filter({ hasText: "operations-1" }).first();
  await row.waitFor();
  const growing = page.locator('[data-growth="growing"]').first();
  await growing.waitFor();
  t.regex(await growing.innerText(), /growing\s+\+44\.\d MB\/h/);
  t.is(await colourOf(page, '[data-growth="growing"] .text-bad', "color"), "rgb(176, 36, 28)");
  t.is(await page.locator('table [data-growth="steady"]').count(), 3);
});

test("a theme that was chosen holds against the system's and over a reload", async (t, open) => {
  const { page } = await open({ scheme: "light" });
  await page.getByLabel("Theme").selectOption("dark");
  const ground = (): Promise<string> => colourOf(page, "body", "backgroundColor");
  t.is(await ground(), "rgb(13, 16, 21)");
  await page.reload();
  await page.locator("h1").waitFor();
  t.is(await ground(), "rgb(13, 16, 21)");
});
