// Known security holes of nats-server by version, and the judgement which of them a server has.
//
// Owns: the table (from the NATS project's advisories and the Go vulnerability database) and how versions are compared.
// Does not own: where a version comes from (server-binary.ts, bus.ts), what follows from a hole (listening.ts, the doctor).
//
// S1. A version that cannot be read is judged as the oldest: it has every hole that the oldest has.
// S2. A hole without `needs` is open to whoever may connect as any user; one with `needs` only where the server is configured for that.

export interface Hole {
  /** The CVE's number. */
  readonly id: string;
  /** What somebody could do, in one line. */
  readonly what: string;
  /** The first versions of each line that do not have it, as in "2.10.27, 2.11.1". */
  readonly fixedIn: string;
  /** What a server must be configured for to have it; left out where every server has it. The embedded server has none of these. */
  readonly needs?: string;
}

export interface ServerVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** A release candidate comes before its release. */
  readonly isPreview: boolean;
}

/** The oldest version that has no hole which any user could use. */
export const soundVersion = "2.11.16";

/** `from` is the first version that has it, `fixed` the first of the same line that has not. */
interface Range {
  readonly from: string;
  readonly fixed: string;
}
interface Entry extends Omit<Hole, "fixedIn"> {
  readonly ranges: readonly Range[];
}

const sinceEver = "0.0.0";

const entries: readonly Entry[] = [
  {
    id: "CVE-2022-24450",
    what: "any user may choose the account it is in, the system account included",
    ranges: [{ from: "2.0.0", fixed: "2.7.2" }],
  },
  {
    id: "CVE-2022-29946",
    what: "a queue subscription on a wildcard receives what the user is denied",
    ranges: [{ from: sinceEver, fixed: "2.8.2" }],
  },
  {
    id: "CVE-2023-47090",
    what: "connections without a password, where only the system account is given beside an authorization block",
    needs: "an authorization block beside accounts",
    ranges: [
      { from: "2.2.0", fixed: "2.9.23" },
      { from: "2.10.0", fixed: "2.10.2" },
    ],
  },
  {
    id: "CVE-2025-30215",
    what: "a user of JetStream's API purges other accounts' streams and removes servers from the cluster",
    ranges: [
      { from: "2.2.0", fixed: "2.10.27" },
      { from: "2.11.0", fixed: "2.11.1" },
    ],
  },
  {
    id: "CVE-2026-33222",
    what: "a user who may restore one stream restores any",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-33249",
    what: "a client has the server publish trace messages on subjects that the client may not publish on",
    ranges: [
      { from: "2.11.0", fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-58251",
    what: "a queue subscription passes a rule that denies the subject",
    ranges: [
      { from: sinceEver, fixed: "2.11.16" },
      { from: "2.12.0", fixed: "2.12.7" },
    ],
  },
  {
    id: "CVE-2026-58253",
    what: "routes and leaf nodes are let in without credentials",
    needs: "no_auth_user beside routes or leaf nodes",
    ranges: [
      { from: sinceEver, fixed: "2.11.16" },
      { from: "2.12.0", fixed: "2.12.7" },
    ],
  },
  {
    id: "CVE-2026-33248",
    what: "a client certificate passes for another user's",
    needs: "verify_and_map",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-33246",
    what: "a leaf node says of requests that they come from somebody else",
    needs: "leaf nodes",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-33218",
    what: "whoever reaches the port of leaf nodes ends the server",
    needs: "leaf nodes",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-33219",
    what: "whoever reaches the websocket port takes the server's memory",
    needs: "websockets",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-33217",
    what: "MQTT clients publish and subscribe where they may not",
    needs: "MQTT",
    ranges: [
      { from: sinceEver, fixed: "2.11.15" },
      { from: "2.12.0", fixed: "2.12.6" },
    ],
  },
  {
    id: "CVE-2026-58213",
    what: "an MQTT subscription carries commands into routes and leaf nodes",
    needs: "MQTT",
    ranges: [
      { from: sinceEver, fixed: "2.12.9" },
      { from: "2.14.0", fixed: "2.14.1" },
    ],
  },
  {
    id: "CVE-2026-58209",
    what: "retained MQTT messages are delivered to users who are denied them",
    needs: "MQTT",
    ranges: [
      { from: sinceEver, fixed: "2.12.12" },
      { from: "2.14.0", fixed: "2.14.3" },
    ],
  },
];

/** "v2.9.10", "2.11.16", "2.12.0-RC.1", and what `nats-server --version` prints; undefined for anything else. */
export function serverVersion(text: string): ServerVersion | undefined {
  const [, major, minor, patch, preview] = /(?:^|\bv|\s)(\d{1,4})\.(\d{1,4})\.(\d{1,4})(-[\w.]+)?\s*$/.exec(text) ?? [];
  if (major === undefined) return undefined;
  return { major: Number(major), minor: Number(minor), patch: Number(patch), isPreview: preview !== undefined };
}

/** The holes of a server of this version; `version` as the server says it. */
export function knownHoles(version: string): readonly Hole[] {
  const found = serverVersion(version) ?? { major: 0, minor: 0, patch: 0, isPreview: true };
  const isOldest = found.major === 0;
  return entries
    .filter(({ ranges }) => isOldest || ranges.some((range) => isWithin(found, range)))
    .map(({ ranges, ...hole }) => ({ ...hole, fixedIn: ranges.map(({ fixed }) => fixed).join(", ") }));
}

/** Those that any user of a server could use, whatever it is configured for: why it should not be reached over a network. */
export function openHoles(version: string): readonly Hole[] {
  return knownHoles(version).filter(({ needs }) => needs === undefined);
}

function isWithin(version: ServerVersion, { from, fixed }: Range): boolean {
  const first = serverVersion(from);
  const good = serverVersion(fixed);
  if (first === undefined || good === undefined) throw new Error(`no version: ${from}, ${fixed}`);
  const past = compare(version, good);
  return compare(version, first) >= 0 && (past < 0 || (past === 0 && version.isPreview));
}

function compare(a: ServerVersion, b: ServerVersion): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}
