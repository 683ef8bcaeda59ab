// Every strategy, restart type and exit reason in one table: who is stopped, who is started, in which order. Substrate: real trees.

import test from "ava";
import type { RestartType, Strategy } from "../../supervision/tree/strategies.js";
import { actor, smallTree } from "./small-tree.js";

const strategies = ["one_for_one", "rest_for_one", "one_for_all"] as const;
const restarts = ["permanent", "transient", "temporary"] as const;
const exits = ["normal", "crash", "kill", "hang"] as const;
type Exit = (typeof exits)[number];

/** Source: OTP's supervisor. `exit` of a hang and a kill are abnormal, like a crash. */
function isRestarted(restart: RestartType, exit: Exit): boolean {
  return restart === "permanent" || (restart === "transient" && exit !== "normal");
}

/** What happens to a, b, c, d when b ends; b has ended by itself before anything else. */
function expected(strategy: Strategy, restart: RestartType, exit: Exit): string[] {
  if (!isRestarted(restart, exit)) return ["stop b"];
  switch (strategy) {
    case "one_for_one":
      return ["stop b", "init b 2"];
    case "rest_for_one":
      return ["stop b", "stop d", "stop c", "init b 2", "init c 2", "init d 2"];
    case "one_for_all":
      return ["stop b", "stop d", "stop c", "stop a", "init a 2", "init b 2", "init c 2", "init d 2"];
    default:
      return strategy satisfies never;
  }
}

for (const strategy of strategies)
  for (const restart of restarts)
    for (const exit of exits)
      test(`${strategy}, a ${restart} child ends by ${exit} (S0-39)`, async (t) => {
        const lines: string[] = [];
        const watched = (id: string, spec: { readonly restart?: RestartType; readonly turnMaxMs?: number } = {}) =>
          actor<"go" | "wait">(
            id,
            {
              init: ({ incarnation }) => void lines.push(`init ${id} ${incarnation}`),
              receive: (_state, message, turn) => {
                if (message === "wait")
                  return new Promise((resolve) => turn.signal.addEventListener("abort", () => resolve()));
                turn.exit();
                return undefined;
              },
              stop: () => void lines.push(`stop ${id}`),
            },
            { maxDeliver: 1, ...spec },
          );
        const { tree, events } = await smallTree(
          [watched("a"), watched("b", { restart, turnMaxMs: 5 }), watched("c"), watched("d")],
          { strategy },
        );
        lines.length = 0;
        if (exit === "normal") tree.ref<string>("b").tell("go");
        else if (exit === "hang") tree.ref<string>("b").tell("wait");
        else void tree.kill("b", exit);
        const last = expected(strategy, restart, exit).at(-1)?.split(" ") ?? [];
        if (last[0] === "init") await events.started(last[1] ?? "", 2);
        else await events.until(({ kind, path }) => kind === "retired" && path === "b");
        t.deepEqual(lines, expected(strategy, restart, exit));
        t.deepEqual(
          tree.tree().children.map(({ name, state }) => `${name} ${state}`),
          ["a running", isRestarted(restart, exit) ? "b running" : "b stopped", "c running", "d running"],
        );
        await tree.stop();
      });

test("a temporary sibling that is stopped with the others is not started with them", async (t) => {
  const { tree, events } = await smallTree([actor("a"), actor("b", {}, { restart: "temporary" }), actor("c")], {
    strategy: "one_for_all",
  });
  void tree.kill("a", "crash");
  await events.started("c", 2);
  t.deepEqual(
    tree.tree().children.map(({ name, state }) => `${name} ${state}`),
    ["a running", "b stopped", "c running"],
  );
  await tree.stop();
});
