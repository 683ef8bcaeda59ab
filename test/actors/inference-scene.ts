// Inference in a small tree, with the real engine and the digits model, and what its tests ask of it.

import { type HeadSource, type InferenceDeps, inference } from "../../actors/serving/inference.js";
import type { BufferMessage, InferenceMessage, ServedHead } from "../../actors/serving/messages.js";
import { Shadows } from "../../actors/serving/shadows.js";
import { type Adapted, sourceAdapted } from "../../models/adaptation/adaptation.js";
import type { Parameters } from "../../models/adaptation/pass.js";
import { pictureSize } from "../../models/digits/idx.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { startEngine } from "../../models/serving/engine.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { digitsFolder, firstDigits } from "../models/digits-model.js";
import { type EventLog, smallTree } from "../supervision/small-tree.js";
import { Askers, type Inbox, inbox, openAt, quietDesk, recorded } from "./small-node.js";

export const digits = await loadModel(digitsFolder);
export const { input } = await firstDigits(12);
export const pictures = Array.from({ length: 12 }, (_, row) => input.slice(row * pictureSize, (row + 1) * pictureSize));
export const unadapted = sourceAdapted(digits);

export interface Scene {
  readonly tree: ActorTree;
  readonly events: EventLog;
  readonly askers: Askers;
  readonly buffer: Inbox<BufferMessage>;
  readonly desk: InferenceDeps["desk"];
  readonly commit: (served: ServedHead) => void;
  readonly tell: (message: InferenceMessage) => void;
  readonly around: ReturnType<typeof recorded>;
  readonly shadows: Shadows;
  ask(...ids: readonly string[]): void;
}

export interface Given {
  readonly coldStart?: number;
  readonly remembered?: number;
  readonly adapted?: Adapted;
  readonly latest?: () => ServedHead & { readonly seq: number };
  readonly openEngine?: typeof startEngine;
}

export async function scene({
  coldStart = 0,
  remembered = 0,
  adapted = unadapted,
  latest,
  openEngine = startEngine,
}: Given = {}): Promise<Scene> {
  const { manifest } = digits;
  const model: Model = { ...digits, manifest: { ...manifest, learning: { ...manifest.learning, coldStart } } };
  const [desk, askers] = [quietDesk(), new Askers()];
  const buffer = inbox<BufferMessage>((message) => {
    if (message.kind === "introduce") message.reply.answer({ experiences: remembered, adapted });
  });
  const around = recorded();
  const shadows = new Shadows(around.telemetry);
  const following = new Set<(served: ServedHead) => void>();
  const heads: HeadSource = {
    latest: async () => latest?.() ?? { seq: 0, version: 0, head: model.calibration.head },
    follow: (_from, signal, onHead) =>
      new Promise((resolve) => {
        following.add(onHead);
        signal.addEventListener("abort", () => {
          following.delete(onHead);
          resolve();
        });
      }),
  };
  const { tree, events } = await smallTree([
    buffer.child("buffer"),
    {
      id: "inference",
      restart: "permanent",
      behaviour: (refs) =>
        inference({ model, desk, buffer: refs.ref("buffer"), heads, shadows, origin: "test", openEngine }),
    },
  ]);
  const ref = tree.ref<InferenceMessage>("inference");
  let asked = 0;
  return {
    tree,
    events,
    askers,
    buffer,
    desk,
    around,
    shadows,
    commit: (served) => {
      for (const onHead of following) onHead(served);
    },
    tell: (message) => ref.tell(message),
    ask: (...ids) => {
      for (const id of ids) {
        const request = openAt(desk, askers, id, { input: pictures[asked++ % pictures.length] ?? new Float32Array(0) });
        ref.tell({ kind: "request", request });
      }
    },
  };
}

export type Run = Extract<BufferMessage, { kind: "recall" }>["batch"];

/** The runs of the model, once they hold `rows` rows together. */
export async function runs(buffer: Inbox<BufferMessage>, rows: number): Promise<Run[]> {
  for (let count = 1; ; count += 1) {
    const found = buffer.messages.flatMap((message) => (message.kind === "recall" ? [message.batch] : []));
    if (found.reduce((sum, { requests }) => sum + requests.length, 0) >= rows) return found;
    await buffer.until(count);
  }
}

export const idsOf = (run: Run | undefined): string[] => run?.requests.map(({ id }) => id) ?? [];
/** Every input is of the first domain, and its channels all vanish. */
export const anythingElse: Adapted = {
  ...unadapted,
  limits: unadapted.limits.map((limit, domain) => (domain === 0 ? 1e9 : limit)),
  table: new Float32Array(unadapted.table.length),
};

/** A head that answers `label` whatever it sees. */
export function headFor(label: number): Float32Array {
  const { classes, width } = digits.calibration;
  const head = new Float32Array((width + 1) * classes);
  head[width * classes + label] = 10;
  return head;
}

/** The real engine, and the parameters of every run that it was asked for. */
export function watchedEngine(): { readonly given: Parameters[]; readonly openEngine: typeof startEngine } {
  const given: Parameters[] = [];
  const openEngine: typeof startEngine = async (...how) => {
    const engine = await startEngine(...how);
    return {
      run: (pixels, rows, parameters, seeds) => {
        given.push(parameters);
        return engine.run(pixels, rows, parameters, seeds);
      },
      close: () => engine.close(),
      runsOn: engine.runsOn,
      died: engine.died,
    };
  };
  return { given, openEngine };
}
