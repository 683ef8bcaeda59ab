// The learner: one gradient at a time, on the best backend there is.
//
// Owns: the choice of the backend and its reasons, the proof that it computes what it should.
// Does not own: TensorFlow.js (tensorflow.ts), the guards around a step (guarded-step.ts).
//
// L1. Equal head and batch give equal bits, on one backend. Between backends they differ in the last digits: who writes a
//     model's chain records the backend, and a replay uses the same.
// L2. A backend is taken only if its gradient agrees with plain arithmetic on a planted batch.
import { seededRandom } from "../clock.js";
import { type HeadBatch, type HeadGradient, plainHeadGradient } from "./head-gradient.js";
import { type Backend, backends, type Opened, openBackend } from "./tensorflow.js";

export interface Learner {
  readonly backend: Backend;
  /** Every backend that was considered, in order. */
  readonly tried: readonly Attempt[];
  headGradient(head: Float32Array, batch: HeadBatch): Promise<HeadGradient>;
  /** Later calls throw. */
  close(): void;
}

export interface Attempt {
  readonly backend: Backend;
  readonly available: boolean;
  readonly why: string;
}

export type BackendPreference = "auto" | Backend;

/** No backend works. A person must install one or name another. */
export class LearnerError extends Error {
  override readonly name = "LearnerError";
  readonly tried: readonly Attempt[];
  constructor(message: string, tried: readonly Attempt[]) {
    super(message);
    this.tried = tried;
  }
}

export type BackendChoice =
  | { readonly kind: "chosen"; readonly backend: Backend }
  | { readonly kind: "try"; readonly backend: Backend }
  | { readonly kind: "none"; readonly why: string };

/** What to do next, given what was tried: take the last one, try another, or give up. Named backends have no substitute. */
export function chooseBackend(preference: BackendPreference, tried: readonly Attempt[]): BackendChoice {
  const candidates = preference === "auto" ? backends : [preference];
  for (const backend of candidates) {
    const attempt = tried.find((item) => item.backend === backend);
    if (attempt === undefined) return { kind: "try", backend };
    if (attempt.available) return { kind: "chosen", backend };
  }
  return { kind: "none", why: tried.map(({ backend, why }) => `${backend}: ${why}`).join("; ") };
}

export async function openLearner(
  preference: BackendPreference = "auto",
  open: (backend: Backend) => Promise<Opened> = openBackend,
): Promise<Learner> {
  const tried: Attempt[] = [];
  let gradient: Extract<Opened, { kind: "open" }>["gradient"] | null = null;
  for (;;) {
    const choice = chooseBackend(preference, tried);
    if (choice.kind === "none") throw new LearnerError(`no backend to learn with (${choice.why})`, tried);
    if (choice.kind === "chosen" && gradient !== null) return learner(choice.backend, tried, gradient);
    const result = await open(choice.backend);
    const fault = result.kind === "open" ? await disagreement(result.gradient) : result.why;
    if (result.kind === "open" && fault === null) gradient = result.gradient;
    tried.push({ backend: choice.backend, available: fault === null, why: fault ?? "agrees with plain arithmetic" });
  }
}

function learner(
  backend: Backend,
  tried: readonly Attempt[],
  gradient: (head: Float32Array, batch: HeadBatch) => Promise<HeadGradient>,
): Learner {
  let closed = false;
  return {
    backend,
    tried,
    async headGradient(head, batch) {
      if (closed) throw new Error("the learner is closed");
      const found = await gradient(head, batch);
      // The arithmetic is synchronous and takes milliseconds. A fold goes from step to step without leaving the microtask queue; without
      // this breath no timer and no socket is looked at until the last step is done, and the writer's lease expires meanwhile (law 10).
      await new Promise((resolve) => setImmediate(resolve));
      return found;
    },
    close() {
      closed = true;
    },
  };
}

/** How a backend's gradient of a planted batch differs from plain arithmetic; null = it agrees. */
async function disagreement(
  gradient: (head: Float32Array, batch: HeadBatch) => Promise<HeadGradient>,
): Promise<string | null> {
  const { head, batch } = plantedBatch();
  const expected = plainHeadGradient(head, batch);
  const found = await gradient(head, batch);
  let worst = Math.max(Math.abs(found.reward - expected.reward), Math.abs(found.penalty - expected.penalty));
  for (const [i, value] of expected.gradient.entries()) {
    worst = Math.max(worst, Math.abs((found.gradient[i] ?? Number.NaN) - value));
  }
  return worst < 1e-4 ? null : `its gradient is off by ${worst}`;
}

function plantedBatch(): { head: Float32Array; batch: HeadBatch } {
  const random = seededRandom(7);
  const [rows, width, classes] = [4, 6, 3];
  const noise = (length: number): Float32Array => Float32Array.from({ length }, () => 2 * random() - 1);
  const baseLog = Float32Array.from({ length: rows * classes }, (_, i) => Math.log([0.5, 0.3, 0.2][i % classes] ?? 0));
  const votes = Uint16Array.from({ length: rows }, (_, i) => i % classes);
  const batch = { rows, width, classes, embeddings: noise(rows * width), votes, baseLog, klWeight: 0.5 };
  return { head: noise((width + 1) * classes), batch };
}
