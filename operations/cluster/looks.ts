// A node seen from outside: looks inside its actors, its tree, its status. Its faults are taken here and done in node-faults.ts.
//
// Owns: who answers what on the actor subjects of one node. Does not own: who may ask (the broker's permissions).

import type { Clock } from "../../models/clock.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import type { TreeNode } from "../../supervision/tree/tree.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import { encodeMessage, type PlainMap } from "../../transport/messages/codec.js";
import { encodeActorLook, encodeTree } from "../../transport/messages/look-orders.js";
import { actorPathOf, type Subjects } from "../../transport/subjects.js";
import type { Telemetry } from "../metrics/telemetry.js";
import { takeNodeFaults } from "./node-faults.js";

export interface LookDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly node: string;
  readonly incarnation: number;
  readonly pid: number;
  readonly tree: ActorTree;
  readonly vitals: () => PlainMap;
  readonly startedAtMs: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export interface Looks {
  stop(): void;
}

export function answerLooks(deps: LookDeps): Looks {
  const { bus, subjects, node } = deps;
  const subscription = bus.subscribe(subjects.all.actorsOf(node), {}, (message) => look(deps, message));
  const faults = takeNodeFaults(deps);
  return {
    stop: () => {
      subscription.unsubscribe();
      faults.stop();
    },
  };
}

function look(deps: LookDeps, message: Incoming): void {
  const path = actorPathOf(message.subject);
  if (path === "tree") message.respond(encodeTree(nodeTree(deps)));
  else if (path === "status") message.respond(encodeMessage({ v: 1, status: statusOf(deps) }));
  else lookInside(deps, path, message);
}

function lookInside({ tree }: LookDeps, path: string, message: Incoming): void {
  const found = findIn(tree.tree(), path.split("/"));
  if (found === undefined) {
    refuse(message, { code: "bad_request", field: "actor", message: `no actor "${path}"` });
    return;
  }
  message.respond(
    encodeActorLook({
      path,
      generation: found.generation,
      state: found.state,
      restarts: found.restarts,
      mailbox: found.mailbox ?? { depth: 0, capacity: 0 },
      summary: found.kind === "actor" ? ((tree.summary(path) ?? {}) as PlainMap) : {},
    }),
  );
}

function nodeTree({ tree, node, pid, incarnation }: LookDeps): TreeNode {
  return { ...tree.tree(), name: node, kind: "node", pid, generation: incarnation, restarts: incarnation - 1 };
}

function statusOf(deps: LookDeps): PlainMap {
  const { tree, node, incarnation, vitals, startedAtMs } = deps;
  const actors = Object.fromEntries(
    actorPaths(tree.tree(), []).map((path) => [path, (tree.summary(path) ?? {}) as PlainMap]),
  );
  return { node, incarnation, startedAtMs, ...vitals(), actors };
}

function actorPaths(node: TreeNode, above: readonly string[]): string[] {
  return node.children.flatMap((child) => {
    const path = [...above, child.name];
    return child.kind === "actor" ? [path.join("/")] : actorPaths(child, path);
  });
}

function findIn(node: TreeNode, path: readonly string[]): TreeNode | undefined {
  const [first, ...rest] = path;
  const child = node.children.find(({ name }) => name === first);
  return child === undefined || rest.length === 0 ? child : findIn(child, rest);
}
