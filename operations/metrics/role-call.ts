// What the nodes of a cluster do, asked of all at once by service discovery (NATS ADR-32).
//
// Owns: reading the answers. Other services answer on the same subject: whoever is not a node of this cluster is left out.

import { z } from "zod";
import type { Bus } from "../../transport/bus/bus.js";
import { discovery } from "../../transport/subjects.js";

const pingSchema = z.object({ metadata: z.object({ cluster: z.string(), node: z.string(), role: z.string() }) });
const decoder = new TextDecoder();

/** Roles by node. */
export async function callRoles(bus: Bus, cluster: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const replies = await bus.requestMany(discovery.ping, new Uint8Array(0), { waitMs: bus.timeouts.discover });
  const roles = new Map<string, readonly string[]>();
  for (const { data } of replies) {
    const ping = pingIn(data);
    if (ping?.cluster === cluster) roles.set(ping.node, ping.role.split(","));
  }
  return roles;
}

function pingIn(data: Uint8Array): z.infer<typeof pingSchema>["metadata"] | undefined {
  try {
    return pingSchema.safeParse(JSON.parse(decoder.decode(data))).data?.metadata;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
