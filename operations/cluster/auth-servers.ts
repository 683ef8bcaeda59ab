// The NATS servers' own config files: one to start from where there is one server, and one for each of several that form a cluster.
//
// Owns: what is in them beside users and rights. Does not own: users (auth-files.ts), how the text of a block is written
// (transport/server/server-config.ts), what the figures are good for (docs/clusters.md).
//
// S1. A server whose address is loopback's listens there and nowhere else.
// S2. Whoever speaks to the route port of a server is a server: nobody's rights are looked at there. So it asks for a password that only
//     the servers have, and where the servers have TLS, for a certificate of their authority.

import { randomBytes } from "node:crypto";
import type { ServerTls } from "../../transport/access/tls-files.js";
import { serversIn } from "../../transport/bus/server-list.js";
import { renderRouteTls } from "../../transport/server/server-config.js";
import { isLoopback } from "../http/http-address.js";

export interface ServerFile {
  readonly name: string;
  readonly what: string;
  readonly text: string;
}

export interface ServersPlan {
  readonly cluster: string;
  /** Of all servers, as clients are given it. */
  readonly natsUrl: string;
  readonly tls: ServerTls | undefined;
  /** To be included: users and rights. */
  readonly accountsFile: string;
}

interface Place {
  /** As in an address: brackets around IPv6. */
  readonly host: string;
  readonly port: number;
}

/** What large requests need; the servers' own default is an eighth of it. */
const payloadMax = "8MB";
const usualPort = 4_222;
/** The usual distance: 4222 for clients, 6222 for servers. */
const routeDistance = 2_000;
const secretBytes = 24;

/** Fresh secrets each time. */
export function serverFiles(plan: ServersPlan): readonly ServerFile[] {
  const places = serversIn(plan.natsUrl).map(placeOf);
  const [only, ...more] = places;
  if (only !== undefined && more.length === 0) {
    const text = [...headText(plan, 1, "./jetstream", only), include(plan)].join("\n");
    return [{ name: "server.conf", what: "a server that includes it, to start from", text }];
  }
  const secret = randomBytes(secretBytes).toString("base64url");
  return places.map((place, index) => ({
    name: `server-${index + 1}.conf`,
    what: `the server at ${place.host}:${place.port}; it includes the users`,
    text: [
      ...headText(plan, index + 1, `./jetstream-${index + 1}`, place),
      ...clusterText(plan, places, place, secret),
      include(plan),
    ].join("\n"),
  }));
}

function placeOf(url: string): Place {
  const { hostname: host, port } = new URL(url);
  return { host, port: port === "" ? usualPort : Number(port) };
}

function headText({ cluster }: ServersPlan, number: number, store: string, place: Place) {
  return [
    `server_name: "${cluster}-${number}"`,
    `listen: "${listenAt(place)}:${place.port}"`,
    `max_payload: ${payloadMax}`,
    `jetstream { store_dir: "${store}" }`,
  ];
}

/** A name on a network may be an address that the machine does not know itself, as behind a translation. */
function listenAt({ host }: Place): string {
  return host === "localhost" ? "127.0.0.1" : isLoopback(host) ? host : "0.0.0.0";
}

function clusterText({ cluster, tls }: ServersPlan, places: readonly Place[], own: Place, secret: string) {
  const route = ({ host, port }: Place): string => `${host}:${port + routeDistance}`;
  const routes = places.map((place) => `    "nats-route://route:${secret}@${route(place)}"`);
  return [
    `client_advertise: "${own.host}:${own.port}"`,
    "# A cut cable closes no connection: without these a route that leads nowhere is used for up to four minutes more.",
    'ping_interval: "1s"',
    "ping_max: 2",
    'write_deadline: "2s"',
    "cluster {",
    `  name: "${cluster}"`,
    `  listen: "${listenAt(own)}:${own.port + routeDistance}"`,
    `  cluster_advertise: "${route(own)}"`,
    `  authorization { user: "route", password: "${secret}", timeout: 5 }`,
    "  routes: [",
    ...routes,
    "  ]",
    ...(tls === undefined ? [] : [renderRouteTls(tls, "  ")]),
    "}",
  ];
}

function include({ accountsFile }: ServersPlan): string {
  return `include "./${accountsFile}"\n`;
}
