// Connections of the simulation to the cluster that it plays with.
//
// Owns: whose rights they have. Does not own: the users (transport/access/credentials.ts).

import type { Clock } from "../models/clock.js";
import { accessAs, type ClusterContext, type ContextRole } from "../transport/access/context.js";
import { type Bus, connectBus } from "../transport/bus/bus.js";

/** `name` is what the server's logs call it. A cluster without users asks nobody who he is. */
export function connectAs(context: ClusterContext, role: ContextRole, name: string, clock: Clock): Promise<Bus> {
  return connectBus({ ...accessAs(context, role), name, clock });
}
