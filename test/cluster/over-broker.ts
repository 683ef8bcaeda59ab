// A cluster over a broker that the test itself keeps: so the test can write to the log's streams, and take the broker away.

import type { LocalClusterOptions } from "../../operations/cluster/local-cluster-options.js";
import type { Cluster } from "../transport/fixture.js";
import { type Running, startRunning } from "./running.js";

export function startOver(
  { broker, credentials }: Cluster,
  options: Partial<Pick<LocalClusterOptions, "logMaxBytes">> = {},
): Promise<Running> {
  const { client, telemetry, operator, node } = credentials;
  return startRunning({ nats: { url: broker.url, ...node }, ...options }, { client, telemetry, operator });
}
