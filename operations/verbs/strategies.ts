// `driftmend strategies`: how answers can be voted on, and which way a model uses.
//
// Owns: the list. Does not own: the strategies (models/memory/vote.ts), the choice (the model's manifest: learning.strategy).
import { loadModel } from "../../models/manifest.js";
import { strategies } from "../../models/memory/vote.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { padRight } from "../text.js";

export interface StrategiesOptions {
  /** The model's folder; the digits when left out. */
  readonly model?: string;
}

export async function listStrategies(options: StrategiesOptions, terminal: Terminal): Promise<Outcome> {
  const { digitsFolder } = await import("../cluster/local-cluster.js");
  const { entry } = await import("../cluster/up.js");
  const { manifest } = await loadModel(options.model ?? digitsFolder(entry));
  const { strategy } = manifest.learning;
  const listed = Object.entries(strategies).map(([name, does]) => ({ name, does, used: name === strategy }));
  if (terminal.json) terminal.print(JSON.stringify({ model: manifest.name, strategies: listed }));
  else
    terminal.print(
      listed
        .map(({ name, does, used }) => `${used ? terminal.colours.good("*") : " "} ${padRight(name, 12)}${does}`)
        .concat("", `* used by ${manifest.name}; another is chosen in its manifest: "learning": {"strategy": ".."}`)
        .join("\n"),
    );
  return done;
}
