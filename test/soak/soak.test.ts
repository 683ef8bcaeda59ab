// The short soak: everything is killed, under load, on a real cluster, and every invariant holds.
//
// Substrate: startLocalCluster with an embedded broker in a temporary store, faults as operators make them. Bounds on time are those of
// waits inside the soak; nothing here depends on how fast the machine is.

import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { startLocalCluster } from "../../operations/cluster/local-cluster.js";
import { renderSoak, reportOf } from "../../sim/soak/report.js";
import { runSoak } from "../../sim/soak/soak.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import { driftingDigits } from "../cluster/pictures.js";
import { entry, folder, model, temporaryStore } from "../cluster/running.js";

const seed = 3;
const counts = { actorKills: 60, nodeKills: 5, stops: 2, brokerKills: 2 };
const searchPath = process.env.PATH ?? "";

test.serial(
  "a soak of kills on actors, nodes and the broker: nothing lost, nothing learned twice, parameters equal bit for bit " +
    "(S0-27, S0-34, S0-39, S0-43 to S0-47, S2-16, S2-39, S2-48, S2-55)",
  async (t) => {
    t.timeout(300_000);
    const store = await temporaryStore();
    t.teardown(() => rm(store, { recursive: true, force: true }));
    const output = openSync(join(store, "nodes.log"), "a", 0o600);
    t.teardown(() => closeSync(output));
    const cluster = { cluster: "driftmend", serving: 1, models: [folder], store, searchPath, entry, output };
    const log = openLogger("silent", { process: "root" });
    const result = await runSoak(
      { ...counts, seed, rate: 40, calmMs: 1_000, model, folder, store, searchPath, run: "short" },
      {
        start: (onEvent) =>
          startLocalCluster(
            { ...cluster, env: { PATH: searchPath } },
            { clock, random: seededRandom(seed), log, onEvent },
          ),
        samples: driftingDigits(seed),
        clock,
        signal: new AbortController().signal,
        onProgress: () => undefined,
      },
    );
    const report = reportOf(result, counts);
    t.log(renderSoak(report));
    t.deepEqual(result.violations, []);
    t.deepEqual(result.struck.missed, []);
    t.deepEqual(report.faults.struck, counts);
    t.true(
      report.requests.answered > 0 && report.log.tasks > 0 && report.log.version > 0,
      "there was something to lose",
    );
    t.true(report.nodes.deaths >= counts.nodeKills);
    t.true(report.actors.receipts >= counts.actorKills);
    t.not(report.updateDipMs.p50, null);
  },
);
