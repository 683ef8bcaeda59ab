// `npm run bench -- --peers`: driftmend and its peers in one run, then bench/PEERS.md.
//
// Owns: the plan, the two set-ups and their end. Does not own: the rounds (measure.ts), the text (results.ts).
import { mkdtemp, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadModel } from "../../models/manifest.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { openLab } from "../lab.js";
import { describeMachine } from "../machine.js";
import { openPeerLab } from "./lab.js";
import { measurePeers, type PeersPlan, peers } from "./measure.js";
import { renderPeers } from "./results.js";

export const peersFile = fileURLToPath(new URL("../../../bench/PEERS.md", import.meta.url));

const libraries = ["fastify", "moleculer", "nats", "@grpc/grpc-js", "onnxruntime-node"] as const;

export interface PeersRun {
  /** Path of nats-server. */
  readonly binary: string;
  /** Folder of the model. */
  readonly folder: string;
  readonly searchPath: string;
  readonly plan: PeersPlan;
  readonly note: (line: string) => void;
  /** Rejects when somebody or the time says that it is enough. */
  readonly ended: Promise<never>;
}

/** The text of bench/PEERS.md. Leaves no process and no file behind, however it ends. */
export async function runPeers({ binary, folder, searchPath, plan, note, ended }: PeersRun): Promise<string> {
  const beganAtMs = clock.monotonicMs();
  const machine = await describeMachine(binary, folder);
  const { manifest } = await loadModel(folder);
  note("peers: starting a server for each");
  const store = (): Promise<string> => mkdtemp(join(tmpdir(), "driftmend-peers-"));
  const peerLab = await openPeerLab({ binary, store: await store(), model: folder, searchPath }, peers);
  try {
    const lab = await openLab({ binary, store: await store(), model: folder, modelName: manifest.name, searchPath });
    try {
      const measured = await Promise.race([measurePeers(lab, peerLab, plan, note), ended]);
      return renderPeers({
        machine,
        atIso: new Date(clock.nowMs()).toISOString(),
        tookSeconds: (clock.monotonicMs() - beganAtMs) / 1000,
        plan,
        versions: await versions(),
        measured,
      });
    } finally {
      await lab.close();
    }
  } finally {
    await peerLab.close();
  }
}

async function versions(): Promise<Record<string, string>> {
  const from = createRequire(import.meta.url);
  const found: Record<string, string> = {};
  for (const library of libraries) {
    const folders = from.resolve.paths(library) ?? [];
    for (const each of folders) {
      const text = await readFile(join(each, library, "package.json"), "utf8").catch(() => undefined);
      if (text === undefined) continue;
      const { version } = JSON.parse(text) as { readonly version: string };
      found[library] = version;
      break;
    }
  }
  return found;
}
