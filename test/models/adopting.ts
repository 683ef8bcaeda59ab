// Taking in a small model in a test: with the same labels each time, and opened as the cluster would open it.
import { type Adopted, adopt } from "../../models/adopt.js";
import { readCalibration } from "../../models/calibration.js";
import type { CleanRows } from "../../models/inspect.js";
import { parseManifest } from "../../models/manifest.js";
import { sourceNormalisation } from "../../models/moments.js";
import { openAdaptableSession } from "../../models/onnx-session.js";
import { labels } from "./small-classifiers.js";

export const picture = [1, 8, 8];
export const adoption = { name: "small", labels, accepts: [{ dt: "<f4", scale: 1 }], range: [-99, 99] } as const;
export const unheard = (): void => undefined;

export async function adopted(bytes: Uint8Array, rows: CleanRows): Promise<Adopted> {
  const result = await adopt(bytes, rows, adoption, unheard);
  if (result.kind !== "adopted") throw new Error(JSON.stringify(result));
  return result;
}

export async function refusal(bytes: Uint8Array, rows: CleanRows): Promise<string> {
  const result = await adopt(bytes, rows, adoption, unheard);
  return result.kind === "refused" ? `${result.message} -> ${result.next}` : "adopted";
}

export function fileOf({ files }: Adopted, name: string): Uint8Array {
  const bytes = files[name];
  if (bytes === undefined) throw new Error(`no ${name}`);
  return bytes;
}

/** The model as the cluster would open it, from the bytes of its folder. */
export async function opened(model: Adopted) {
  const manifest = parseManifest(new TextDecoder().decode(fileOf(model, "manifest.json")));
  const calibration = readCalibration(fileOf(model, "calibration.bin"));
  const { channels, width } = calibration;
  const { name: inputName, shape } = manifest.input;
  const session = await openAdaptableSession(fileOf(model, "model.onnx"), {
    inputName,
    shape,
    channels,
    width,
    classes: calibration.classes,
  });
  return { manifest, calibration, session, source: { ...sourceNormalisation(calibration), head: calibration.head } };
}

export const worst = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), a.length === b.length ? 0 : 1);
