// Where a server that is started for a cluster listens, and whether it may: beyond this machine only without known holes and with TLS.
//
// Owns: these two refusals, the checks of the certificates before anything runs, the name by which this machine's processes reach it.
// Does not own: the table of holes (transport/server/server-holes.ts), the server (transport/server/broker.ts), what a person types (verbs/flags.ts).

import { hostname } from "node:os";
import { resolve } from "node:path";
import {
  checkTls,
  isSignedBy,
  nameCovered,
  type ServerTls,
  type Tls,
  trustOf,
} from "../../transport/access/tls-files.js";
import { openHoles, soundVersion } from "../../transport/server/server-holes.js";
import { type HttpAddress as Address, addressText, isLoopback } from "../http/http-address.js";

export interface ListeningOptions {
  /** Loopback and any free port when left out. */
  readonly listen?: Address;
  readonly tls?: ServerTls;
  /** For a server that asks its clients for certificates: what this machine's own processes show. */
  readonly own?: Pick<Tls, "certFile" | "keyFile">;
  /** Beyond loopback in spite of them. */
  readonly acceptKnownHoles?: boolean;
  /** Beyond loopback without TLS. */
  readonly plaintext?: boolean;
}

/** What the broker is started with. */
export interface Listening {
  readonly host?: string;
  readonly port?: number;
  readonly reach?: string;
  readonly tls?: ServerTls;
  readonly trust?: Tls;
}

/** How the server is to listen, or is reached, cannot be: whoever typed it must change a flag. */
export class AccessError extends Error {
  override readonly name = "AccessError";
  readonly next: string;
  constructor(message: string, next: string) {
    super(message);
    this.next = next;
  }
}

const holesNamed = 3;
const everywhere: readonly string[] = ["0.0.0.0", "::"];

/** Why not, and what to type; undefined when it may. `version` as the server says it. */
export function refusalOf(
  { listen, tls, acceptKnownHoles = false, plaintext = false }: ListeningOptions,
  version: string,
): { readonly message: string; readonly next: string } | undefined {
  if (listen === undefined || isLoopback(listen.host)) return undefined;
  const where = `--listen ${addressText(listen)} is beyond loopback`;
  const holes = openHoles(version);
  if (holes.length > 0 && !acceptKnownHoles) {
    const [first] = holes.slice(-1);
    const named = holes.slice(-holesNamed).map(({ id }) => id);
    return {
      message: `${where}, and ${namedVersion(version)} has ${holes.length} known holes that any user can use (${named.join(", ")}: ${first?.what})`,
      next: `install nats-server ${soundVersion} or newer (--nats-server FILE), or accept them: --accept-known-holes`,
    };
  }
  if (tls === undefined && !plaintext)
    return {
      message: `${where}, where passwords and data can be read on the way`,
      next: "give --tls-cert FILE and --tls-key FILE, or accept it: --plaintext",
    };
  return undefined;
}

function namedVersion(version: string): string {
  return version === ""
    ? "a nats-server that does not say its version"
    : version.replace("nats-server:", "nats-server");
}

/** Throws AccessError. `nowMs` is the wall clock. */
export async function prepareListening(options: ListeningOptions, version: string, nowMs: number): Promise<Listening> {
  const refusal = refusalOf(options, version);
  if (refusal !== undefined) throw new AccessError(refusal.message, refusal.next);
  const { listen, tls, own } = options;
  const place = listen === undefined ? {} : { host: listen.host, ...(listen.port === 0 ? {} : { port: listen.port }) };
  if (tls === undefined) return place;
  const flaw = (await checkTls(tls, nowMs)) ?? (await chainFlaw(tls));
  if (flaw !== undefined) throw new AccessError(`--tls-cert, --tls-key, --tls-ca: ${flaw}`, checkIt);
  const caFile = await trustOf(tls);
  const reach = await reachOf(tls, listen?.host);
  // Where the server asks for certificates, its own is what the cluster's processes show, unless they were given one.
  const shown = tls.verify === true ? (own ?? { certFile: tls.certFile, keyFile: tls.keyFile }) : {};
  const trust = { ...(caFile === undefined ? {} : { caFile }), ...shown };
  return { ...place, reach, tls: absolute(tls), trust: absolute(trust) };
}

const checkIt = "docs/security.md shows how to make certificates with openssl";

async function chainFlaw({ certFile, caFile, verify }: ServerTls): Promise<string | undefined> {
  if (caFile === undefined)
    return verify === true ? "--tls-verify needs the authority of the clients: --tls-ca FILE" : undefined;
  return (await isSignedBy(certFile, caFile)) ? undefined : `${certFile} is not signed by ${caFile}`;
}

async function reachOf({ certFile }: ServerTls, host: string | undefined): Promise<string> {
  const here = ["127.0.0.1", "localhost"];
  const isAny = host !== undefined && everywhere.includes(host);
  const names = host === undefined || isLoopback(host) ? here : isAny ? [...here, hostname()] : [host];
  const covered = await nameCovered(certFile, names);
  if (covered !== undefined) return covered;
  throw new AccessError(
    `--tls-cert ${certFile} is for none of ${names.join(", ")}, by which this machine's nodes reach the server`,
    `make one with subjectAltName=IP:127.0.0.1 beside its other names; ${checkIt}`,
  );
}

/** Other processes have other working directories. */
function absolute<T extends Tls>(files: T): T {
  const named = (["caFile", "certFile", "keyFile"] as const).flatMap((name) => {
    const file = files[name];
    return file === undefined ? [] : [[name, resolve(file)] as const];
  });
  return { ...files, ...Object.fromEntries(named) };
}
