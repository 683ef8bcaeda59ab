// Stability runs as the HTTP interface shows them: how far the one under way is, and the reports of those that ended.
//
// Owns: what is heard of a run, the reading of the folder of reports. Does not own: the run, the reports (sim/stability/).
//
// F1. A report is found by the name of its own folder or file below one folder, never by a path that somebody sends.
// F2. A run that says nothing for `silentMs` is not under way any more.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../models/clock.js";
import type { EventItem, TelemetryEvent } from "../../transport/messages/events.js";
import type { Stability } from "./answer-shapes.js";
import { type Found, found, missing } from "./sources.js";

/** The telemetry by which a run tells how far it is. */
export const stabilityEvent = "stability";

const silentMs = 30_000;
const reportsMax = 100;
const reportName = /^[A-Za-z0-9_-]{1,64}$/;

export class StabilityShelf {
  readonly #clock: Clock;
  readonly #folder: string | undefined;
  #running: { readonly item: EventItem; readonly heardAtMs: number } | undefined;

  /** Without a folder there are no reports. */
  constructor(clock: Clock, folder: string | undefined) {
    this.#clock = clock;
    this.#folder = folder;
  }

  heard({ items }: TelemetryEvent): void {
    const item = items.at(-1);
    if (item !== undefined) this.#running = { item, heardAtMs: this.#clock.monotonicMs() };
  }

  async list(): Promise<Found<Stability>> {
    const running = this.#running;
    const isRunning = running !== undefined && this.#clock.monotonicMs() - running.heardAtMs < silentMs;
    const reports = await Promise.all((await this.#names()).map((id) => this.#headOf(id)));
    const known = reports.filter((each) => each !== undefined).sort((a, b) => b.startedAtMs - a.startedAtMs);
    return found({ v: 1, running: isRunning ? { ...running.item } : null, reports: known.slice(0, reportsMax) });
  }

  async html(id: string): Promise<Found<string>> {
    const text = reportName.test(id) ? await this.#read(id, "report.html") : undefined;
    return text === undefined
      ? missing("there is no such report; GET /api/stability lists those there are")
      : found(text);
  }

  async #names(): Promise<readonly string[]> {
    if (this.#folder === undefined) return [];
    try {
      return (await readdir(this.#folder)).filter((name) => reportName.test(name));
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  async #headOf(id: string): Promise<Stability["reports"][number] | undefined> {
    const text = await this.#read(id, "report.json");
    if (text === undefined || this.#folder === undefined) return undefined;
    const { startedAtMs, passed } = headIn(text);
    if (startedAtMs === undefined) return undefined;
    return { id, startedAtMs, passed: passed ?? null, file: join(this.#folder, id, "report.html") };
  }

  async #read(id: string, name: string): Promise<string | undefined> {
    if (this.#folder === undefined) return undefined;
    try {
      return await readFile(join(this.#folder, id, name), "utf8");
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }
}

/** A report that is being written, or is somebody else's, has no head. */
function headIn(text: string): { readonly startedAtMs?: number; readonly passed?: boolean } {
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found !== "object" || found === null) return {};
    const { startedAtMs, passed }: { readonly startedAtMs?: unknown; readonly passed?: unknown } = found;
    return {
      ...(typeof startedAtMs === "number" ? { startedAtMs } : {}),
      ...(typeof passed === "boolean" ? { passed } : {}),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
