// `driftmend model add`, `ls`, `show`, `rm`: the models of a cluster that runs.
//
// Owns: the order of the steps, and what is said. Does not own: the decisions (operations/registry/model-admission.ts), the registry
// (transport/log/model-registry.ts), what nodes do about it (actors/host/roster.ts).
//
// Whoever ends in the middle leaves nothing half served: pieces without a record are nobody's, and a removal without a purge keeps the log.
import { packModel } from "../../models/adoption/model-package.js";
import type { DriftmendClient } from "../../transport/client.js";
import type { CommitOutcome } from "../../transport/log/chain.js";
import { streamState, type Unavailable } from "../../transport/log/jetstream.js";
import { type ModelRecord, noStanding, type Standings } from "../../transport/log/model-records.js";
import { type ModelRegistry, openModelRegistry } from "../../transport/log/model-registry.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { admission, removal, type Situation, unfit } from "../registry/model-admission.js";
import { awaitModels, lookAtModels, type NodeModels } from "../registry/model-looks.js";
import { addedLines, listLines, removedLines, showLines } from "../terminal/models.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";

export interface RemoveOptions extends ClusterOptions {
  readonly purgeLog?: boolean;
}

interface Scene {
  readonly client: DriftmendClient;
  readonly registry: ModelRegistry;
  readonly standings: Standings;
  readonly looks: readonly NodeModels[];
}

export async function addModel(folder: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  const { package: packed, parts } = await packModel(folder);
  const wrong = unfit(packed);
  if (wrong !== undefined) return failed(wrong.message, wrong.next);
  const { name, sha256, bytes } = packed;
  return withScene(options, terminal, async (scene) => {
    const beganAtMs = terminal.clock.monotonicMs();
    const situation = await situationOf(scene, name);
    const decision = admission(packed, situation);
    if (decision.kind === "refused") return failed(decision.message, decision.next);
    if (decision.kind === "go") {
      const uploaded = await scene.registry.upload(packed, parts);
      if (uploaded.kind === "unavailable") return unwritten(name, uploaded);
      const said = await scene.registry.say(uploaded.added, situation.standing.seq);
      if (said.kind !== "committed") return unsaid(name, said);
    }
    const looks = await awaitModels(scene.client, terminal.clock, scene.client.bus.timeouts.modelServed, (found) =>
      isSettled(found, name, scene.looks.length),
    );
    const nodes = placesOf(looks, name);
    const tookMs = Math.round(terminal.clock.monotonicMs() - beganAtMs);
    const report = { model: name, outcome: decision.kind === "go" ? "added" : "already", sha256, bytes, tookMs, nodes };
    terminal.print(terminal.json ? JSON.stringify(report) : addedLines(report, terminal.colours));
    return verdict(name, nodes);
  });
}

function verdict(name: string, nodes: readonly Place[]): Outcome {
  const wrong = nodes.filter(({ state }) => state !== "up");
  const [first] = wrong;
  if (first === undefined) return done;
  const names = wrong.map(({ node }) => node).join(", ");
  const cause = first.cause === undefined ? first.state : printable(first.cause);
  return failed(
    `${name} is not served on ${names}: ${cause}`,
    `they try again; driftmend model show ${name} says how it stands`,
  );
}

export async function removeModel(name: string, options: RemoveOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(name)) return noName(name);
  const { purgeLog = false } = options;
  return withScene(options, terminal, async (scene) => {
    const beganAtMs = terminal.clock.monotonicMs();
    const situation = await situationOf(scene, name);
    const decision = removal(name, purgeLog, situation);
    if (decision.kind === "refused") return failed(decision.message, decision.next);
    let { seq } = situation.standing;
    if (decision.kind === "remove") {
      const said = await say(scene, { kind: "removed", name, sha256: decision.sha256, atMs: now(terminal) }, seq);
      if ("message" in said) return said;
      seq = said.seq;
      const { timeouts } = scene.client.bus;
      const looks = await awaitModels(scene.client, terminal.clock, timeouts.modelServed, (found) =>
        isGone(found, name),
      );
      if (!isGone(looks, name))
        return failed(`${name} is still there on a node; its log is kept`, `driftmend model show ${name}`);
    }
    if (purgeLog) {
      const purged = await purge(scene, name, seq, terminal);
      if (purged !== done) return purged;
    }
    const tookMs = Math.round(terminal.clock.monotonicMs() - beganAtMs);
    const report = { model: name, outcome: "removed", log: purgeLog ? "purged" : "kept", tookMs };
    terminal.print(terminal.json ? JSON.stringify(report) : removedLines(report, terminal.colours));
    return done;
  });
}

/** Says that the log goes, and waits until an operations node has seen to it. */
async function purge(scene: Scene, name: string, seq: number, terminal: Terminal): Promise<Outcome> {
  const said = await say(scene, { kind: "purged", name, atMs: now(terminal) }, seq);
  if ("message" in said) return said;
  const { bus } = scene.client;
  const deadlineAtMs = terminal.clock.monotonicMs() + bus.timeouts.modelServed;
  while (await logOf(scene.client, name)) {
    if (terminal.clock.monotonicMs() >= deadlineAtMs)
      return failed(
        `the log of ${name} is still there`,
        "an operations node purges it: driftmend tree shows whether one runs",
      );
    await terminal.clock.delay(pauseMs);
  }
  return done;
}

const pauseMs = 100;

export async function listModels(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withScene(options, terminal, async ({ standings, looks }) => {
    const names = new Set([...looks.flatMap(({ models = [] }) => models.map(({ name }) => name)), ...standings.keys()]);
    const models = [...names].sort().flatMap((name) => {
      const standing = standings.get(name) ?? noStanding;
      const nodes = placesOf(looks, name);
      const [first] = looks.flatMap(({ models: on = [] }) => on.filter((each) => each.name === name));
      if (first === undefined && standing.served === undefined && standing.logOf === undefined) return [];
      const sha256 = standing.served?.sha256 ?? first?.sha256 ?? standing.logOf ?? null;
      const source = standing.served !== undefined ? "added" : (first?.source ?? "removed");
      return [{ name, source, sha256, bytes: standing.served?.bytes ?? null, nodes }];
    });
    terminal.print(terminal.json ? JSON.stringify({ models }) : listLines(models, terminal.width, terminal.colours));
    return done;
  });
}

export async function showModel(name: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(name)) return noName(name);
  return withScene(options, terminal, async ({ client, standings, looks }) => {
    const standing = standings.get(name) ?? noStanding;
    const nodes = placesOf(looks, name);
    const [first] = looks.flatMap(({ models = [] }) => models.filter((each) => each.name === name));
    if (first === undefined && standing.served === undefined && standing.logOf === undefined)
      return failed(`there is no model ${name}`, "driftmend model ls");
    const { served } = standing;
    const report = {
      model: name,
      source: served !== undefined ? "added" : (first?.source ?? "removed"),
      sha256: served?.sha256 ?? first?.sha256 ?? standing.logOf ?? null,
      bytes: served?.bytes ?? null,
      addedAtMs: served?.atMs ?? null,
      files: served?.files ?? [],
      hasLog: await logOf(client, name),
      nodes,
    };
    terminal.print(terminal.json ? JSON.stringify(report) : showLines(report, terminal.width, terminal.colours));
    return done;
  });
}

export interface Place {
  readonly node: string;
  /** "absent": the node answers and does not have it; "silent": it does not answer. */
  readonly state: string;
  readonly cause?: string;
}

function placesOf(looks: readonly NodeModels[], name: string): Place[] {
  return looks.map(({ node, models }) => {
    const found = models?.find((each) => each.name === name);
    const state = found?.state ?? (models === undefined ? "silent" : "absent");
    return { node, state, ...(found?.cause === undefined ? {} : { cause: found.cause }) };
  });
}

/** A node that was there before and does not answer just now is waited for. */
function isSettled(looks: readonly NodeModels[], name: string, nodes: number): boolean {
  const ends = ["up", "failed", "down"];
  return looks.length >= nodes && placesOf(looks, name).every(({ state }) => ends.includes(state));
}

function isGone(looks: readonly NodeModels[], name: string): boolean {
  return placesOf(looks, name).every(({ state }) => state === "absent");
}

async function situationOf({ client, standings, looks }: Scene, name: string): Promise<Situation> {
  const onNodes = looks.flatMap(({ models = [] }) => models.filter((each) => each.name === name));
  const others = Math.max(0, ...looks.map(({ models = [] }) => models.filter((each) => each.name !== name).length));
  return { standing: standings.get(name) ?? noStanding, onNodes, hasLog: await logOf(client, name), others };
}

async function logOf({ bus, subjects }: DriftmendClient, name: string): Promise<boolean> {
  const outcome = await streamState(bus, subjects.stream("experience", name));
  return outcome.kind === "state" || outcome.why !== "no_stream";
}

async function withScene(
  options: ClusterOptions,
  terminal: Terminal,
  work: (scene: Scene) => Promise<Outcome>,
): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const registry = openModelRegistry(client.bus, terminal.clock, client.subjects);
    const [read, looks] = await Promise.all([registry.standings(), lookAtModels(client)]);
    if (read.kind === "unavailable") return unread(read);
    return work({ client, registry, standings: read.standings, looks });
  });
}

async function say(
  { registry }: Scene,
  record: ModelRecord,
  expected: number,
): Promise<{ readonly seq: number } | Extract<Outcome, { kind: "failed" }>> {
  const said = await registry.say(record, expected);
  return said.kind === "committed" ? { seq: said.seq } : unsaid(record.name, said);
}

function unsaid(name: string, outcome: Exclude<CommitOutcome, { kind: "committed" }>) {
  if (outcome.kind === "unavailable") return unwritten(name, outcome);
  return failed(
    `somebody else changed ${name} meanwhile: nothing was done`,
    `driftmend model show ${name}, then again`,
  );
}

function unwritten(name: string, { why }: Unavailable) {
  switch (why) {
    case "full":
      return failed(
        `the stream of models is full: ${name} was not added`,
        "driftmend model ls; driftmend model rm NAME",
      );
    case "denied":
      return failed("this user may not change the models", "use the operator's credentials");
    case "no_stream":
      return failed("the cluster keeps no models: none of its nodes has run yet", "driftmend status");
    case "timeout":
    case "closed":
    case "no_leader":
    case "not_clustered":
    case "too_few_servers":
      return failed(
        `${name}: the stream of models does not answer (${why})`,
        `driftmend model show ${name}, then again`,
      );
    default:
      return why satisfies never;
  }
}

function unread({ why }: Unavailable): Outcome {
  if (why === "no_stream")
    return failed("the cluster keeps no models: none of its nodes has run yet", "start one with: driftmend up");
  return failed(`the models cannot be read: ${why}`, "driftmend doctor");
}

function noName(name: string): Outcome {
  const message = `NAME: "${printable(name)}" cannot be a model's name`;
  return { kind: "usage", message, next: 'use 1 to 32 letters, digits, "-" or "_"' };
}

function now({ clock }: Terminal): number {
  return Math.round(clock.nowMs());
}

function failed(message: string, next: string): Extract<Outcome, { kind: "failed" }> {
  return { kind: "failed", message, next };
}
