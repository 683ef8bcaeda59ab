// Which nodes are there, asked of everybody at once with the NATS service protocol (ADR-32).
//
// Owns: reading PING and INFO answers. Other services may answer on the same subject: whoever is not a node of this cluster is left out.
import type { Bus } from "../transport/bus/bus.js";
import { discovery, isToken, type Subjects } from "../transport/subjects.js";

/** Names of the nodes of this cluster, each once, sorted. */
export async function discoverNodes({
  bus,
  subjects,
}: {
  readonly bus: Bus;
  readonly subjects: Pick<Subjects, "cluster">;
}) {
  return [...(await discoverRoles(bus, subjects.cluster)).keys()].sort();
}

/** The nodes of this cluster and their roles; none for a node that does not say. */
export async function discoverRoles(bus: Bus, cluster: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const replies = await bus.requestMany(discovery.ping, new Uint8Array(0), { waitMs: bus.timeouts.discover });
  const roles = new Map<string, readonly string[]>();
  for (const { data } of replies) {
    const node = nodeIn(data, cluster);
    if (node !== undefined) roles.set(node, rolesIn(data));
  }
  return roles;
}

/** The node's name from the metadata of its PING answer `{metadata: {cluster, node}}`; undefined for anybody else's. */
export function nodeIn(data: Uint8Array, cluster: string): string | undefined {
  const metadata = field(parseJson(data), "metadata");
  const node = field(metadata, "node");
  return field(metadata, "cluster") === cluster && typeof node === "string" && isToken(node) ? node : undefined;
}

/** The roles in a PING answer's metadata `{role}`, commas between them. */
export function rolesIn(data: Uint8Array): readonly string[] {
  const role = field(field(parseJson(data), "metadata"), "role");
  return typeof role === "string" && role !== "" ? role.split(",") : [];
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
