// Where the HTTP interface listens: what a person may say to `--http`, and which port it becomes.
//
// Owns: the spelling, the default, the choice of a free port. Does not own: listening (server.ts).
//
// The root chooses once and tells its operations node the port, so that every incarnation of it is found at the same address.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";

export interface HttpAddress {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

const httpDefault: HttpAddress = { host: "127.0.0.1", port: 7480 };

export type ReadAddress =
  | { readonly kind: "address"; readonly address: HttpAddress }
  | { readonly kind: "refused"; readonly message: string };

/** "7480", "0", "127.0.0.1:7480", "[::1]:0", "some.host:80". A port alone is loopback's. */
export function parseHttpAddress(text: string): ReadAddress {
  const [, host = httpDefault.host, digits = ""] =
    /^(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*))?:)?(\d{1,5})$/.exec(text)?.filter((_, at) => at !== 2) ?? [];
  const port = Number(digits);
  if (digits === "" || port > 65_535)
    return { kind: "refused", message: "Give PORT or HOST:PORT, as in 7480, 0.0.0.0:7480 or 0 for any free port." };
  return { kind: "address", address: { host: bare(host), port } };
}

/** As `node --http` takes it. */
export function addressText({ host, port }: HttpAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** A host's name or address, brackets of IPv6 included. */
export function isLoopback(name: string): boolean {
  return name === "localhost" || name === "[::1]" || name === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

export function reachOf({ host }: HttpAddress): "loopback" | "network" {
  return isLoopback(host) ? "loopback" : "network";
}

/** How it is reached; of an address that stands for all of this machine's, the first that other machines see. */
export function urlOf({ host, port }: HttpAddress, outward: () => string | undefined = firstOutward): string {
  const isAny = host === "0.0.0.0" || host === "::";
  return `http://${addressText({ host: isAny ? (outward() ?? httpDefault.host) : host, port })}`;
}

function firstOutward(): string | undefined {
  return Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;
}

/** The wanted port is somebody else's: whoever chose it must choose another. */
export class HttpPortError extends Error {
  override readonly name = "HttpPortError";
  constructor(address: HttpAddress, why: string) {
    super(`--http ${addressText(address)}: ${why}; give another one, --http 0 for any free port, or --no-http`);
  }
}

export type Tried =
  | { readonly kind: "free"; readonly port: number }
  | { readonly kind: "refused"; readonly why: string };

/** Undefined as a wish: the default, or any free port where that is taken. Throws HttpPortError when what was asked for cannot be had. */
export async function chooseAddress(
  wish: HttpAddress | undefined,
  tryPort: (address: HttpAddress) => Promise<Tried> = tryListening,
): Promise<HttpAddress> {
  const wanted = wish ?? httpDefault;
  const tried = await tryPort(wanted);
  if (tried.kind === "free") return { ...wanted, port: tried.port };
  const other = wish === undefined ? await tryPort({ ...wanted, port: 0 }) : tried;
  if (other.kind === "refused") throw new HttpPortError(wanted, other.why);
  return { ...wanted, port: other.port };
}

/**
 * Listens for a moment, and claims the port from then on: two roots that start at the same moment would both find it free before one of
 * their nodes listens, and the page of one would be the other's. The claim is the UDP port of the same number, which nothing else here
 * uses; it is held until this process ends, however it ends.
 */
async function tryListening({ host, port }: HttpAddress): Promise<Tried> {
  for (let tries = 1; ; tries += 1) {
    const tried = await listenOnce({ host, port });
    if (tried.kind === "refused" || (await claim(tried.port))) return tried;
    if (port !== 0 || tries === triesMax) return { kind: "refused", why: "another cluster has this port" };
  }
}

const triesMax = 20;

async function listenOnce({ host, port }: HttpAddress): Promise<Tried> {
  const server = createServer();
  const failed = once(server, "error").then(([error]: unknown[]): Tried => ({ kind: "refused", why: whyNot(error) }));
  const listening = new Promise<Tried>((resolve) => {
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      resolve({ kind: "free", port: typeof address === "object" && address !== null ? address.port : port });
    });
  });
  const tried = await Promise.race([failed, listening]);
  if (tried.kind === "free") await new Promise((resolve) => server.close(resolve));
  return tried;
}

/** False when another process has claimed it. */
function claim(port: number): Promise<boolean> {
  const socket = createSocket("udp4").unref();
  return new Promise((resolve) => {
    socket.once("error", () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ address: httpDefault.host, port, exclusive: true }, () => resolve(true));
  });
}

/** In words, from the error of a listener. */
export function whyNot(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return "this port is taken";
  if (code === "EACCES") return "this port needs more rights than this process has";
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return "this machine has no such address";
  return error instanceof Error ? error.message : String(error);
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
