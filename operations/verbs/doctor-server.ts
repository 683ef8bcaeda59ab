// `driftmend doctor --nats URL`: is that server one on which a cluster can live, seen from here.
//
// Owns: looking the facts up. Does not own: what they mean (server-checks.ts), this machine's own facts (doctor.ts).
//
// D1. What it does on the server is over when it ends: a stream of its own for the time of a few appends, and subjects that nobody listens to.

import type { Clock } from "../../models/clock.js";
import { type Role, roles } from "../../transport/access/credentials.js";
import type { Bus } from "../../transport/bus/bus.js";
import { serversIn } from "../../transport/bus/server-list.js";
import { rightsNeeded, tryRights } from "../../transport/server/rights-trial.js";
import { knownHoles } from "../../transport/server/server-holes.js";
import { lookAtAccount, lookAtMonitor } from "../../transport/server/server-look.js";
import { tryStoring } from "../../transport/server/storing-trial.js";
import type { Subjects } from "../../transport/subjects.js";
import type { Check } from "./doctor-checks.js";
import {
  checkAppends,
  checkAuthentication,
  checkClocks,
  checkJetStream,
  checkListening,
  checkPayload,
  checkReplicas,
  checkRights,
  checkRoundTrip,
  checkSync,
  checkTls,
} from "./server-checks.js";

export interface ServerWishes {
  /** As it was given; decides together with the server's own word whether others can connect. */
  readonly url: string | undefined;
  readonly user: string | undefined;
  /** What the user is for; the user's own name where it is one, else a node. */
  readonly role: Role | undefined;
  readonly replicas: number | undefined;
  /** Where its monitoring port is; the usual one of its host when left out. */
  readonly monitor: string | undefined;
  readonly acceptKnownHoles: boolean | undefined;
}

const monitorPort = 8222;
const pings = 5;

export async function serverChecks(
  bus: Bus,
  subjects: Subjects,
  wishes: ServerWishes,
  clock: Clock,
): Promise<readonly Check[]> {
  const { server } = bus;
  if (server === undefined)
    return [{ name: "server", status: "missing", detail: "the connection broke", next: "type it again" }];
  const urls = serversIn(wishes.url ?? "nats://127.0.0.1").map((each) => new URL(each));
  const hosts = [...new Set([server.host, ...urls.map(({ hostname }) => hostname)])];
  const { replicas = 1, acceptKnownHoles: accepted = false } = wishes;
  const role = wishes.role ?? roles.find((each) => each === wishes.user) ?? "node";
  const monitor = await lookAtMonitor(
    wishes.monitor ?? `http://${urls[0]?.hostname}:${monitorPort}`,
    bus.timeouts.look,
    clock,
  );
  const account = await lookAtAccount(bus);
  const roundTripMs = await quickestPing(bus, clock);
  // Only a node may make a stream; a trial by anybody else is a violation, which is alerted of.
  const storing =
    role === "node"
      ? await tryStoring(bus, subjects, replicas, clock)
      : ({ kind: "unavailable", why: "denied" } as const);
  const rights = await tryRights(bus, rightsNeeded(role, subjects, wishes.user), (ms) => clock.delay(ms));
  return [
    checkListening({ hosts, version: server.version, holes: knownHoles(server.version), accepted }),
    checkAuthentication(server, hosts, wishes.user !== undefined),
    checkTls(server.tlsRequired || urls.every(({ protocol }) => protocol === "tls:"), hosts),
    checkRoundTrip(roundTripMs),
    checkPayload(server.payloadMaxBytes),
    checkJetStream(account, monitor),
    checkReplicas(storing, replicas, server),
    checkAppends(storing),
    checkSync(server.version, monitor),
    checkClocks(storing),
    checkRights(role, rights),
  ];
}

/** Timed here: the library's own figure is in whole milliseconds. */
async function quickestPing(bus: Bus, clock: Clock): Promise<number | undefined> {
  let quickest: number | undefined;
  for (let count = 0; count < pings; count += 1) {
    const beganAtMs = clock.monotonicMs();
    if (await bus.flush()) quickest = Math.min(clock.monotonicMs() - beganAtMs, quickest ?? Number.POSITIVE_INFINITY);
  }
  return quickest;
}
