// A message taken apart and put together in another way, for readers that must tell the difference.

import {
  decodeMessage,
  encodeMessage,
  type PlainMap,
  readTensor,
  type Tensor,
} from "../../transport/messages/codec.js";

/** The same fields, written anew. */
export function rewritten(
  bytes: Uint8Array,
  write: (head: PlainMap, tensors: Readonly<Record<string, Tensor>>) => Uint8Array,
): Uint8Array {
  const read = decodeMessage(bytes);
  if (read.kind !== "message") throw new Error(read.message);
  const tensors: Record<string, Tensor> = {};
  const head: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(read.fields)) {
    const found = readTensor(value, field);
    if (found.kind === "tensor") tensors[field] = found.tensor;
    else head[field] = value;
  }
  return write(head as PlainMap, tensors);
}

/** The same message with another tensor of this name. */
export function withTensor(bytes: Uint8Array, name: string, tensor: Tensor): Uint8Array {
  return rewritten(bytes, (head, tensors) => encodeMessage(head, { ...tensors, [name]: tensor }));
}
