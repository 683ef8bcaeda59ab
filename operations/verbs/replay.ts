// `driftmend replay MODEL --verify`: folds the log again and says whether the committed parameters are what it gives.
// `driftmend replay MODEL --what-if KEY=VALUE`: folds it under another setting too, and says what would have been different.
//
// Owns: what is said on the way. Does not own: the folds and the comparisons (operations/log/replay.ts, operations/log/what-if.ts).
import type { Setting } from "../../models/setting-keys.js";
import type { ClusterSettings } from "../../transport/access/context.js";
import type { DriftmendClient } from "../../transport/client.js";
import { isToken } from "../../transport/subjects.js";
import { guardrailsIn } from "../cluster/cluster-settings.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { renderReplay } from "../terminal/answer.js";
import type { Terminal } from "../terminal/terminal.js";
import { renderWhatIf } from "../terminal/what-if.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";

export interface ReplayOptions extends ClusterOptions {
  readonly verify?: boolean;
  /** As typed: KEY=VALUE. */
  readonly whatIf?: readonly string[];
  readonly until?: number;
  /** The model's folder; when left out, an added model's own, or the digits. */
  readonly model?: string;
}

const progressEveryMs = 1_000;

export async function replay(model: string, options: ReplayOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(model)) {
    const message = `MODEL: "${printable(model)}" cannot be a model's name`;
    return { kind: "usage", message, next: 'use 1 to 32 letters, digits, "-" or "_"' };
  }
  const { whatIf = [], verify = false } = options;
  if (verify === whatIf.length > 0) {
    const message = verify ? "--verify and --what-if are two questions" : "replay needs --verify or --what-if";
    return { kind: "usage", message, next: `driftmend replay ${model} --verify, or --what-if KEY=VALUE` };
  }
  return verify ? verified(model, options, terminal) : imagined(model, whatIf, options, terminal);
}

async function verified(model: string, options: ReplayOptions, terminal: Terminal): Promise<Outcome> {
  return withFolder(model, options, terminal, async (folder, { bus, subjects }, settings) => {
    const { replayModel } = await import("../log/replay.js");
    const tell = everySecond(terminal);
    const result = await replayModel({
      bus,
      subjects,
      model,
      folder,
      clock: terminal.clock,
      guardrails: guardrailsIn(settings),
      onProgress: (seq, endSeq) => tell(() => `update ${seq} of ${endSeq}`),
      ...(options.until === undefined ? {} : { until: options.until }),
    });
    terminal.print(terminal.json ? JSON.stringify(result) : renderReplay(result, terminal.colours));
    if (result.equal) return done;
    return {
      kind: "failed",
      message: `${model}: the committed parameters are not the fold of the log`,
      next: `driftmend replay ${model} --verify --until SEQ, with smaller SEQ, finds the first update that differs`,
    };
  });
}

async function imagined(
  model: string,
  words: readonly string[],
  options: ReplayOptions,
  terminal: Terminal,
): Promise<Outcome> {
  const { readSetting } = await import("../../models/setting-keys.js");
  const changes: Setting[] = [];
  for (const word of words) {
    const read = readSetting(word);
    if (read.kind === "refused")
      return { kind: "usage", message: `--what-if: ${printable(read.message)}`, next: printable(read.next) };
    changes.push(read.setting);
  }
  return withFolder(model, options, terminal, async (folder, { bus, subjects }, settings) => {
    const { whatIf } = await import("../log/what-if.js");
    const tell = everySecond(terminal);
    const result = await whatIf({
      bus,
      subjects,
      model,
      changes,
      folder,
      clock: terminal.clock,
      guardrails: guardrailsIn(settings),
      onProgress: (seq, endSeq) => tell(() => `update ${seq} of ${endSeq}`),
      ...(options.until === undefined ? {} : { until: options.until }),
    });
    terminal.print(terminal.json ? JSON.stringify(result) : renderWhatIf(result, terminal.width, terminal.colours));
    return done;
  });
}

async function withFolder(
  model: string,
  options: ReplayOptions,
  terminal: Terminal,
  work: (folder: string, client: DriftmendClient, settings: ClusterSettings) => Promise<Outcome>,
): Promise<Outcome> {
  const { digitsFolder } = await import("../cluster/local-cluster.js");
  const { entry } = await import("../cluster/up.js");
  const { withModelFolder } = await import("./model-folder.js");
  const wanted = { model, folder: options.model, otherwise: digitsFolder(entry) };
  return withCluster(options, "operator", terminal, (client, settings) =>
    withModelFolder(client, terminal.clock, wanted, async (folder) => {
      const { ReplayError } = await import("../log/replay.js");
      try {
        return await work(folder, client, settings);
      } catch (error) {
        if (!(error instanceof ReplayError)) throw error;
        return {
          kind: "failed",
          message: error.message,
          next: "driftmend status names the models; --model DIR is the folder of one that was given",
        };
      }
    }),
  );
}

/** Long work says once a second how far it is. */
function everySecond({ clock, note }: Terminal): (line: () => string) => void {
  let saidAtMs = clock.monotonicMs();
  return (line) => {
    if (clock.monotonicMs() - saidAtMs < progressEveryMs) return;
    saidAtMs = clock.monotonicMs();
    note(line());
  };
}
