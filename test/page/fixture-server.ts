// The HTTP interface as the page sees it, with a world that a test can change: the same addresses, the same shapes, no cluster.

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import type { AlertList } from "../../operations/alerts/alert-list.js";
import type { ChaosReceiptBody, LetterReceipt } from "../../operations/http/answer-shapes.js";
import { systemClock } from "../../supervision/clock.js";
import type { World } from "./world.js";
import { traceOf } from "./world-jobs.js";
import { receiptFor, treeAt } from "./world-tree.js";

export const operatorToken = "op-token-of-the-fixture";

const pageFile = fileURLToPath(new URL("../../operations/page/page.html", import.meta.url));
/** As the real server has it: nothing from elsewhere, no inline script but the page's own. */
const contentPolicy = (hashes: readonly string[]): string =>
  `default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src ${hashes[0]}; style-src ${hashes[1]}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

export class FixtureServer {
  readonly url: string;
  world: World;
  /** Everything that was ordered, oldest first. */
  readonly orders: { readonly path: string; readonly body: unknown }[] = [];
  /** Every address that was asked for. */
  readonly asked: string[] = [];
  /** Paths that are answered with this status instead. */
  readonly failing = new Map<string, number>();
  /** Answers wait for this. */
  holding: Promise<void> = Promise.resolve();
  /** Whether reading needs a token too. */
  isClosed = false;
  readonly #server: Server;
  readonly #page: string;
  readonly #policy: string;
  readonly #listeners = new Set<ServerResponse>();
  readonly #generations: Record<string, number> = {};

  private constructor(server: Server, url: string, page: string, policy: string, world: World) {
    this.#server = server;
    this.url = url;
    this.#page = page;
    this.#policy = policy;
    this.world = world;
  }

  static async start(world: World): Promise<FixtureServer> {
    const page = await readFile(pageFile, "utf8");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const fixture = new FixtureServer(
      server,
      `http://127.0.0.1:${address.port}/`,
      page,
      contentPolicy(await hashesIn(page)),
      world,
    );
    server.on("request", (request, response) => void fixture.#answer(request, response));
    return fixture;
  }

  /** Sends an event to every page that listens. */
  tell(event: string, data: unknown): void {
    for (const listener of this.#listeners) listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Everything that the real server tells in a second. */
  beat(): void {
    const atMs = systemClock.nowMs();
    this.world.metrics = { ...this.world.metrics, atMs };
    this.tell("metrics", this.world.metrics);
    this.tell("health", { ...this.world.health, atMs });
  }

  get listening(): number {
    return this.#listeners.size;
  }

  /** Cuts everybody off; new connections are refused until `open`. */
  async shut(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(Number(new URL(this.url).port), "127.0.0.1", resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    this.asked.push(path);
    const status = this.failing.get(path.split("?")[0] ?? "");
    const isOrder = request.method === "POST";
    const token = request.headers.authorization;
    if (path !== "/" && (isOrder || this.isClosed) && token !== `Bearer ${operatorToken}`)
      return refuse(
        response,
        401,
        token === undefined ? "an order needs the operator's token" : "this token is not one of this cluster's",
      );
    if (status !== undefined) return refuse(response, status, "no node answers");
    if (path === "/") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": this.#policy });
      response.end(this.#page);
      return;
    }
    if (path === "/api/events") {
      this.#listen(response);
      return;
    }
    await this.holding;
    if (isOrder) this.#order(path, JSON.parse(await textOf(request)), response);
    else this.#look(path, response);
  }

  #listen(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": hello\n\n");
    this.#listeners.add(response);
    response.on("close", () => this.#listeners.delete(response));
  }

  #look(path: string, response: ServerResponse): void {
    const { metrics, health, alerts, series, tree, learning, queues, traces, stability } = this.world;
    const trace = /^\/api\/traces\/([0-9a-f]{32})$/.exec(path)?.[1];
    const answers: Readonly<Record<string, unknown>> = {
      "/api/metrics": { ...metrics, atMs: systemClock.nowMs() },
      "/api/health": health,
      "/api/alerts": alerts,
      "/api/series": series,
      "/api/tree": tree,
      "/api/learning": learning,
      "/api/queues": queues,
      "/api/traces": traces,
      "/api/stability": stability,
    };
    const found = trace === undefined ? answers[path.split("?")[0] ?? ""] : traceOf(trace, systemClock.nowMs());
    if (found === undefined) refuse(response, 404, "there is nothing under this address");
    else json(response, found);
  }

  #order(path: string, body: unknown, response: ServerResponse): void {
    this.orders.push({ path, body });
    const letter = /^\/api\/dlq\/(\d+)\/requeue$/.exec(path)?.[1];
    if (path === "/api/chaos") json(response, this.#strike(body as FaultOrder));
    else if (path.startsWith("/api/alerts/")) json(response, this.#orderAlerts(body as AlertOrder));
    else if (letter !== undefined) json(response, this.#requeue(Number(letter)));
    else refuse(response, 404, "there is nothing under this address");
  }

  #strike({ node, target, mode }: FaultOrder): ChaosReceiptBody {
    const at = node === "root" ? target : `${node}/${target}`;
    const before = this.#generations[at] ?? 1;
    this.#generations[at] = before + 1;
    this.world.tree = treeAt(this.#generations);
    this.tell("tree", this.world.tree);
    return receiptFor(target, mode, before);
  }

  #orderAlerts({ fingerprint, note }: AlertOrder): AlertList {
    const acknowledged = { by: "operator", atMs: systemClock.nowMs(), note };
    const { alerts } = this.world;
    const changed = alerts.alerts.map((alert) =>
      alert.fingerprint === fingerprint ? { ...alert, acknowledged } : alert,
    );
    this.world.alerts = { ...alerts, alerts: changed };
    this.tell("alerts", this.world.alerts);
    return this.world.alerts;
  }

  #requeue(id: number): LetterReceipt {
    const { queues } = this.world;
    const requeued_at = systemClock.nowMs();
    const entries = queues.deadLetters.entries.map((each) => (each.id === id ? { ...each, requeued_at } : each));
    this.world.queues = { ...queues, deadLetters: { ...queues.deadLetters, entries } };
    return { seq: id, jobId: "4f1d0c8be2aa4d0e", atMs: requeued_at };
  }
}

interface FaultOrder {
  readonly node: string;
  readonly target: string;
  readonly mode: string;
}

interface AlertOrder {
  readonly fingerprint?: string;
  readonly note: string;
}

async function hashesIn(page: string): Promise<string[]> {
  return Promise.all(
    ["script", "style"].map(async (tag) => {
      const inside = new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`).exec(page)?.[1] ?? "";
      const digest = await crypto.subtle.digest("SHA-256", Buffer.from(inside));
      return `'sha256-${Buffer.from(digest).toString("base64")}'`;
    }),
  );
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { code: "refused", message, next: "driftmend page --operator" } }));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of request) text += String(piece);
  return text;
}
