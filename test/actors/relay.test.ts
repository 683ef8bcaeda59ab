// The relay: the experience log is the outbox, and no task that it asks for is lost.

import test from "ava";
import type { RelayMessage } from "../../actors/messages.js";
import { type RelayDeps, relay } from "../../actors/relay.js";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceRecord, UpdateTask } from "../../models/experience.js";
import type { ActorTree } from "../../supervision/system.js";
import { answersOf, labelFor, smallSubject, taskFor } from "../models/small-world.js";
import { deferred, smallTree } from "../supervision/small-tree.js";
import { MemoryLog } from "./memory-log.js";
import { recorded, settle, subjects } from "./small-node.js";

interface Scene {
  readonly tree: ActorTree;
  readonly tasks: MemoryLog<UpdateTask>;
  readonly around: ReturnType<typeof recorded>;
  tell(...tasks: readonly UpdateTask[]): void;
}

async function scene(deps: Partial<RelayDeps> = {}, tasks = new MemoryLog<UpdateTask>()): Promise<Scene> {
  const around = recorded();
  const given: RelayDeps = {
    newestRecords: async function* () {
      yield* [];
    },
    publish: async (task, id) => tasks.append(id, task),
    telemetry: around.telemetry,
    ...deps,
  };
  const { tree } = await smallTree([{ id: "relay", restart: "permanent", behaviour: () => relay(given) }]);
  const tell: Scene["tell"] = (...told) => {
    tree.ref<RelayMessage>("relay").tell({ kind: "tasks", tasks: told });
  };
  return { tree, tasks, around, tell };
}

/** Rows 0 and 2 of the first record, and row 1 of the third, ask for a task. */
function outbox(): readonly { readonly seq: number; readonly record: ExperienceRecord | undefined }[] {
  const record = answersOf(smallSubject(), [0, 1, 2], seededRandom(1));
  return [
    { seq: 5, record: { ...record, learn: new Uint8Array([1, 0, 1]) } },
    { seq: 6, record: labelFor({ seq: 5, index: 0 }, 1) },
    { seq: 7, record: undefined },
    { seq: 8, record: { ...record, learn: new Uint8Array([0, 1, 0]) } },
  ];
}

test("(S0-1) each task is published once, its position is its message id", async (t) => {
  const { tree, tasks, around, tell } = await scene();
  const [one, two] = [taskFor({ seq: 3, index: 0 }), taskFor({ seq: 3, index: 2 })];
  tell(one, two);
  tell(one);
  await around.bus.until(subjects.event("update_enqueued"));
  await settle();
  t.deepEqual(tasks.ids, ["3.0", "3.2"]);
  t.deepEqual(tasks.entries, [one, two]);
  await tree.stop();
});

test("after a crash between append and publication, the next incarnation publishes what the log asks for", async (t) => {
  const { tree, tasks } = await scene({
    newestRecords: async function* () {
      yield* outbox();
    },
  });
  t.deepEqual(tasks.ids, ["5.0", "5.2", "8.1"], "ready means reconciled");
  t.deepEqual(tasks.entries[2]?.experience, { seq: 8, index: 1 });
  await tree.stop();
});

test("negative control: without the reconciliation those tasks are missing", async (t) => {
  const { tree, tasks } = await scene();
  await settle();
  t.deepEqual(tasks.ids, []);
  await tree.stop();
});

test("what was published already is not published twice by the reconciliation", async (t) => {
  const tasks = new MemoryLog<UpdateTask>();
  tasks.append("5.0", taskFor({ seq: 5, index: 0 }));
  const { tree } = await scene(
    {
      newestRecords: async function* () {
        yield* outbox();
      },
    },
    tasks,
  );
  t.deepEqual(tasks.ids, ["5.0", "5.2", "8.1"]);
  await tree.stop();
});

test("killed while it publishes, the relay publishes again and the stream holds one message for each task", async (t) => {
  const [began, released] = [deferred(), deferred()];
  let tries = 0;
  const tasks = new MemoryLog<UpdateTask>();
  const { tree, around, tell } = await scene(
    {
      publish: async (task, id) => {
        tries += 1;
        const outcome = tasks.append(id, task);
        if (tries > 1) return outcome;
        began.resolve();
        await released.promise;
        return outcome;
      },
    },
    tasks,
  );
  tell(taskFor({ seq: 3, index: 0 }));
  await began.promise;
  t.like(await tree.kill("relay", "kill"), { redelivered: 1, lost: 0 });
  await around.bus.until(subjects.event("update_enqueued"));
  released.resolve();
  await settle();
  t.is(tries, 2);
  t.deepEqual(tasks.ids, ["3.0"]);
  t.is(around.counters.get("updates_enqueued"), 1);
  await tree.stop();
});

test("a task that the stream cannot take is reported as refused, by name", async (t) => {
  const { tree, around, tell } = await scene({ publish: async () => ({ kind: "unavailable", why: "full" }) });
  const task = taskFor({ seq: 3, index: 0 });
  tell(task);
  await around.bus.until(subjects.event("update_refused"));
  t.deepEqual(around.bus.events("update_refused")[0]?.items, [{ traceId: task.traceId, guard: "log_unavailable" }]);
  t.is(around.counters.get("updates_enqueued"), 0);
  t.like(tree.summary("relay"), { published: 0, refused: 1 });
  await tree.stop();
});
