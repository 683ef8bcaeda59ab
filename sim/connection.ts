// Connections of the simulation to the cluster that it plays with.
//
// Owns: whose rights they have. Does not own: the users (transport/credentials.ts).

import type { Clock } from "../models/clock.js";
import { type Bus, connectBus } from "../transport/bus.js";
import type { ClusterContext } from "../transport/context.js";
import { inboxPrefixOf } from "../transport/subjects.js";

/** `name` is what the server's logs call it. A cluster without users asks nobody who he is. */
export function connectAs(
  { natsUrl, users }: ClusterContext,
  role: keyof ClusterContext["users"],
  name: string,
  clock: Clock,
): Promise<Bus> {
  const { user, password } = users[role];
  const rights = user === "" ? {} : { user, password, inboxPrefix: inboxPrefixOf(user) };
  return connectBus({ url: natsUrl, name, clock, ...rights });
}
