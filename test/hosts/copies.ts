// Do all copies of a stream say the same? Direct reads are answered by any copy, so each message is read several times.
//
// Owns: the comparison. A copy that is behind or has a hole gives itself away by an answer that the others do not give.

import { createHash } from "node:crypto";
import type { Violation } from "../../sim/soak/evidence.js";
import type { Bus } from "../../transport/bus/bus.js";
import { directMessage, streamState } from "../../transport/log/jetstream.js";

/** With three copies one that differs is missed with a chance of (2/3) to this power. */
const readsEach = 8;
const atOnce = 16;

export async function copiesDiffer(bus: Bus, streams: readonly string[]): Promise<readonly Violation[]> {
  const found: Violation[] = [];
  for (const stream of streams) {
    const state = await streamState(bus, stream);
    if (state.kind === "unavailable") {
      found.push({ name: "copies_unread", about: `${stream}: ${state.why}` });
      continue;
    }
    const { firstSeq, lastSeq } = state.state;
    for (let from = firstSeq; from <= lastSeq; from += atOnce) {
      const seqs = Array.from({ length: Math.min(atOnce, lastSeq - from + 1) }, (_, index) => from + index);
      const said = await Promise.all(seqs.map((seq) => answersFor(bus, stream, seq)));
      for (const [index, answers] of said.entries())
        if (answers.size > 1)
          found.push({ name: "copies_differ", about: `${stream} ${seqs[index]}: ${[...answers].join(", ")}` });
    }
  }
  return found;
}

async function answersFor(bus: Bus, stream: string, seq: number): Promise<ReadonlySet<string>> {
  const answers = new Set<string>();
  for (let read = 0; read < readsEach; read += 1) {
    const found = await directMessage(bus, stream, { seq });
    if (found.kind === "none") answers.add("nothing");
    if (found.kind === "found")
      answers.add(createHash("sha256").update(found.message.bytes).digest("hex").slice(0, 12));
  }
  return answers;
}
