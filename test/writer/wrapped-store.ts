// A store with some of its operations replaced, and an update that is a catastrophe for whoever applies it.

import type { UpdaterStore } from "../../actors/learning/updater.js";
import type { UpdateTask } from "../../models/experience.js";
import type { Learner } from "../../models/learning/learner.js";

export function wrapped(store: UpdaterStore, changes: Partial<UpdaterStore>): UpdaterStore {
  return {
    startingPoint: () => store.startingPoint(),
    saveSnapshot: (policy, behind) => store.saveSnapshot(policy, behind),
    truncate: () => store.truncate(),
    lastCommit: () => store.lastCommit(),
    commit: (commit, expectedSeq) => store.commit(commit, expectedSeq),
    updates: (fromSeq, signal) => store.updates(fromSeq, signal),
    experiences: (fromSeq, signal, way) => store.experiences(fromSeq, signal, way),
    state: (kind) => store.state(kind),
    enqueue: (entry, id) => store.enqueue(entry, id),
    ...changes,
  };
}

/** Springs in the middle of the step of every task that `isPoison` takes: reading its confidence, which only a step does, arms the learner. */
export class Trap {
  sprung = 0;
  readonly #isPoison: (task: UpdateTask) => boolean;
  readonly #spring: () => void;
  #armed = false;

  constructor(isPoison: (task: UpdateTask) => boolean, spring: () => void) {
    this.#isPoison = isPoison;
    this.#spring = spring;
  }

  store(store: UpdaterStore): UpdaterStore {
    const arm = (): void => {
      this.#armed = true;
    };
    const isPoison = this.#isPoison;
    return wrapped(store, {
      async *updates(fromSeq, signal) {
        for await (const update of store.updates(fromSeq, signal)) {
          const { seq, entry } = update;
          if (entry.kind === "task" && isPoison(entry.task))
            yield { seq, entry: { kind: "task", task: armed(entry.task, arm) } };
          else yield update;
        }
      },
    });
  }

  learner(learner: Learner): Learner {
    return {
      ...learner,
      headGradient: (head, batch) => {
        if (this.#armed) {
          this.#armed = false;
          this.sprung += 1;
          this.#spring();
        }
        return learner.headGradient(head, batch);
      },
    };
  }
}

function armed(task: UpdateTask, arm: () => void): UpdateTask {
  return {
    ...task,
    get confidence() {
      arm();
      return task.confidence;
    },
  };
}
