// The guardrails of a running cluster, as an operator sees and sets them.

import test from "ava";
import { clusterSettingsOf, nodeFlagsOf } from "../../operations/cluster/cluster-settings.js";
import { easyDigits, hardDigits, tensorOf } from "./pictures.js";
import { ask } from "./program.js";
import { Heard, settledCommit, startRunning } from "./running.js";

interface Shown {
  readonly name: string;
  readonly value: number;
  readonly set: string;
  readonly acted: number | null;
}

test("(S2-53) a tightened guardrail acts in the running cluster, is counted, and is listed with all the others", async (t) => {
  t.timeout(180_000);
  const given = { guardrail: { klLimit: 1e-9 }, timeout: { append: 2_000 } };
  const settings = { nodeFlags: nodeFlagsOf(given), context: clusterSettingsOf(given) };
  const running = await startRunning({ settings });
  t.teardown(() => running.stop());
  const guardrails = async (): Promise<readonly Shown[]> => {
    const { guardrails: shown } = (await ask(running.store, "guardrails", "digits")) as {
      guardrails: readonly Shown[];
    };
    return shown;
  };
  t.deepEqual(
    (await guardrails()).map(({ name, set, acted }) => [name, set, acted]),
    [
      ["klLimit", "tighter", 0],
      ["klWeight", "as shipped", null],
      ["clipNorm", "as shipped", 0],
      ["restore", "as shipped", 0],
      ["ema", "as shipped", 0],
      ["anchorLossMax", "as shipped", 0],
    ],
  );
  const updates = await Heard.on(running.operator, running.subjects.event("update"));
  const pictures = [...(await easyDigits(100)), ...(await hardDigits(8))];
  for (const { ink } of pictures) await running.client.infer("digits", tensorOf(ink), { deadlineMs: 60_000 });
  await updates.find("a step that was refused", ({ items }) => items.some(({ guard }) => guard === "kl"));
  await settledCommit(running);
  const [kl, , , restore] = await guardrails();
  t.true((kl?.acted ?? 0) > 0, "it refused");
  t.is(restore?.acted, 0, "and nothing was applied");
  const { settings: told } = (await ask(running.store, "config")) as { settings: readonly { name: string }[] };
  t.like(
    told.find(({ name }) => name === "klLimit"),
    { value: "1e-9", from: "cluster" },
  );
  t.like(
    told.find(({ name }) => name === "append"),
    { value: 2_000, from: "cluster" },
  );
  t.like(
    await ask(running.store, "replay", "digits", "--verify"),
    { equal: true },
    "the verbs fold with the same settings",
  );
  updates.stop();
});
