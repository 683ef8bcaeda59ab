// Somebody on a host who types `driftmend infer`: what he is told, and how long it takes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock as clock } from "../../supervision/clock.js";
import { entry, model } from "../cluster/running.js";

export interface Asker {
  readonly prefix: readonly string[];
  /** As `--nats` takes it. */
  readonly urls: string;
  readonly searchPath: string;
  readonly directory: string;
  readonly deadlineMs: number;
}

export type Said =
  | { readonly kind: "answered"; readonly tookMs: number; readonly startMs: number }
  /** `by`: the refusal's code, or the last line on stderr. */
  | {
      readonly kind: "refused";
      readonly by: string;
      readonly code: number;
      readonly tookMs: number;
      readonly startMs: number;
    }
  | { readonly kind: "nothing"; readonly code: number | null; readonly tookMs: number };

/** A verb's process needs so long beside the request itself: to load, to connect, to end. */
const startMs = 5_000;

export async function askFrom({ prefix, urls, searchPath, directory, deadlineMs }: Asker): Promise<Said> {
  const picture = join(directory, "blank.npy");
  await writeFile(picture, blankPicture());
  const words = ["infer", model.manifest.name, picture, "--json", "--deadline", `${deadlineMs}ms`, "--nats", urls];
  const [program = "", ...args] = [...prefix, process.execPath, entry, ...words];
  const beganAtMs = clock.monotonicMs();
  const child = spawn(program, args, { env: { PATH: searchPath }, stdio: ["ignore", "pipe", "pipe"] });
  const read = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      read[stream] += text;
    });
  await once(child, "close");
  const tookMs = clock.monotonicMs() - beganAtMs;
  const { exitCode: code } = child;
  if (code === 0) return { kind: "answered", tookMs, startMs };
  const by = read.stdout === "" ? read.stderr.split("\n")[0] : JSON.parse(read.stdout).error?.code;
  if (code === null || by === undefined || by === "") return { kind: "nothing", code, tookMs };
  return { kind: "refused", by, code, tookMs, startMs };
}

/** A digit of no ink, as numpy would save it. */
function blankPicture(): Uint8Array {
  const dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 28, 28), }";
  const head = `${dict.padEnd(128 - 10 - 1)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(head.length);
  return Buffer.concat([
    Buffer.from("\x93NUMPY\x01\x00", "latin1"),
    length,
    Buffer.from(head),
    Buffer.alloc(28 * 28 * 4),
  ]);
}
