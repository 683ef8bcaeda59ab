// The relay: the experience log is the outbox, and no task that it asks for is lost.

import test from "ava";
import type { RelayMessage } from "../../actors/serving/messages.js";
import { type Outbox, type RelayDeps, relay } from "../../actors/serving/relay.js";
import { type Clock, seededRandom } from "../../models/clock.js";
import type { ExperienceRecord, UpdateTask } from "../../models/experience.js";
import { systemClock } from "../../supervision/clock.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { AppendOutcome } from "../../transport/log/log.js";
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

async function scene(
  deps: Partial<RelayDeps> = {},
  tasks = new MemoryLog<UpdateTask>(),
  clock: Clock = systemClock,
): Promise<Scene> {
  const around = recorded();
  const given: RelayDeps = {
    model: "small",
    outbox: { behindSeq: undefined },
    recordsFrom: async function* () {
      yield* [];
    },
    newestRecords: async function* () {
      yield* [];
    },
    publish: async (task, id) => tasks.append(id, task),
    telemetry: around.telemetry,
    ...deps,
  };
  const { tree } = await smallTree([{ id: "relay", restart: "permanent", behaviour: () => relay(given) }], {
    deps: { clock },
  });
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

test("what stands on the update stream already is not published again, and what lacks is", async (t) => {
  const { tree, tasks } = await scene({
    outbox: { behindSeq: undefined, onStream: new Set(["5.0", "8.1"]) },
    newestRecords: async function* () {
      yield* outbox();
    },
  });
  t.deepEqual(tasks.ids, ["5.2"]);
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

/** A stream that takes so many messages, and more once there is room. */
function bounded(room: number) {
  const tasks = new MemoryLog<UpdateTask>();
  const stream = {
    tasks,
    room,
    tries: 0,
    publish: async (task: UpdateTask, id: string): Promise<AppendOutcome> => {
      stream.tries += 1;
      if (tasks.lastSeq >= stream.room && !tasks.ids.includes(id)) return { kind: "unavailable", why: "full" };
      return tasks.append(id, task);
    },
  };
  return stream;
}

/** An experience log of which every record asks for one task, and the way to a relay over it. */
async function held(
  stream: ReturnType<typeof bounded>,
  given: Partial<RelayDeps> = {},
  clock: VirtualClock = new VirtualClock(),
) {
  const record = { ...answersOf(smallSubject(), [0, 1, 2], seededRandom(1)), learn: new Uint8Array([0, 1, 0]) };
  const log: { readonly seq: number; readonly record: ExperienceRecord }[] = [];
  const outbox: Outbox = { behindSeq: undefined };
  const { tree, around, tell } = await scene(
    {
      outbox,
      newestRecords: async function* () {
        yield* log.filter(({ seq }) => seq >= (outbox.behindSeq ?? log.length + 1));
      },
      publish: stream.publish,
      recordsFrom: async function* (fromSeq) {
        yield* log.filter(({ seq }) => seq >= fromSeq);
      },
      ...given,
    },
    stream.tasks,
    clock,
  );
  const answer = async (count: number): Promise<void> => {
    for (let each = 0; each < count; each += 1) {
      const seq = log.length + 1;
      log.push({ seq, record });
      tell(taskFor({ seq, index: 1 }));
      await settle();
    }
  };
  return { tree, around, clock, answer, log };
}

test("(S2-15, S2-34) at the update stream's bound no task is lost: the relay goes on from the outbox when there is room", async (t) => {
  const stream = bounded(3);
  const { tree, around, clock, answer } = await held(stream);
  await answer(10);
  t.is(stream.tasks.lastSeq, 3);
  t.like(tree.summary("relay"), { behindSeq: 4 });
  t.deepEqual(around.bus.events("log_backpressure")[0]?.items, [
    { about: "small-update", cause: "the update stream takes no more tasks" },
  ]);
  stream.room = 6;
  await clock.advance(5_000);
  t.like(tree.summary("relay"), { behindSeq: 7 });
  stream.room = 100;
  await clock.advance(5_000);
  await answer(1);
  t.deepEqual(
    stream.tasks.ids,
    Array.from({ length: 11 }, (_, index) => `${index + 1}.1`),
    "each once, in the order of the log",
  );
  t.is(around.bus.events("log_backpressure").length, 1);
  t.is(around.bus.events("log_flows").length, 1);
  t.like(tree.summary("relay"), { behindSeq: null, published: 11 });
  await tree.stop();
});

/** Calls `beside` when a delay is over, in the same moment as whoever waited for it goes on. */
class Beside extends VirtualClock {
  beside: () => void = () => undefined;

  override delay(ms: number, signal?: AbortSignal): Promise<void> {
    const over = super.delay(ms, signal);
    queueMicrotask(() => void over.then(() => this.beside()));
    return over;
  }
}

test("what is said last of a stream that fails again in the turn it had room is that it takes no more", async (t) => {
  const stream = bounded(0);
  let tries = 0;
  const clock = new Beside();
  const publish = async (task: UpdateTask, id: string): Promise<AppendOutcome> => {
    tries += 1;
    return tries === 4 ? { kind: "unavailable", why: "timeout" } : stream.publish(task, id);
  };
  const { tree, around, answer } = await held(stream, { publish }, clock);
  await answer(1);
  stream.room = 100;
  clock.beside = () => {
    clock.beside = () => undefined;
    void answer(1);
  };
  while (tries < 4) await clock.advance(10);
  t.deepEqual(stream.tasks.ids, ["1.1", "2.1"], "the second time the second task was told it had no answer");
  t.like(tree.summary("relay"), { behindSeq: 2 });
  t.deepEqual(
    around.bus.published.flatMap(({ subject }) => /log_[a-z]+$/.exec(subject) ?? []),
    ["log_backpressure", "log_flows", "log_backpressure"],
  );
  await tree.stop();
});

test("negative control: without the outbox, the tasks told while the stream was full are missing", async (t) => {
  const stream = bounded(3);
  const empty: RelayDeps["recordsFrom"] = async function* () {
    yield* [];
  };
  const { tree, clock, answer } = await held(stream, { recordsFrom: empty });
  await answer(10);
  stream.room = 100;
  await clock.advance(10_000);
  t.deepEqual(stream.tasks.ids, ["1.1", "2.1", "3.1"]);
  await tree.stop();
});

test("a relay that is held up does not spin: it asks less and less often, and never stops asking", async (t) => {
  const stream = bounded(0);
  const { tree, clock, answer } = await held(stream);
  await answer(1);
  await clock.advance(60_000);
  t.true(stream.tries >= 30 && stream.tries <= 80, `${stream.tries} tries in a minute`);
  const before = stream.tries;
  await clock.advance(60_000);
  t.true(stream.tries > before);
  await tree.stop();
});

test("killed while it is behind, the relay's next incarnation goes on where it was", async (t) => {
  const stream = bounded(2);
  const { tree, clock, answer } = await held(stream);
  await answer(5);
  const killed = tree.kill("relay", "kill");
  await clock.advance(1_000);
  await killed;
  stream.room = 100;
  await answer(1);
  await clock.advance(10_000);
  t.deepEqual(stream.tasks.ids, ["1.1", "2.1", "3.1", "4.1", "5.1", "6.1"]);
  await tree.stop();
});
