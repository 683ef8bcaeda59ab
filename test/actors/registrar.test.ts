// The registrar in a real tree: it reads the registry, follows it, and tidies behind itself. The registry and the roster are told what to say.

import test from "ava";
import { type RegistrarDeps, registrar } from "../../actors/host/registrar.js";
import { startTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { LoggedModelRecord, Standings } from "../../transport/log/model-records.js";
import type { StandingsOutcome } from "../../transport/log/model-registry.js";
import { actor, depsWith, EventLog, generous } from "../supervision/small-tree.js";

const purged = (name: string, seq: number): LoggedModelRecord => ({
  seq,
  name,
  record: { kind: "purged", name, atMs: 1 },
});

async function scene(
  over: {
    readonly read?: () => StandingsOutcome;
    readonly has?: (model: string) => boolean;
    readonly tidies?: boolean;
  } = {},
) {
  const clock = new VirtualClock();
  const said: string[] = [];
  const records: LoggedModelRecord[] = [];
  const follows: number[] = [];
  let wake: () => void = () => undefined;
  const deps: RegistrarDeps = {
    registry: {
      standings: async () => over.read?.() ?? { kind: "standings", standings: new Map(), nextSeq: 4 },
      follow: async function* (fromSeq, signal) {
        follows.push(fromSeq);
        while (!signal.aborted) {
          yield* records.splice(0);
          await new Promise<void>((resolve) => {
            wake = resolve;
            signal.addEventListener("abort", () => resolve(), { once: true });
          });
        }
      },
      sweep: async () => {
        said.push("sweep");
        return 0;
      },
      purgeLog: async (name) => {
        said.push(`purge ${name}`);
        return { kind: "purged" };
      },
    },
    roster: {
      follow: (standings: Standings) => void said.push(`follow ${[...standings.keys()].join()}`),
      tick: () => undefined,
      has: over.has ?? (() => false),
      summary: () => ({ models: [] }),
    },
    tidies: over.tidies ?? true,
    tickMs: 1_000,
    sweepEveryMs: 60_000,
  };
  const behaviour = () => registrar(deps);
  const children = [{ ...actor("registrar"), behaviour }];
  const opening = startTree(
    { id: "top", strategy: "one_for_one", intensity: generous, children },
    { ...depsWith(new EventLog()), clock },
  );
  await clock.advance(1_000);
  const tree = await opening;
  const tell = async (record: LoggedModelRecord): Promise<void> => {
    records.push(record);
    wake();
    await clock.advance(0);
  };
  const end = async (): Promise<void> => {
    const stopping = tree.stop();
    await clock.advance(10_000);
    await stopping;
  };
  return { clock, said, follows, tree, tell, end };
}

test("every incarnation reads the registry from its beginning, then follows it from there", async (t) => {
  const { said, follows, tell, tree, clock, end } = await scene();
  await tell(purged("mail", 4));
  t.true(said.includes("follow mail"));
  const killing = tree.kill("registrar", "crash");
  await clock.advance(1_000);
  await killing;
  t.deepEqual(follows, [4, 4]);
  await end();
});

test("a broker that is away is waited for: no restart is spent on it", async (t) => {
  let tries = 0;
  const read = (): StandingsOutcome => {
    tries += 1;
    return tries < 4
      ? { kind: "unavailable", why: "timeout" }
      : { kind: "standings", standings: new Map(), nextSeq: 1 };
  };
  const { tree, end } = await scene({ read });
  t.is(tree.tree().children[0]?.restarts, 0);
  t.is(tries, 4);
  await end();
});

test("an operations node purges a log once its model is gone from it, once; never one of a model that it has", async (t) => {
  const here = new Set(["digits", "mail"]);
  const { said, tell, clock, end } = await scene({ has: (model) => here.has(model) });
  await tell(purged("mail", 4));
  await tell(purged("digits", 5));
  await clock.advance(3_000);
  const purges = (): string[] => said.filter((each) => each.startsWith("purge"));
  t.deepEqual(purges(), [], "both are still here");
  here.delete("mail");
  await clock.advance(3_000);
  t.deepEqual(purges(), ["purge mail"]);
  t.is(said.filter((each) => each === "sweep").length, 1, "and pieces are swept once a minute");
  await end();
});

test("other nodes tidy nothing", async (t) => {
  const { said, tell, clock, end } = await scene({ tidies: false });
  await tell(purged("mail", 4));
  await clock.advance(5_000);
  t.deepEqual([...new Set(said)], ["follow ", "follow mail"]);
  await end();
});
