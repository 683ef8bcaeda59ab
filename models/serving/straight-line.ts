// Whether a graph computes in a straight line: then what a run costs follows from the shapes of its input, and no input can make it hang.
//
// Owns: the names of the operations that may go round. Does not own: anything else of the format (onnx-file.ts). The name of a node's operation is
// a field of text, in subgraphs and local functions too, so it is found by its bytes, in a fraction of what reading the file takes. Weights that
// happen to look like one only keep a graph from what it could be trusted with.
//
// Source: onnx.proto3 of ONNX 1.17, NodeProto.op_type = 4; Protocol Buffers, Encoding: a text field is (number << 3 | 2), its length, its bytes.

const opTypeTag = (4 << 3) | 2;
/** Operations with a subgraph that they may run any number of times; the last is of ONNX Runtime. */
const goingRound = ["Loop", "Scan", "If", "SequenceMap", "BeamSearch", "GreedySearch", "Sampling"];

export function isStraightLine(model: Uint8Array): boolean {
  const bytes = Buffer.from(model.buffer, model.byteOffset, model.byteLength);
  return goingRound.every((name) => !bytes.includes(Buffer.from([opTypeTag, name.length, ...Buffer.from(name)])));
}
