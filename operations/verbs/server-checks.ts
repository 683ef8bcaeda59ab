// What a NATS server must be and have so that a cluster can live on it, judged one by one from facts that were looked up before.
//
// Owns: what is required, what is only better to have, and what to type when it is missing.
// Does not own: finding the facts (doctor-server.ts, transport/), what this machine must have (doctor-checks.ts).

import type { Role } from "../../transport/access/credentials.js";
import type { ServerFacts } from "../../transport/bus/server-facts.js";
import type { RightsTried } from "../../transport/server/rights-trial.js";
import { type Hole, soundVersion } from "../../transport/server/server-holes.js";
import type { AccountLook, JetStreamAccount, MonitorLook } from "../../transport/server/server-look.js";
import type { StoringTried } from "../../transport/server/storing-trial.js";
import { isLoopback } from "../http/http-address.js";
import { bytes, cut, printable } from "../text.js";
import type { Check } from "./doctor-checks.js";

const payloadNeeded = 640 * 1024;
const payloadComfortable = 2 * 1024 ** 2;
const roomNeeded = 100 * 1024 ** 2;
const roomComfortable = 1024 ** 3;
/** Of one model, and of the cluster itself: dead letters, cleanup, telemetry, two buckets. */
const streamsNeeded = 4 + 5;
const apartMaxMs = 250;
const apartHopelessMs = 5_000;
const roundTripComfortableMs = 5;
const appendComfortableMs = 20;
/** Half of what one try of an append may take (transport/timeouts.ts, appendTry). */
const appendHopelessMs = 125;
const listedMax = 6;

export interface Listening {
  /** Where somebody can connect to it, as far as known: its own word, and the address it was asked at. */
  readonly hosts: readonly string[];
  readonly version: string;
  readonly holes: readonly Hole[];
  /** Somebody knows of the holes and takes them. */
  readonly accepted: boolean;
}

/** Known holes matter as soon as somebody else can connect; those that need a setting which a server may not have are only told. */
export function checkListening({ hosts, version, holes, accepted }: Listening): Check {
  const name = "version";
  const said = version === "" ? "it does not say its version" : printable(version).replace(/^v?(?=\d)/, "nats-server ");
  const open = hosts.filter((host) => !isLoopback(host));
  const where =
    open.length === 0
      ? "it listens on loopback only"
      : `it listens beyond loopback (${open.map(printable).join(", ")})`;
  if (holes.length === 0) return { name, status: "ok", detail: `${said}, no known hole; ${where}` };
  const mend = `install nats-server ${soundVersion} or newer`;
  const always = holes.filter(({ needs }) => needs === undefined);
  const told = [...always.map(({ id, what }) => `${id}: ${what}`), ...conditional(holes)].join("; ");
  const detail = `${said} has known holes; ${where}. ${told}`;
  if (open.length === 0) return { name, status: "warning", detail, next: `${mend} before it listens beyond loopback` };
  if (accepted || always.length === 0)
    return {
      name,
      status: "warning",
      detail: accepted ? `${detail}. Accepted by --accept-known-holes` : detail,
      next: mend,
    };
  return {
    name,
    status: "missing",
    detail,
    next: `${mend}, or let it listen on 127.0.0.1; to go on knowingly: --accept-known-holes`,
  };
}

function conditional(holes: readonly Hole[]): readonly string[] {
  const needs = new Set(holes.flatMap((hole) => (hole.needs === undefined ? [] : [hole.needs])));
  return needs.size === 0 ? [] : [`and others where it is configured for ${[...needs].join(", ")}`];
}

/** `withUser`: whether credentials were given. */
export function checkAuthentication({ authRequired }: ServerFacts, hosts: readonly string[], withUser: boolean): Check {
  const name = "users";
  if (authRequired)
    return withUser
      ? { name, status: "ok", detail: "it asks everybody who they are" }
      : {
          name,
          status: "warning",
          detail: "it asks who they are, and lets whoever says nothing in as some user",
          next: "give --user, and see what no_auth_user may do there",
        };
  const next = "driftmend auth init writes a configuration with users and their rights (docs/deployment.md)";
  if (hosts.every(isLoopback))
    return { name, status: "warning", detail: "it asks nobody: every process of its machine may do everything", next };
  return { name, status: "missing", detail: "it asks nobody, and others can connect: they may do everything", next };
}

export function checkTls(encrypted: boolean, hosts: readonly string[]): Check {
  const name = "tls";
  if (encrypted) return { name, status: "ok", detail: "this connection is encrypted" };
  if (hosts.every(isLoopback)) return { name, status: "ok", detail: "not encrypted, and does not leave the machine" };
  return {
    name,
    status: "warning",
    detail: "not encrypted: passwords and requests can be read on the way",
    next: "give the server a certificate (tls block of its configuration) and connect with tls://",
  };
}

export function checkJetStream(look: AccountLook, monitor: MonitorLook): Check {
  const name = "jetstream";
  if (look.kind === "unavailable" && look.why === "denied")
    return {
      name,
      status: "warning",
      detail: "this user may not ask about its bounds",
      next: "ask as the user of the nodes",
    };
  if (look.kind === "unavailable")
    return {
      name,
      status: "missing",
      detail: `it does not answer (${printable(look.why)})`,
      next: "start the server with JetStream: nats-server -js -sd DIR",
    };
  if (look.kind === "off")
    return {
      name,
      status: "missing",
      detail: `off: ${printable(look.description)}`,
      next: "turn it on: jetstream { store_dir: DIR } for the server, and jetstream: enabled for the account",
    };
  const { streams, streamsMax } = look.account;
  const { room, said } = roomOf(look.account, monitor.kind === "seen" ? (monitor.facts.storageMaxBytes ?? -1) : -1);
  const detail = `on: ${said}; ${streams} streams${streamsMax < 0 ? "" : ` of ${streamsMax}`}`;
  if (streamsMax >= 0 && streamsMax - streams < streamsNeeded)
    return {
      name,
      status: streams === 0 ? "missing" : "warning",
      detail,
      next: `allow ${streamsNeeded} streams and 4 more for each further model (max_streams)`,
    };
  if (room === undefined || room >= roomComfortable) return { name, status: "ok", detail };
  return {
    name,
    status: room < roomNeeded ? "missing" : "warning",
    detail: `${detail}; ${bytes(room)} left`,
    next: "allow more (max_file_store of the server, max_file of the account), or bound the log: --log-max 256MiB",
  };
}

/** `room` in bytes; undefined where no bound is known. What streams reserve is not free, used or not. */
function roomOf({ storageBytes, reservedBytes, storageMaxBytes, tiered }: JetStreamAccount, serverMax: number) {
  const max = storageMaxBytes >= 0 ? storageMaxBytes : serverMax;
  const taken = Math.max(storageBytes, reservedBytes);
  const bound = tiered ? "bounds per number of replicas" : max < 0 ? "no bound known" : `of ${bytes(max)}`;
  const reserved = reservedBytes > storageBytes ? ` (${bytes(reservedBytes)} reserved by streams)` : "";
  return {
    room: max < 0 ? undefined : Math.max(0, max - taken),
    said: `${bytes(storageBytes)} used${reserved}, ${bound}`,
  };
}

export function checkSync(version: string, monitor: MonitorLook): Check {
  const name = "sync";
  const durable =
    "to survive a power cut, set sync_interval: always in its jetstream block (2.10 and newer), or keep three replicas";
  if (monitor.kind === "unseen")
    return {
      name,
      status: "warning",
      detail: `cannot be seen: its monitoring port does not answer at ${printable(monitor.url)} (${cut(printable(monitor.why), 80)})`,
      next: `name it with --monitor URL; ${durable}`,
    };
  const { sync } = monitor.facts;
  switch (sync.kind) {
    case "always":
      return { name, status: "ok", detail: "every record is on disk before it is acknowledged" };
    case "every":
      return {
        name,
        status: "warning",
        detail: `records are on disk every ${sync.ms / 1000} s: a process may die, the power may not`,
        next: durable,
      };
    case "untold":
      return {
        name,
        status: "warning",
        detail: `nats-server ${printable(version)} does not tell; on its own it syncs every minute or two`,
        next: durable,
      };
  }
}

export function checkPayload(payloadMaxBytes: number): Check {
  const name = "max_payload";
  const detail = bytes(payloadMaxBytes);
  if (payloadMaxBytes >= payloadComfortable) return { name, status: "ok", detail };
  const next = "set max_payload: 8MB in its configuration";
  if (payloadMaxBytes < payloadNeeded)
    return { name, status: "missing", detail: `${detail}: a request of 512 KiB does not fit`, next };
  return {
    name,
    status: "warning",
    detail: `${detail}: a snapshot of a larger model does not fit, nor a chunk of 1 MiB with its header`,
    next,
  };
}

/** `wanted`: replicas that the cluster is to have. */
export function checkReplicas(storing: StoringTried, wanted: number, { cluster, peers }: ServerFacts): Check {
  const name = "replicas";
  const where =
    cluster === ""
      ? "a server alone"
      : `cluster "${printable(cluster)}"${peers.length === 0 ? "" : ` of ${peers.map(printable).join(", ")}`}`;
  if (storing.kind === "too_few_servers")
    return {
      name,
      status: "missing",
      detail: `${where}: ${wanted} replicas cannot be had (${printable(storing.description)})`,
      next: `start ${wanted} servers as one cluster (docs/clusters.md), or do without: --replicas 1`,
    };
  if (storing.kind !== "stored")
    return wanted === 1
      ? { name, status: "ok", detail: `${where}; one copy of each stream` }
      : {
          name,
          status: "warning",
          detail: `${where}; whether ${wanted} replicas can be had is not known`,
          next: "ask as the user of the nodes",
        };
  if (cluster === "" || wanted >= 3)
    return {
      name,
      status: "ok",
      detail: `${where}; a stream with ${wanted === 1 ? "one copy" : `${wanted} replicas`} was made and taken away again`,
    };
  return {
    name,
    status: "warning",
    detail: `${where}; asked for ${wanted === 1 ? "one copy" : `${wanted} replicas`} of the log`,
    next: "with three servers keep three: --replicas 3, here and for the nodes",
  };
}

export function checkAppends(storing: StoringTried): Check {
  const name = "append";
  if (storing.kind !== "stored") return notTried(name, storing);
  const { medianMs, longestMs } = storing.appends;
  const detail = `a record of 1 KiB is acknowledged in ${ms(medianMs)} (longest of a few ${ms(longestMs)}); every answer waits for one`;
  if (medianMs <= appendComfortableMs) return { name, status: "ok", detail };
  return {
    name,
    status: medianMs > appendHopelessMs ? "missing" : "warning",
    detail,
    next: "a nearer server or a quicker disk; or --timeout appendTry=1s --timeout append=5s for the nodes",
  };
}

export function checkClocks(storing: StoringTried): Check {
  const name = "clocks";
  if (storing.kind !== "stored") return notTried(name, storing);
  const { aheadMs, uncertainMs } = storing.appends;
  const apart = Math.abs(aheadMs);
  const detail = `the server's is ${ms(apart)} ${aheadMs < 0 ? "behind" : "ahead of"} this machine's, give or take ${ms(uncertainMs)}`;
  if (apart - uncertainMs <= apartMaxMs) return { name, status: "ok", detail };
  return {
    name,
    status: apart - uncertainMs > apartHopelessMs ? "missing" : "warning",
    detail: `${detail}: ages, deadlines and alerts are off by as much`,
    next: "on both machines: timedatectl set-ntp true",
  };
}

export function checkRoundTrip(roundTripMs: number | undefined): Check {
  const name = "round trip";
  if (roundTripMs === undefined)
    return { name, status: "missing", detail: "no answer to a ping", next: "look at the network in between" };
  const detail = `${ms(roundTripMs)} at best`;
  if (roundTripMs <= roundTripComfortableMs) return { name, status: "ok", detail };
  return {
    name,
    status: "warning",
    detail: `${detail}: an answer takes three of them`,
    next: "run the nodes nearer to the server",
  };
}

export function checkRights(role: Role, rights: RightsTried): Check {
  const name = "rights";
  if (rights.kind === "closed")
    return { name, status: "missing", detail: "the connection broke while they were tried", next: "type it again" };
  const { tried, denied } = rights;
  if (denied.length === 0)
    return { name, status: "ok", detail: `this user may do what ${article(role)} does (${tried} patterns tried)` };
  const listed = denied
    .slice(0, listedMax)
    .map(({ operation, pattern }) => `${operation === "publish" ? "publish to" : "subscribe to"} ${pattern}`);
  const more = denied.length > listedMax ? [`and ${denied.length - listedMax} more`] : [];
  return {
    name,
    status: "missing",
    detail: `this user may not do all that ${article(role)} does: ${[...listed, ...more].join(", ")}`,
    next: `connect as the ${role} user, or name another role with --role; driftmend auth init writes rights that fit`,
  };
}

function notTried(name: string, storing: Exclude<StoringTried, { kind: "stored" }>): Check {
  switch (storing.kind) {
    case "too_few_servers":
      return { name, status: "warning", detail: "not tried: the stream could not be made", next: "see replicas" };
    case "refused":
      return {
        name,
        status: "missing",
        detail: `no stream can be made: ${printable(storing.description)} (${storing.code})`,
        next: "see jetstream",
      };
    case "unavailable":
      return storing.why === "denied"
        ? {
            name,
            status: "warning",
            detail: "cannot be seen: this user may not make a stream",
            next: "ask as the user of the nodes",
          }
        : {
            name,
            status: "missing",
            detail: `nothing can be stored (${printable(storing.why)})`,
            next: "see jetstream",
          };
  }
}

function article(role: Role): string {
  return role === "operator" ? `an ${role}` : `a ${role}`;
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
