// The moments in a request's way at which a serving node may end, each reached through a seam that the production actors are given.
//
// The n-th incarnation of a node ends at the n-th point, under way; the one after the last point goes on.

import type { ModelWiring } from "../../actors/wiring/model-wiring.js";
import type { Ref } from "../../supervision/actor/ref.js";
import type { Bus } from "../../transport/bus/bus.js";

export const faultPoints = [
  "after receive",
  "after queueing",
  "after the model ran",
  "after neighbours",
  "before append",
  "after append, before the reply",
  "after the reply, before the task is published",
  "after the task is published",
] as const;
export type FaultPoint = (typeof faultPoints)[number];

/** Times that a point is passed before it ends the process: what comes before is under way then. */
const passes = 12;

export function pointOf(incarnation: number): FaultPoint | undefined {
  return faultPoints[incarnation - 1];
}

export function endingAt(point: FaultPoint, model: ModelWiring, bus: Bus): ModelWiring {
  let passed = 0;
  // The relay publishes the newest tasks again before the node is ready: what counts are those of answers given since.
  let hasAppended = false;
  const die = (): void => void process.kill(process.pid, "SIGKILL");
  const isTime = (here: FaultPoint): boolean => {
    if (here !== point) return false;
    passed += 1;
    return passed === passes;
  };
  const at = (here: FaultPoint): void => {
    if (isTime(here)) die();
  };
  return {
    ...model,
    served: (inference, buffer) =>
      model.served(
        onTell(
          inference,
          "request",
          () => at("after receive"),
          () => at("after queueing"),
        ),
        buffer,
      ),
    inference: (buffer) => model.inference(onTell(buffer, "recall", () => at("after the model ran"))),
    buffer: (inference, voter) =>
      model.buffer(
        inference,
        onTell(voter, "judge", () => at("after neighbours")),
      ),
    voter: (buffer, relay) => {
      const deps = model.voter(buffer, relay);
      return {
        ...deps,
        append: async (batchId, record) => {
          at("before append");
          const outcome = await deps.append(batchId, record);
          hasAppended = true;
          at("after append, before the reply");
          return outcome;
        },
      };
    },
    relay: () => {
      const deps = model.relay();
      return {
        ...deps,
        publish: async (task, messageId) => {
          if (!hasAppended) return deps.publish(task, messageId);
          if (isTime("after the reply, before the task is published")) {
            // The reply left in the turn before this one; it may still be in a buffer of ours.
            await bus.flush();
            die();
          }
          const outcome = await deps.publish(task, messageId);
          at("after the task is published");
          return outcome;
        },
      };
    },
  };
}

function onTell<M extends { readonly kind: string }>(
  ref: Ref<M>,
  kind: M["kind"],
  before: () => void,
  after: () => void = () => undefined,
): Ref<M> {
  return {
    path: ref.path,
    tell: (message) => {
      if (message.kind === kind) before();
      const outcome = ref.tell(message);
      if (message.kind === kind) after();
      return outcome;
    },
  };
}
