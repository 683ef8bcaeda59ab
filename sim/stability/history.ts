// A sample as one flat line, as tools for experiments read it offline: `_step`, `_timestamp` in seconds, and a number behind every key.
//
// Owns: the keys. Does not own: the figures, the file.

import type { TakenSample } from "./run.js";

export type HistoryLine = Readonly<Record<string, number>>;

/** What is not known has no key. */
export function historyOf({ step, point, metrics }: TakenSample): HistoryLine {
  const { logBytes, atMs, elapsedMs, ...figures } = point;
  const line: Record<string, number> = { _step: step, _timestamp: atMs / 1_000, _runtime: elapsedMs / 1_000 };
  for (const [name, value] of Object.entries(figures)) if (value !== null) line[snake(name)] = value;
  for (const [stream, size] of Object.entries(logBytes)) line[`log_bytes/${stream}`] = size;
  for (const { node, state, rssBytes, heapUsedBytes, incarnation } of metrics.nodes) {
    if (state !== "running") continue;
    line[`nodes/${node}/rss_bytes`] = rssBytes;
    line[`nodes/${node}/heap_used_bytes`] = heapUsedBytes;
    line[`nodes/${node}/incarnation`] = incarnation;
  }
  return line;
}

/** updateRate -> update_rate, p99Ms -> p99_ms. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
