// The web actor: its port over its lives, a port that somebody else has, the observer's word.

import { createServer, type Server } from "node:net";
import test, { type ExecutionContext } from "ava";
import { type WebDeps, type WebMessage, web } from "../../actors/operations/web.js";
import { healthReportSchema } from "../../operations/health/health-report.js";
import { LiveEvents } from "../../operations/http/events.js";
import { found, type Sources } from "../../operations/http/sources.js";
import { clusterMetricsSchema } from "../../operations/metrics/cluster-metrics.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import type { ActorPath } from "../../supervision/path.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { scene } from "../operations/http/http-scene.js";
import { type EventLog, smallTree } from "../supervision/small-tree.js";
import { until } from "../until.js";
import { type RecordingBus, recorded } from "./small-node.js";

const withinMs = 30_000;

interface Running {
  readonly tree: ActorTree;
  readonly events: EventLog;
  readonly bus: RecordingBus;
  /** What the newest incarnation was given. */
  readonly opened: { newest(): ReturnType<Parameters<WebDeps["open"]>[0]>; live: LiveEvents }[];
}

/** A web actor over plain data, on a real port. */
async function running(
  t: ExecutionContext,
  port: number,
  more: Partial<Sources> = {},
  drainMs = withinMs,
): Promise<Running> {
  const { bus, telemetry } = recorded();
  const opened: Running["opened"] = [];
  const deps: WebDeps = {
    address: { host: "127.0.0.1", port },
    lookEveryMs: 20,
    drainMs,
    telemetry,
    open: async (newest) => {
      const live = new LiveEvents(systemClock);
      const { server } = await scene({ sources: { newest, ...more }, events: live });
      opened.push({ newest, live });
      return { server, events: live, look: () => Promise.resolve() };
    },
  };
  const small = await smallTree([{ id: "web", restart: "permanent", behaviour: () => web(deps) }]);
  t.teardown(() => small.tree.stop());
  return { ...small, bus, opened };
}

async function freePort(): Promise<{ readonly port: number; readonly holder: Server }> {
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.listen(0, "127.0.0.1", resolve);
  });
  const address = holder.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, holder };
}

const close = (server: Server) => new Promise((resolve) => server.close(resolve));
const ask = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`);

function untilServed(port: number): Promise<true> {
  return until("the tree is served", withinMs, () =>
    ask(port, "/api/tree").then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
}

for (const how of ["crash", "kill"] as const)
  test(`after a ${how} the next incarnation listens on the same port (S1-40)`, async (t) => {
    const { port, holder } = await freePort();
    await close(holder);
    const { tree, events } = await running(t, port);
    for (let incarnation = 2; incarnation <= 4; incarnation += 1) {
      t.is((await ask(port, "/api/tree")).status, 200);
      await tree.kill("web", how);
      await events.started("web", incarnation);
      await untilServed(port);
    }
    t.is(tree.summary("web")?.url, `http://127.0.0.1:${port}`);
  });

/** Something that happens once. */
function moment(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A tree that is asked for and not told yet. */
function heldTree() {
  const held = { asked: moment(), told: moment() };
  const tree: Sources["tree"] = async () => {
    held.asked.resolve();
    await held.told.promise;
    return found({ name: "late", kind: "root", generation: 0, state: "running", restarts: 0, children: [] });
  };
  return { ...held, tree };
}

const nobody = "the connection ended without an answer";
const bodyOrNothing = (asked: Promise<Response>): Promise<string> =>
  asked.then((answer) => answer.text()).catch(() => nobody);

test("a web actor that is stopped in order answers what it was asked, and takes nothing new meanwhile (S2-11)", async (t) => {
  const { port, holder } = await freePort();
  await close(holder);
  const { asked, told, tree: heldSource } = heldTree();
  const { tree } = await running(t, port, { tree: heldSource });
  const reader = bodyOrNothing(ask(port, "/api/events"));
  const answer = bodyOrNothing(ask(port, "/api/tree"));
  await asked.promise;
  const stopped = tree.stop();
  t.is(await reader, nobody, "live readers are let go at once");
  await until("no connection is taken", withinMs, () =>
    bodyOrNothing(ask(port, "/healthz")).then((text) => text === nobody),
  );
  told.resolve();
  t.like(JSON.parse(await answer), { name: "late" });
  await stopped;
});

test("the wait has an end: what is not answered in time is cut (S2-11)", async (t) => {
  const { port, holder } = await freePort();
  await close(holder);
  const { asked, tree: heldSource } = heldTree();
  const { tree } = await running(t, port, { tree: heldSource }, 50);
  const answer = bodyOrNothing(ask(port, "/api/tree"));
  await asked.promise;
  await tree.stop();
  t.is(await answer, nobody);
});

test("a web actor that is killed waits for nobody, and the next one has the port (S1-40)", async (t) => {
  const { port, holder } = await freePort();
  await close(holder);
  const { asked, tree: heldSource } = heldTree();
  const { tree, events } = await running(t, port, { tree: heldSource });
  const answer = bodyOrNothing(ask(port, "/api/tree"));
  await asked.promise;
  await tree.kill("web", "kill");
  t.is(await answer, nobody);
  await events.started("web", 2);
  t.is((await ask(port, "/api/series")).status, 200);
});

test("a port that is taken is an error by name, tried again, and never a restart", async (t) => {
  const { port, holder } = await freePort();
  const { tree, events, bus } = await running(t, port);
  t.like(tree.summary("web"), { url: null, tries: 1 });
  t.like(bus.events("http_refused")[0]?.items[0], { about: `127.0.0.1:${port}`, cause: "this port is taken" });
  await close(holder);
  await untilServed(port);
  t.is(events.lines("crashed", "restarting").length, 0);
  t.is(tree.summary("web")?.url, `http://127.0.0.1:${port}`);
});

test("the observer's word is what is served, until the next one", async (t) => {
  const { port, holder } = await freePort();
  await close(holder);
  const { tree, opened } = await running(t, port);
  const stage = await scene();
  const { metrics, health } = stage.report("unhealthy");
  t.is((await ask(port, "/api/metrics")).status, 503);
  const message: WebMessage = {
    kind: "report",
    metrics: clusterMetricsSchema.parse(metrics),
    health: healthReportSchema.parse(health),
  };
  tree.ref<WebMessage>("web").tell(message);
  while (opened[0]?.newest() === undefined) await systemClock.delay(5);
  t.like(opened[0].newest(), { metrics, health });
});

test("an incarnation that ends while its server is being made never takes the port, and leaves nothing open (S1-40)", async (t) => {
  const { telemetry } = recorded();
  const end = new AbortController();
  const did: string[] = [];
  const server = {
    listen: async () => {
      did.push("listen");
      return { kind: "listening", address: { host: "127.0.0.1", port: 1 }, url: "http://127.0.0.1:1" } as const;
    },
    close: async () => void did.push("close"),
  };
  const behaviour = web({
    address: { host: "127.0.0.1", port: 1 },
    lookEveryMs: 20,
    drainMs: withinMs,
    telemetry,
    open: async () => {
      end.abort();
      return { server, events: new LiveEvents(systemClock), look: () => Promise.resolve() };
    },
  });
  await behaviour.init({
    ...{ self: { path: "web" as ActorPath, tell: () => "ok" }, path: "web" as ActorPath, incarnation: 1 },
    ...{ signal: end.signal, clock: systemClock, random: () => 0, log: silentLogger, fail: () => t.fail() },
  });
  t.deepEqual(did, ["close"]);
});
