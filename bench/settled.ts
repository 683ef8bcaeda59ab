// Rest before a round: nobody pays for what an earlier round left to others.
//
// Owns: what counts as idle, and how long it is waited for. Does not own: who works in the background.
import { systemClock as clock } from "../supervision/clock.js";
import { cpuMs } from "./machine.js";

const settleMaxMs = 3_000;
const settleLookMs = 100;
/** Share of one core below which they all together count as idle. */
const idleShare = 0.15;

/** False when these processes were still at work after `settleMaxMs`. */
export async function settled(pids: readonly number[]): Promise<boolean> {
  const busyMs = async (): Promise<number> =>
    (await Promise.all(pids.map(cpuMs))).reduce((total, each) => total + each, 0);
  const untilMs = clock.monotonicMs() + settleMaxMs;
  let before = await busyMs();
  while (clock.monotonicMs() < untilMs) {
    await clock.delay(settleLookMs);
    const now = await busyMs();
    // Written so that "not measured" counts as idle.
    if (!(now - before > idleShare * settleLookMs)) return true;
    before = now;
  }
  return false;
}
