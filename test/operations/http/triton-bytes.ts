// A request and an answer as tritonclient.http writes and reads them, byte by byte: what its `infer` sends for a numpy array
// (binary_data=True), and what its InferResult makes of the answer.

import type { Datatype } from "../../../operations/http/kserve/datatypes.js";

export interface TritonInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: Datatype | "BYTES" | "BF16";
  readonly raw: Uint8Array;
}

export interface TritonWish {
  readonly id?: string;
  /** None: as the client does it then, every output in binary form. */
  readonly outputs?: readonly { readonly name: string; readonly binary: boolean }[];
  readonly priority?: number;
  /** Microseconds. */
  readonly timeout?: number;
}

/** Python's json.dumps puts a blank after each colon and comma. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonJson(item)}`);
  return `{${entries.join(", ")}}`;
}

/** The body and the one header that goes with it; the client names no Content-Type. */
export function tritonRequest({ name, shape, datatype, raw }: TritonInput, wish: TritonWish = {}) {
  const parameters = {
    ...(wish.priority === undefined ? {} : { priority: wish.priority }),
    ...(wish.timeout === undefined ? {} : { timeout: wish.timeout }),
    ...(wish.outputs === undefined ? { binary_data_output: true } : {}),
  };
  const request = {
    ...(wish.id === undefined ? {} : { id: wish.id }),
    inputs: [{ name, shape, datatype, parameters: { binary_data_size: raw.byteLength } }],
    ...(wish.outputs === undefined
      ? {}
      : { outputs: wish.outputs.map((each) => ({ name: each.name, parameters: { binary_data: each.binary } })) }),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
  };
  const head = Buffer.from(pythonJson(request));
  return {
    body: Buffer.concat([head, raw]),
    headers: { "Inference-Header-Content-Length": `${head.byteLength}` },
  };
}

interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters?: { readonly binary_data_size?: number };
  readonly data?: readonly (string | number)[];
}

export interface TritonAnswer {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly outputs: readonly Output[];
  /** As numbers and text, by name, whichever form they came in. */
  values(name: string): readonly (string | number)[];
}

/** `headLength` is the header of the answer, where it has one. */
export function tritonAnswer(body: Uint8Array, headLength: string | undefined): TritonAnswer {
  const bytes = Buffer.from(body);
  const split = headLength === undefined ? bytes.byteLength : Number(headLength);
  const head: Omit<TritonAnswer, "values"> = JSON.parse(bytes.subarray(0, split).toString());
  const found = new Map<string, readonly (string | number)[]>();
  let at = split;
  for (const { name, datatype, parameters, data = [] } of head.outputs) {
    const size = parameters?.binary_data_size;
    found.set(name, size === undefined ? data : valuesIn(bytes.subarray(at, at + size), datatype));
    at += size ?? 0;
  }
  if (at !== bytes.byteLength) throw new Error(`${bytes.byteLength - at} bytes belong to no output`);
  return { ...head, values: (name) => found.get(name) ?? [] };
}

function valuesIn(raw: Buffer, datatype: string): (string | number)[] {
  const values: (string | number)[] = [];
  for (let at = 0; at < raw.byteLength; )
    if (datatype === "BYTES") {
      const length = raw.readUInt32LE(at);
      values.push(raw.toString("utf8", at + 4, at + 4 + length));
      at += 4 + length;
    } else if (datatype === "INT64") {
      values.push(Number(raw.readBigInt64LE(at)));
      at += 8;
    } else {
      values.push(raw.readFloatLE(at));
      at += 4;
    }
  return values;
}
