// The wiring of large tensors: what receives them on a serving node, and what is counted of it.
//
// Owns: the one receiver of a node, its memory, its figures. Does not own: how tensors come (transport/tensors/), who asks for them (arrivals.ts).

import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { TensorBuffers } from "../../transport/tensors/buffers.js";
import { TensorReceiver } from "../../transport/tensors/receiver.js";
import type { HostOptions } from "../host-options.js";
import { Arrivals } from "../serving/arrivals.js";

export interface TensorWiring {
  readonly arrivals: Arrivals;
  /** Nothing is received any more. */
  close(): void;
}

export function wireTensors(
  {
    bus,
    subjects,
    node,
    clock,
    segments,
    chunkLine,
  }: Pick<HostOptions, "bus" | "subjects" | "node" | "clock" | "segments" | "chunkLine">,
  { counters, instruments }: Telemetry,
): TensorWiring {
  const receiver = new TensorReceiver({
    ...{ bus, subjects, node, clock },
    buffers: new TensorBuffers(clock),
    count: (what, by) => counters.add(what, by),
    ...(segments === undefined ? {} : { segments }),
    ...(chunkLine === undefined ? {} : { chunks: chunkLine }),
  });
  const unmeter = [
    instruments.observe("tensor_held_bytes", () => receiver.figures.heldBytes),
    instruments.observe("tensor_spare_bytes", () => receiver.figures.spareBytes),
    instruments.observe("tensors_waiting", () => receiver.figures.waiting),
    instruments.observe("tensor_buffers_made", () => receiver.figures.made),
  ];
  return {
    arrivals: new Arrivals(receiver, clock),
    close: () => {
      for (const end of unmeter) end();
      receiver.close();
      chunkLine?.close();
    },
  };
}
