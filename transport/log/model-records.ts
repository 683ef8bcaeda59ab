// What stands on the stream of models about a name: added, removed, its log purged. And the fold that says what is served.
//
// Owns: the bytes of these records in both directions (W1, W2), their bounds, the rule which record counts. Does not own: how a model's bytes
// travel (model-registry.ts), who may write here (credentials.ts).
//
// M1. The stream is the truth: which models are served beside those a node was started with follows from its records, in their order, and
//     from nothing else. A record that does not fit what stands before it counts for nobody, everywhere alike.
// M2. A name is one model's: another one under it is taken only when the log of the first has been purged. The same one goes on with its log.
// M3. A file name is a name: no path, nothing hidden, nothing twice. The manifest is the first file.

import { encodeMessage, type Fields } from "../messages/codec.js";
import { inside, list, oneOf, type Parsed, parse, text, whole, wrong } from "../messages/fields.js";
import { isToken } from "../subjects.js";

/** Every bound of what may be added, in one literal. */
export const modelBounds = {
  /** Of a piece; with headers it stays below the server's bound of a message. */
  pieceBytes: 512 * 1024,
  /** Of one model. */
  packageMaxBytes: 128 * 1024 * 1024,
  filesMax: 8,
  /** Models of one node, those it was started with among them. */
  modelsMax: 16,
  /** Of all added models of one node together. */
  nodeMaxBytes: 256 * 1024 * 1024,
} as const;

export interface AddedModel {
  readonly kind: "added";
  readonly name: string;
  /** Whose pieces it is made of. */
  readonly upload: string;
  readonly pieces: number;
  readonly bytes: number;
  /** Of all bytes together, hexadecimal. */
  readonly sha256: string;
  readonly files: readonly { readonly file: string; readonly bytes: number }[];
  readonly atMs: number;
}

export type ModelRecord =
  | AddedModel
  /** It is served no more; its log is kept. */
  | { readonly kind: "removed"; readonly name: string; readonly sha256: string; readonly atMs: number }
  /** Its log goes too. */
  | { readonly kind: "purged"; readonly name: string; readonly atMs: number };

export interface LoggedModelRecord {
  readonly seq: number;
  /** Undefined for bytes that are no record: they count for nobody, but they have a place. */
  readonly record: ModelRecord | undefined;
  /** The name on the subject. */
  readonly name: string;
}

/** How it stands about one name. */
export interface Standing {
  /** The newest record, to be fenced by. */
  readonly seq: number;
  readonly served: AddedModel | undefined;
  /** Whose log is kept under the name; undefined when it was purged, or there was none. */
  readonly logOf: string | undefined;
  readonly isPurged: boolean;
}

export type Standings = ReadonlyMap<string, Standing>;

export const noStanding: Standing = { seq: 0, served: undefined, logOf: undefined, isPurged: false };

const fileName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const hexadecimal = /^[0-9a-f]{64}$/;
const firstFile = "manifest.json";

export function encodeModelRecord(record: ModelRecord): Uint8Array {
  if (record.kind !== "added") return encodeMessage({ v: 1, ...record });
  return encodeMessage({ v: 1, ...record, files: record.files.map((file) => ({ ...file })) });
}

export function parseModelRecord(bytes: Uint8Array): Parsed<ModelRecord> {
  return parse(bytes, (fields): ModelRecord => {
    const kind = oneOf("added", "removed", "purged")(fields, "kind");
    const name = text(32)(fields, "name");
    if (!isToken(name)) throw wrong("name", "cannot be a model's name");
    const atMs = whole(0)(fields, "atMs");
    if (kind === "purged") return { kind, name, atMs };
    const sha256 = checksum(fields, "sha256");
    return kind === "removed" ? { kind, name, sha256, atMs } : { kind, name, sha256, atMs, ...contentOf(fields) };
  });
}

function contentOf(fields: Fields): Pick<AddedModel, "upload" | "pieces" | "bytes" | "files"> {
  const upload = text(32)(fields, "upload");
  if (!isToken(upload)) throw wrong("upload", "cannot be part of a subject");
  const bytes = whole(1, modelBounds.packageMaxBytes)(fields, "bytes");
  const pieces = whole(1)(fields, "pieces");
  if (pieces !== piecesOf(bytes)) throw wrong("pieces", `must be ${piecesOf(bytes)} for ${bytes} bytes`);
  const files = list(fileOf)(fields, "files");
  if (files.length > modelBounds.filesMax) throw wrong("files", `must be ${modelBounds.filesMax} at most`);
  if (files[0]?.file !== firstFile) throw wrong("files.0.file", `must be ${firstFile}`);
  if (new Set(files.map(({ file }) => file.toLowerCase())).size < files.length)
    throw wrong("files", "a name is there twice");
  if (files.reduce((sum, file) => sum + file.bytes, 0) !== bytes) throw wrong("bytes", "must be the sum of the files");
  return { upload, pieces, bytes, files };
}

function fileOf(fields: Fields, field: string): { readonly file: string; readonly bytes: number } {
  return inside(fields, field, (inner, prefix) => {
    const file = text(64)(inner, `${prefix}file`);
    if (!fileName.test(file)) throw wrong(`${prefix}file`, "must be a file name without a path");
    return { file, bytes: whole(0, modelBounds.packageMaxBytes)(inner, `${prefix}bytes`) };
  });
}

function checksum(fields: Fields, field: string): string {
  const value = text(64)(fields, field);
  if (!hexadecimal.test(value)) throw wrong(field, "must be a sha256 in lower-case hexadecimal");
  return value;
}

export function piecesOf(bytes: number): number {
  return Math.ceil(bytes / modelBounds.pieceBytes);
}

/** How it stands after one more record (M1, M2). */
export function foldRecord(standings: Standings, { seq, name, record }: LoggedModelRecord): Standings {
  const before = standings.get(name) ?? noStanding;
  const after = record === undefined || record.name !== name ? undefined : next(before, record);
  return new Map([...standings, [name, { ...(after ?? before), seq }]]);
}

/** Undefined for a record that does not fit. */
function next(before: Standing, record: ModelRecord): Omit<Standing, "seq"> | undefined {
  switch (record.kind) {
    case "added":
      if (before.served !== undefined || (before.logOf !== undefined && before.logOf !== record.sha256))
        return undefined;
      return { served: record, logOf: record.sha256, isPurged: false };
    case "removed":
      if (before.served?.sha256 !== record.sha256) return undefined;
      return { served: undefined, logOf: record.sha256, isPurged: false };
    case "purged":
      return before.served === undefined ? { served: undefined, logOf: undefined, isPurged: true } : undefined;
    default:
      return record satisfies never;
  }
}
