// A program in another language against a whole cluster: plain_client.py, which knows contract.md, msgpack and sockets and nothing else.

import { fileURLToPath } from "node:url";
import test from "ava";
import { easyDigits } from "./pictures.js";
import { pythonWithMsgpack, runPython } from "./python.js";
import { experiencesIn, type Running, startRunning } from "./running.js";

/** Python source is not compiled: it lies beside the source of this file. */
const program = fileURLToPath(new URL("../../../test/cluster/plain_client.py", import.meta.url));
let running: Running;

test.before(async () => {
  running = await startRunning();
});

test.after.always(() => running?.stop());

test("a Python program with msgpack and a socket gets answers, refusals, and gives a late label", async (t) => {
  const python = await pythonWithMsgpack();
  if (python === undefined) {
    t.log("not run: no python3 with msgpack here; apt install python3-msgpack, or pip install msgpack");
    t.pass();
    return;
  }
  const [digit] = await easyDigits(1);
  if (digit === undefined) return t.fail();
  const ink = Uint8Array.from(digit.ink, (value) => Math.round(value * 255));
  const words = [running.cluster.contextFile, "digits", `${digit.label}`];
  const said = JSON.parse(await runPython(python, program, words, ink));
  const answer = { index: digit.label, label: `${digit.label}` };
  t.like(said.bytes, { v: 1, id: "python-1", answer, mode: "cold", modelVersion: 0, node: "serving-1" });
  t.regex(said.bytes.traceId, /^[0-9a-f]{32}$/);
  t.true(Math.abs(said.bytes.confidence - digit.source.confidence) < 1e-4);
  t.deepEqual(said.again.experience, said.bytes.experience, "the same id is the same request");
  t.like(said.floats, { v: 1, answer });
  t.is(Math.fround(said.floats.confidence), Math.fround(said.bytes.confidence), "bytes and floats are one picture");
  t.is(said.floats.explain.own.length, 10);
  t.like(said.short, { v: 1, id: "python-2", error: { code: "bad_tensor", field: "input.sh" } });
  t.like(said.labelled, { v: 1, id: "python-1", label: answer, of: said.bytes.experience });
  t.like(said.unknown, { v: 1, id: "python-9", error: { code: "bad_request", field: "id" } });
  t.is((await experiencesIn(running)).length, 2);
});
