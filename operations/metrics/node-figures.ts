// The nodes as they were last heard.
//
// Owns: which node runs, is silent or has left; the roles of nodes that said so. Does not own: who declares a node dead (the watchdog).
//
// N1. Silence counts only while the observer could hear: an outage of the broker makes no node silent.

import type { NodeFigures } from "./cluster-metrics.js";
import type { Life, Lives } from "./window.js";

/** Five beats. */
export const silentAfterMs = 5_000;

export class NodeRoll {
  readonly #roles = new Map<string, readonly string[]>();
  #deafUntilMs = 0;

  /** From now on silence counts anew. */
  hearsAgain(nowMs: number): void {
    this.#deafUntilMs = nowMs;
  }

  knows(node: string, roles: readonly string[]): void {
    this.#roles.delete(node);
    this.#roles.set(node, roles);
    const [oldest] = this.#roles.keys();
    if (this.#roles.size > nodesMax && oldest !== undefined) this.#roles.delete(oldest);
  }

  roles(): ReadonlyMap<string, readonly string[]> {
    return this.#roles;
  }

  /** Nodes of which no roles are known yet. */
  strangers(lives: Lives): readonly string[] {
    return lives
      .current()
      .filter(({ node, ended }) => ended === undefined && !this.#roles.has(node))
      .map(({ node }) => node);
  }

  figures(lives: Lives, nowMs: number): NodeFigures[] {
    return lives
      .current()
      .map((life) => this.#figuresOf(life, nowMs))
      .sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  #figuresOf(life: Life, nowMs: number): NodeFigures {
    const { node, incarnation, run, pid, values, heardAtMs, ended } = life;
    const figure = (name: string): number => Math.max(0, values[name] ?? 0);
    const isSilent = ended === "died" || nowMs - Math.max(heardAtMs, this.#deafUntilMs) > silentAfterMs;
    return {
      ...{ node, incarnation: Math.max(1, incarnation), run, pid },
      roles: [...(this.#roles.get(node) ?? [])],
      state: ended === "left" ? "left" : isSilent ? "silent" : "running",
      heartbeatAgeMs: Math.max(0, nowMs - heardAtMs),
      uptimeMs: figure("uptimeMs"),
      rssBytes: figure("rssBytes"),
      heapUsedBytes: figure("heapUsedBytes"),
      cpuPct: figure("cpuPct"),
      loopDelayMaxMs: figure("loopDelayMaxMs"),
      openFiles: values.openFiles ?? null,
      diskFreeBytes: values.diskFreeBytes ?? null,
      ...(values.tensor_leases === undefined ? {} : { tensorLeases: tensorLeasesOf(figure) }),
      actorRestarts: figure("actors_restarting"),
    };
  }
}

function tensorLeasesOf(figure: (name: string) => number): NonNullable<NodeFigures["tensorLeases"]> {
  return {
    live: figure("tensor_leases"),
    bytes: figure("tensor_lease_bytes"),
    oldestAgeMs: figure("tensor_lease_oldest_ms"),
    poolBytes: figure("tensor_pool_bytes"),
  };
}

const nodesMax = 1_024;
