// The page of a running cluster in a real browser: what it shows is what the cluster does. Without a browser on the machine each test
// says so and is done (test/page/ holds what can be seen without a cluster).

import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import type { Browser } from "playwright-core";
import { viewNames } from "../../operations/page/route.js";
import type { ClusterContext } from "../../transport/access/context.js";
import { findBrowser, launch, openPage, type Watched } from "../page/browser.js";
import { goTo, overflowPx } from "../page/in-page.js";
import { type Program, start } from "./program.js";
import { lookAt, type Sight, temporaryStore, treeOf } from "./running.js";
import { Traffic } from "./traffic.js";

interface Scene {
  readonly browser: Browser;
  readonly program: Program;
  readonly sight: Sight;
  readonly traffic: Traffic;
  readonly operationsFile: string;
  readonly watched: Watched;
}

let store = "";
let scene: Scene | undefined;

const withinMs = 60_000;

/** The rule by which learning has drifted, whatever else the cluster thinks of it. */
function driftRule(aboveNats: number): string {
  return `checks:\n  - name: kl_drift\n    severity: warning\n    when: model.kl > ${aboveNats} nats\n    for: 1s\n    alert: kl_drift\n`;
}

anyTest.before(async (t) => {
  t.timeout(120_000);
  const found = await findBrowser();
  if (found === undefined) return;
  store = await temporaryStore();
  const operationsFile = join(store, "operations.yaml");
  await writeFile(operationsFile, driftRule(1_000));
  const program = start(store, "up", "--json", "--http", "0", "--operations", operationsFile);
  const context = await program.ready;
  const sight = await lookAt(context);
  const traffic = new Traffic(sight, { name: "page", askers: 2, seed: 5 });
  const browser = await launch(found);
  const { url, token } = httpOf(context);
  const watched = await openPage(browser, url, { width: 1_280, scheme: "light" }, `#operator=${token}`);
  scene = { browser, program, sight, traffic, operationsFile, watched };
});

anyTest.after.always(async () => {
  await scene?.traffic.stop();
  await scene?.browser.close();
  await scene?.sight.close();
  scene?.program.child.kill("SIGTERM");
  await scene?.program.ended;
  if (store !== "") await rm(store, { recursive: true, force: true });
});

function httpOf(context: ClusterContext & { readonly httpTokens?: { readonly operator: string } }) {
  const token = context.httpTokens?.operator;
  if (context.httpUrl === "" || token === undefined) throw new Error("the cluster serves no HTTP");
  return { url: new URL("/", context.httpUrl).href, token };
}

function test(title: string, run: (t: ExecutionContext, scene: Scene) => Promise<void>): void {
  anyTest.serial(title, async (t) => {
    t.timeout(120_000);
    if (scene === undefined) {
      t.log("skipped: there is no chromium on this machine");
      t.pass();
      return;
    }
    scene.watched.page.setDefaultTimeout(withinMs);
    await run(t, scene);
  });
}

test("every view shows what the cluster does now (S0-8, S0-36)", async (t, {
  watched: { page, faults },
  sight,
  traffic,
}) => {
  await page.locator('[data-connection="live"]').waitFor();
  await traffic.more(200);
  const { children } = await treeOf(sight);
  const nodes = children.filter(({ kind }) => kind === "node").map(({ name }) => name);
  const shown: Readonly<Record<(typeof viewNames)[number], string>> = {
    overview: '[data-sign="update_rate"]',
    tree: `[data-path="${nodes[0]}"]`,
    learning: 'section[aria-label="Newest updates"] tbody tr',
    queues: 'section[aria-label="Queues"] tbody tr',
    alerts: 'section[aria-label="Firing"]',
    traces: "main .panel",
    stability: 'section[aria-label="Update rate and worker crashes"]',
  };
  for (const view of viewNames) {
    await goTo(page, view === "overview" ? "#/" : `#/${view}`);
    await page.locator(shown[view]).first().waitFor();
    t.is(await overflowPx(page), 0, view);
  }
  await goTo(page, "#/tree");
  for (const node of nodes) await page.locator(`[data-path="${node}"]`).waitFor();
  t.deepEqual(faults, []);
});

test("a kill from the page leaves a receipt, and the next incarnation is shown (S0-38)", async (t, {
  watched: { page },
  sight,
}) => {
  const learning = (await treeOf(sight)).children.find(({ name }) => name.startsWith("learning"));
  if (learning === undefined) throw new Error("no learning node");
  await goTo(page, "#/tree");
  await page.getByRole("button", { name: `Kill ${learning.name}`, exact: true }).click();
  await page.getByRole("button", { name: "Kill it" }).click();
  const next = String(learning.generation + 1);
  await page.locator(`[data-next-incarnation="${next}"]`).waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator(`[data-path="${learning.name}"] [data-incarnation]`, { hasText: next }).waitFor();
  await goTo(page, "#/stability");
  const mark = page.locator('section[aria-label="Update rate and worker crashes"] .mark').first();
  await mark.waitFor({ state: "attached" });
  t.is(await mark.textContent(), "Worker Crash");
});

test("a planted drift of the KL raises its alert on the page, and its end clears it", async (t, {
  watched: { page },
  operationsFile,
}) => {
  await goTo(page, "#/alerts");
  const alert = page.locator('[data-alert="kl_drift"]');
  t.is(await alert.count(), 0);
  await writeFile(operationsFile, driftRule(0.000_001));
  await alert.waitFor();
  await writeFile(operationsFile, driftRule(1_000));
  await alert.waitFor({ state: "detached" });
  await page.locator('section[aria-label="Over"]', { hasText: "kl_drift" }).waitFor();
});

test("a request's trace opens as a waterfall of its job and the phases", async (t, { watched: { page } }) => {
  await goTo(page, "#/traces");
  await page.locator('section[aria-label="Traces"] tbody a').first().click();
  await page.locator(".span-bar").first().waitFor();
  t.true((await page.locator(".span-bar").count()) >= 2, "a job and its phases");
});
