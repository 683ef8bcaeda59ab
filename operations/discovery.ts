// Which nodes are there, asked of everybody at once with the NATS service protocol (ADR-32).
//
// Owns: reading PING answers. Other services may answer on the same subject: whoever is not a node of this cluster is left out.
import type { DriftmendClient } from "../transport/client.js";
import { discovery, isToken } from "../transport/subjects.js";

/** Names of the nodes of this cluster, each once, sorted. */
export async function discoverNodes(client: Pick<DriftmendClient, "bus" | "subjects">): Promise<readonly string[]> {
  const replies = await client.bus.requestMany(discovery.ping, new Uint8Array(0), {
    waitMs: client.bus.timeouts.discover,
  });
  const names = replies.map(({ data }) => nodeIn(data, client.subjects.cluster)).filter((name) => name !== undefined);
  return [...new Set(names)].sort();
}

/** The node's name from the metadata of its PING answer `{metadata: {cluster, node}}`; undefined for anybody else's. */
export function nodeIn(data: Uint8Array, cluster: string): string | undefined {
  const metadata = field(parseJson(data), "metadata");
  const node = field(metadata, "node");
  return field(metadata, "cluster") === cluster && typeof node === "string" && isToken(node) ? node : undefined;
}

/** Names of the endpoints in an INFO answer of a node of this cluster: the models it serves; none of anybody else's. */
export function endpointsIn(data: Uint8Array, cluster: string): readonly string[] {
  if (nodeIn(data, cluster) === undefined) return [];
  const endpoints = field(parseJson(data), "endpoints");
  if (!Array.isArray(endpoints)) return [];
  return endpoints.map((each) => field(each, "name")).filter((name) => typeof name === "string");
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}
