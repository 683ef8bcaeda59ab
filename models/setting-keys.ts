// The learning settings as words: "stages.head=false" for one field of one model.
//
// Owns: which keys there are, the nearest one to a word that is none, one setting put in the place of another.
// Does not own: which values fit (models/manifest.ts), what a setting does (whoever reads it).
//
// K1. The keys are those of the shipped settings, nested ones with a dot: a new field is a key without further work.

import { editDistance } from "./edit-distance.js";
import { learningOf } from "./manifest.js";
import { defaults, type LearningSettings } from "./settings.js";

export type SettingValue = number | boolean | string;

/** One field with another value. */
export interface Setting {
  readonly key: string;
  readonly value: SettingValue;
}

export type ReadSetting =
  | { readonly kind: "setting"; readonly setting: Setting }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

export const settingKeys: readonly string[] = keysOf(defaults);

/** "gate=0.8". What is wrong is said with the nearest key, or with what the key takes. */
export function readSetting(text: string): ReadSetting {
  const equals = text.indexOf("=");
  const key = (equals < 0 ? text : text.slice(0, equals)).trim();
  const word = equals < 0 ? "" : text.slice(equals + 1).trim();
  if (!settingKeys.includes(key))
    return {
      kind: "refused",
      message: `there is no setting "${key}"`,
      next: `did you mean ${nearestKey(key)}? There are: ${settingKeys.join(", ")}`,
    };
  const shipped = valueAt(defaults, key);
  const value = valueFrom(word, shipped);
  const example = `${key}=${shipped}`;
  if (value === undefined)
    return { kind: "refused", message: `${key} takes ${kindOf(shipped)}, not "${word}"`, next: `as in ${example}` };
  const fits = withSettings(defaults, [{ key, value }]);
  if (fits.kind === "ok") return { kind: "setting", setting: { key, value } };
  return { kind: "refused", message: `${key}=${word}: ${fits.message}`, next: `as in ${example}` };
}

export type Changed =
  | { readonly kind: "ok"; readonly settings: LearningSettings }
  | { readonly kind: "refused"; readonly message: string };

/** The settings with these in place of their own; the last of equals counts. */
export function withSettings(settings: LearningSettings, changes: readonly Setting[]): Changed {
  const copy: Record<string, unknown> = structuredClone({ ...settings });
  for (const { key, value } of changes) put(copy, key.split("."), value);
  return learningOf(copy);
}

/** The value of a key; undefined for one that is none. */
export function valueAt(settings: LearningSettings, key: string): SettingValue | undefined {
  let found: unknown = settings;
  for (const part of key.split(".")) found = isGroup(found) ? found[part] : undefined;
  return typeof found === "number" || typeof found === "boolean" || typeof found === "string" ? found : undefined;
}

/** By the fewest letters that differ; the last part of a key counts like the whole. */
export function nearestKey(word: string): string {
  const distances = settingKeys.map((key) => {
    const parts = [key, key.slice(key.lastIndexOf(".") + 1)];
    return Math.min(...parts.map((part) => editDistance(part.toLowerCase(), word.toLowerCase())));
  });
  return settingKeys[distances.indexOf(Math.min(...distances))] ?? "";
}

function keysOf(group: object): string[] {
  return Object.entries(group).flatMap(([key, value]) =>
    isGroup(value) ? keysOf(value).map((inner) => `${key}.${inner}`) : [key],
  );
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function put(group: Record<string, unknown>, [first = "", ...rest]: readonly string[], value: SettingValue): void {
  const inner = group[first];
  if (rest.length > 0 && isGroup(inner)) put(inner, rest, value);
  else group[first] = value;
}

function valueFrom(word: string, like: SettingValue | undefined): SettingValue | undefined {
  switch (typeof like) {
    case "number":
      return word !== "" && Number.isFinite(Number(word)) ? Number(word) : undefined;
    case "boolean":
      return word === "true" ? true : word === "false" ? false : undefined;
    default:
      return word === "" ? undefined : word;
  }
}

function kindOf(like: SettingValue | undefined): string {
  if (typeof like === "number") return "a number";
  return typeof like === "boolean" ? "true or false" : "a word";
}
