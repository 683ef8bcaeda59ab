// A cluster over a broker that the test itself keeps: so the test can write to the log's streams, and take the broker away.

import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { seededRandom } from "../../models/clock.js";
import { startLocalCluster } from "../../operations/local-cluster.js";
import type { LocalClusterOptions } from "../../operations/local-cluster-options.js";
import { systemClock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import type { Cluster } from "../transport/fixture.js";
import { entry, folder, lookAt, type Running, temporaryStore } from "./running.js";

export async function startOver(
  own: Cluster,
  options: Partial<Pick<LocalClusterOptions, "logMaxBytes">> = {},
): Promise<Running> {
  const store = await temporaryStore();
  const searchPath = process.env.PATH ?? "";
  const output = openSync(join(store, "nodes.log"), "a", 0o600);
  const cluster = await startLocalCluster(
    {
      cluster: "driftmend",
      serving: 1,
      models: [folder],
      store,
      searchPath,
      entry,
      env: { PATH: searchPath },
      output,
      nats: { url: own.broker.url, ...own.credentials.node },
      ...options,
    },
    { clock: systemClock, random: seededRandom(7), log: openLogger("silent", { node: "root" }) },
  );
  const { client, telemetry, operator } = own.credentials;
  const sight = await lookAt({ ...cluster.context, users: { client, telemetry, operator } });
  return {
    ...sight,
    cluster,
    store,
    stop: async () => {
      await sight.close();
      await cluster.stop();
      closeSync(output);
      await rm(store, { recursive: true, force: true });
    },
  };
}
