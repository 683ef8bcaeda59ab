// The Open Inference Protocol against a made-up cluster: what is taken and in which form, what each row is asked with, what comes back,
// and what every refusal says.

import anyTest, { type ExecutionContext } from "ava";
import { type Datatype, datatypes, dtypeOf } from "../../../operations/http/kserve/datatypes.js";
import { rowsMax, versionOf } from "../../../operations/http/kserve/rows.js";
import { elementsOf, itemBytes, type Tensor } from "../../../transport/messages/codec.js";
import { refusalCodes } from "../../../transport/messages/wire.js";
import { local, type Scene, scene } from "./http-scene.js";
import { digits, traceIdOf } from "./made-up-cluster.js";
import { tritonAnswer, tritonRequest } from "./triton-bytes.js";

let shared: Scene;

anyTest.before(async () => {
  shared = await scene();
});

/** One server for all, one after the other, each with a cluster that was asked nothing. */
function test(title: string, run: (t: ExecutionContext, stage: Scene) => Promise<void>): void {
  anyTest.serial(title, async (t) => {
    const { cluster } = shared;
    cluster.asked.length = 0;
    cluster.instead.clear();
    cluster.atOnceMax = 0;
    cluster.isReachable = true;
    cluster.served = new Set(["digits", "pairs"]);
    await run(t, shared);
  });
}

const url = "/v2/models/pairs/infer";
const pair = { name: "input", shape: [2], datatype: "FP32", data: [1, 2] };

async function post(stage: Scene, payload: unknown, headers: Record<string, string> = {}, path = url) {
  const isJson = !(payload instanceof Uint8Array) && typeof payload !== "string";
  const answer = await stage.server.inject({
    method: "POST",
    url: path,
    headers: { ...local, ...(isJson ? { "content-type": "application/json" } : {}), ...headers },
    payload: isJson ? JSON.stringify(payload) : Buffer.from(payload as Uint8Array),
  });
  const length = answer.headers["inference-header-content-length"];
  return { ...answer, status: answer.statusCode, headLength: length === undefined ? undefined : `${length}` };
}

/** Status, code and words of a refusal. */
async function refusalOf(stage: Scene, payload: unknown, headers: Record<string, string> = {}) {
  const { status, body } = await post(stage, payload, headers);
  const { error, code } = JSON.parse(body);
  return `${status} ${code}: ${error}`;
}

const plain = ({ dt, sh, data }: Tensor) => ({ dt, sh: [...sh], data: Array.from(data, Number) });

test("a row in JSON is asked for as NATS would, and answered with label, index and confidence (S2-2)", async (t, stage) => {
  const parameters = { priority: 9, deadline_ms: 1_500 };
  const { status, body, headers } = await post(stage, { id: "one", parameters, inputs: [pair] });
  t.is(status, 200);
  t.is(headers["content-type"], "application/json; charset=utf-8");
  t.is(
    headers["content-security-policy"],
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  );
  t.deepEqual(JSON.parse(body), {
    model_name: "pairs",
    model_version: versionOf(digits),
    id: "one",
    parameters: {
      mode: "ensemble",
      model_version: "7",
      trace_id: traceIdOf("one"),
      experience: "1.0",
      node: "serving-1",
    },
    outputs: [
      { name: "label", datatype: "BYTES", shape: [1], data: ["3"] },
      { name: "index", datatype: "INT64", shape: [1], data: [3] },
      { name: "confidence", datatype: "FP32", shape: [1], data: [Math.fround(1 / 3)] },
    ],
  });
  const [asked] = stage.cluster.asked;
  t.deepEqual(asked === undefined ? undefined : plain(asked.input), { dt: "<f4", sh: [2], data: [1, 2] });
  t.like(asked, { model: "pairs", options: { id: "one", priority: 9, deadlineMs: 1_500, explain: false } });
});

test("tritonclient's bytes are taken without a Content-Type, and answered in binary form (S2-2)", async (t, stage) => {
  const raw = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
  const { body, headers } = tritonRequest(
    { name: "input", shape: [2, 2], datatype: "FP32", raw },
    { id: "t", timeout: 250_000 },
  );
  const answer = await post(stage, body, headers);
  t.is(answer.status, 200);
  t.is(answer.headers["content-type"], "application/octet-stream");
  t.is(Number(answer.headers["content-length"]), answer.rawPayload.byteLength);
  const read = tritonAnswer(answer.rawPayload, answer.headLength);
  t.deepEqual(read.values("label"), ["3", "7"]);
  t.deepEqual(read.values("index"), [3, 7]);
  t.deepEqual(read.values("confidence"), [Math.fround(1 / 3), Math.fround(1 / 3)]);
  t.is(read.parameters.mode, "ensemble,ensemble");
  t.deepEqual(
    stage.cluster.asked.map(({ options: { id, deadlineMs } }) => [id, deadlineMs]),
    [
      ["t/0", 250],
      ["t/1", 250],
    ],
  );
});

test("each output comes in the form that was asked for it, in the order asked (S2-2)", async (t, stage) => {
  const outputs = [
    { name: "confidence", parameters: { binary_data: true } },
    { name: "explain" },
    { name: "label", parameters: { binary_data: false } },
  ];
  const answer = await post(stage, { id: "x", inputs: [pair], outputs });
  const read = tritonAnswer(answer.rawPayload, answer.headLength);
  t.deepEqual(
    read.outputs.map(({ name }) => name),
    ["confidence", "explain", "label"],
  );
  t.deepEqual(
    read.outputs.map(({ parameters }) => parameters?.binary_data_size),
    [4, undefined, undefined],
  );
  t.like(JSON.parse(`${read.values("explain")[0]}`), { own: [1], weights: [1] });
  t.true(stage.cluster.asked[0]?.options.explain);
  const overridden = await post(stage, {
    parameters: { binary_data_output: true },
    inputs: [pair],
    outputs: [{ name: "label", parameters: { binary_data: false } }],
  });
  t.deepEqual(overridden.json().outputs[0].data, ["3"]);
});

test("every datatype of the protocol becomes ours, in binary form and, but for FP16, in JSON; BYTES and BF16 are refused by name (S2-2)", async (t, stage) => {
  for (const datatype of datatypes) {
    const dt = dtypeOf(datatype);
    const raw = Uint8Array.from({ length: 2 * itemBytes(dt) }, (_, index) => (dt === "|b1" ? index : index * 3));
    const { body, headers } = tritonRequest({ name: "input", shape: [2], datatype, raw });
    t.is((await post(stage, body, headers)).status, 200, datatype);
    const asked = stage.cluster.asked.at(-1)?.input ?? t.fail();
    t.is(asked?.dt, dt);
    const { data } = asked ?? { data: raw };
    t.deepEqual(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), raw, `${datatype} bit for bit`);
    const json = await post(stage, { inputs: [{ ...pair, datatype, data: dt === "|b1" ? [true, false] : [1, 0] }] });
    t.is(json.status, datatype === "FP16" ? 400 : 200, `${datatype} ${json.body}`);
    if (datatype !== "FP16") t.deepEqual(plain(stage.cluster.asked.at(-1)?.input ?? t.fail() ?? asked).data, [1, 0]);
  }
  for (const datatype of ["BYTES", "BF16"])
    t.regex(
      await refusalOf(stage, { inputs: [{ ...pair, datatype }] }),
      new RegExp(`400 bad_tensor: .*${datatype} is not taken`),
    );
  t.regex(await refusalOf(stage, { inputs: [{ ...pair, datatype: "toString" }] }), /400 bad_tensor: .*not known/);
});

const misfits: readonly (readonly [Datatype, unknown])[] = [
  ["UINT8", 256],
  ["UINT8", -1],
  ["INT8", 128],
  ["INT16", 1.5],
  ["INT32", 2 ** 31],
  ["INT64", 2 ** 53],
  ["UINT64", -1],
  ["BOOL", 2],
  ["FP32", "1"],
  ["FP64", null],
  ["FP32", {}],
  ["FP32", 1e39],
  ["FP32", -1e300],
];

test("a value that its type cannot hold is refused with its place, and nothing is asked", async (t, stage) => {
  for (const [datatype, value] of misfits)
    t.regex(
      await refusalOf(stage, { inputs: [{ ...pair, datatype, data: [1, value] }] }),
      new RegExp(`400 bad_tensor: inputs.0.data: element 1 is no ${datatype}`),
    );
  t.deepEqual(stage.cluster.asked, []);
});

test("nested and flat data are the same tensor (S2-2)", async (t, stage) => {
  for (const data of [
    [1, 2, 3, 4],
    [
      [1, 2],
      [3, 4],
    ],
  ])
    await post(stage, { id: "n", inputs: [{ ...pair, shape: [2, 2], data }] });
  const [first, second, third, fourth] = stage.cluster.asked.map(({ input }) => plain(input));
  t.deepEqual([first, second], [third, fourth]);
});

test("a batch is cut into rows with ids of their own, the same ones each time; more than the most are refused (S2-2)", async (t, stage) => {
  const batch = (count: number) => ({
    id: "b",
    inputs: [{ ...pair, shape: [count, 2], data: Array(count * 2).fill(1) }],
  });
  await post(stage, batch(3));
  await post(stage, batch(3));
  t.deepEqual(
    stage.cluster.asked.map(({ options }) => options.id),
    ["b/0", "b/1", "b/2", "b/0", "b/1", "b/2"],
  );
  t.regex(await refusalOf(stage, batch(0)), /400 bad_tensor: .*no rows/);
  t.regex(await refusalOf(stage, batch(rowsMax + 1)), /413 too_large: .*256 rows/);
  t.regex(await refusalOf(stage, { ...batch(2), id: "x".repeat(128) }), /400 bad_request: id: .*128/);
});

test("of a large batch so many rows are under way at once and no more", async (t, stage) => {
  const shape = [rowsMax, 2];
  const { status, body } = await post(stage, { inputs: [{ ...pair, shape, data: Array(rowsMax * 2).fill(0) }] });
  t.is(status, 200);
  t.is(JSON.parse(body).outputs[0].data.length, rowsMax);
  t.is(stage.cluster.atOnceMax, 32);
});

test("a picture with and without its batch dimension is one row or a batch; other shapes go to the cluster as they are (S2-2)", async (t, stage) => {
  const ask = async (shape: readonly number[]) => {
    stage.cluster.asked.length = 0;
    const inputs = [{ name: "input", shape, datatype: "UINT8", data: Array(elementsOf(shape)).fill(0) }];
    await post(stage, { id: "p", inputs }, {}, "/v2/models/digits/infer");
    return stage.cluster.asked.map(({ input, options }) => `${options.id} [${input.sh}]`);
  };
  t.deepEqual(await ask([28, 28]), ["p [28,28]"]);
  t.deepEqual(await ask([1, 28, 28]), ["p [1,28,28]"]);
  t.deepEqual(await ask([2, 28, 28]), ["p/0 [28,28]", "p/1 [28,28]"]);
  t.deepEqual(await ask([2, 1, 28, 28]), ["p/0 [1,28,28]", "p/1 [1,28,28]"]);
  t.deepEqual(await ask([3, 3]), ["p [3,3]"]);
});

test("the first row that is refused is the answer, with its number, its code and when to come back", async (t, stage) => {
  const inputs = [{ ...pair, shape: [3, 2], data: [1, 1, 1, 1, 1, 1] }];
  stage.cluster.instead.set("r/1", {
    kind: "refusal",
    refusal: { code: "overloaded", message: "too many are open", retryAfterMs: 2_400 },
    tries: 1,
  });
  const answer = await post(stage, { id: "r", inputs });
  t.is(answer.status, 503);
  t.is(answer.headers["retry-after"], "3");
  t.regex(answer.json().error, /^row 1: too many are open: .*same id/);
  t.is(answer.json().code, "overloaded");
});

test("every refusal of the cluster has a status, and its code is kept", async (t, stage) => {
  const seen: Record<string, number> = {};
  for (const code of refusalCodes) {
    stage.cluster.instead.set("c", { kind: "refusal", refusal: { code, message: "words" }, tries: 1 });
    const { status, body } = await post(stage, { id: "c", inputs: [pair] });
    t.is(JSON.parse(body).code, code);
    seen[code] = status;
  }
  t.like(seen, { bad_tensor: 400, unknown_model: 404, too_large: 413, not_ready: 503, overloaded: 503, shed: 503 });
  t.like(seen, { deadline: 504, circuit_open: 503, log_unavailable: 503, internal: 500 });
  for (const [why, status] of [
    ["timeout", 504],
    ["no_responders", 503],
    ["closed", 503],
    ["denied", 503],
    ["garbled", 502],
  ] as const) {
    stage.cluster.instead.set("c", { kind: "failed", why, message: "secret words of the bus", tries: 1 });
    t.is((await post(stage, { id: "c", inputs: [pair] })).status, status, why);
  }
  stage.cluster.isReachable = false;
  t.regex(await refusalOf(stage, { id: "c", inputs: [pair] }), /^503 not_ready: /);
});

test("lengths that lie are refused before anything is made of them (S2-2)", async (t, stage) => {
  const raw = new Uint8Array(new Float32Array([1, 2]).buffer);
  const { body, headers } = tritonRequest({ name: "input", shape: [2], datatype: "FP32", raw });
  const length = Number(headers["Inference-Header-Content-Length"]);
  for (const lie of [
    "0",
    "-1",
    `${length + raw.length + 1}`,
    "4294967296",
    "1e3",
    "0x10",
    "",
    "NaN",
    `${length}, ${length}`,
  ])
    t.regex(
      await refusalOf(stage, body, { "Inference-Header-Content-Length": lie }),
      /^400 bad_request: Inference-Header-Content-Length/,
      lie,
    );
  t.regex(
    await refusalOf(stage, body, { "Inference-Header-Content-Length": `${length - 1}` }),
    /^400 bad_request: the body is not JSON/,
  );
  t.regex(await refusalOf(stage, body), /^400 bad_request: .*not JSON: where binary data follows/);
  for (const size of [0, 7, 9, 2 ** 31 - 1]) {
    const head = JSON.stringify({ inputs: [{ ...pair, data: undefined, parameters: { binary_data_size: size } }] });
    const said = await refusalOf(stage, Buffer.concat([Buffer.from(head), raw]), {
      "inference-header-content-length": `${Buffer.byteLength(head)}`,
    });
    t.regex(said, /^400 bad_tensor: inputs.0.parameters.binary_data_size/, `${size}`);
  }
  const huge = { ...pair, shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1] };
  t.regex(await refusalOf(stage, { inputs: [huge] }), /^400 bad_tensor: inputs.0.data: holds 2 elements/);
  t.regex(
    await refusalOf(stage, { inputs: [{ ...pair, shape: [1, 1, 1, 1, 1, 1, 1, 1, 2] }] }),
    /^400 bad_tensor: inputs.0.sh/,
  );
  t.deepEqual(stage.cluster.asked, []);
});

const strange: readonly (readonly [string, unknown, RegExp])[] = [
  ["no inputs", { inputs: [] }, /bad_request: inputs/],
  ["two inputs", { inputs: [pair, pair] }, /bad_request: inputs/],
  [
    "another name",
    { inputs: [{ ...pair, name: "image" }] },
    /bad_request: inputs.0.name: pairs has one input, "input"/,
  ],
  ["neither data nor size", { inputs: [{ ...pair, data: undefined }] }, /bad_tensor: inputs.0: has neither/],
  ["shared memory", { inputs: [{ ...pair, parameters: { shared_memory_region: "r" } }] }, /shared_memory_region/],
  [
    "classification",
    { inputs: [pair], outputs: [{ name: "label", parameters: { classification: 3 } }] },
    /classification/,
  ],
  ["an output that is not", { inputs: [pair], outputs: [{ name: "logits" }] }, /no "logits"; there is label/],
  ["a priority beyond ten", { inputs: [pair], parameters: { priority: 11 } }, /bad_request: parameters.priority/],
  ["a deadline of an hour", { inputs: [pair], parameters: { deadline_ms: 3_600_000 } }, /120000 ms at most/],
  ["an id with a line break", { id: "a\r\nNats-Msg-Id: b", inputs: [pair] }, /bad_request: id: must have no control/],
  ["a list", [1], /bad_request: the body/],
  [
    "deep nesting",
    { inputs: [{ ...pair, data: JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`) }] },
    /nested deeper than 16/,
  ],
  [
    "more items than the thread has time for",
    `{"inputs":[{"name":"input","shape":[2],"datatype":"UINT8","data":[${"0,".repeat(524_289)}0]}]}`,
    /bad_request: the JSON is more than 524288 items/,
  ],
  [
    "more members than an honest request has",
    `{"parameters":{${Array.from({ length: 8_200 }, (_, index) => `"k${index}":1`).join(",")}},"inputs":[]}`,
    /bad_request: the JSON is more than 8192 members of objects/,
  ],
  ["too few elements", { inputs: [{ ...pair, data: [1] }] }, /holds 1 elements; the shape \[2\] has 2/],
];

test("whatever else is strange about a request is refused by name, and nothing is asked (S2-2)", async (t, stage) => {
  for (const [what, body, words] of strange) {
    t.regex(await refusalOf(stage, body), words, what);
    // The large ones are read in turns.
    await stage.cluster.clock.advance(1);
  }
  t.deepEqual(stage.cluster.asked, []);
});

test("what is not known in a request is passed by, and prototypes stay as they are", async (t, stage) => {
  const text = `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"model_name":"x","inputs":[{"name":"input","shape":[2],"datatype":"FP32","data":[1,2],"__proto__":{"polluted":1}}],"parameters":{"sequence_id":7,"__proto__":{"priority":9}}}`;
  t.is((await post(stage, Buffer.from(text), { "content-type": "application/json" })).status, 200);
  t.is(Reflect.get({}, "polluted"), undefined);
  t.is(stage.cluster.asked[0]?.options.priority, undefined);
});

test("a trace is gone on with, one that is none is not", async (t, stage) => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await post(stage, { inputs: [pair] }, { traceparent });
  await post(stage, { inputs: [pair] }, { traceparent: "00-nonsense" });
  t.deepEqual(
    stage.cluster.asked.map(({ options }) => options.traceparent),
    [traceparent, undefined],
  );
});

test("a server and its models describe themselves; a version is the model that is there (S2-2)", async (t, stage) => {
  const { server, cluster } = stage;
  const get = async (path: string) => {
    const { statusCode, body } = await server.inject({ url: path, headers: local });
    return [statusCode, JSON.parse(body)];
  };
  const version = versionOf(digits);
  t.deepEqual(await get("/v2"), [200, { name: "driftmend", version: "1.2.3", extensions: ["binary_tensor_data"] }]);
  t.deepEqual(await get("/v2/health/live"), [200, { live: true }]);
  t.deepEqual(await get("/v2/health/ready"), [200, { ready: true }]);
  const [, model] = await get("/v2/models/digits");
  t.like(model, { name: "digits", versions: [version], platform: "onnxruntime_onnx" });
  t.deepEqual(model.inputs, [{ name: "input", datatype: "FP32", shape: [-1, 1, 28, 28] }]);
  t.deepEqual(model.parameters, { datatypes: "FP32 UINT8" });
  t.deepEqual(await get(`/v2/models/digits/versions/${version}/ready`), [200, { name: "digits", ready: true }]);
  t.is((await get("/v2/models/digits/versions/1"))[0], 404);
  t.is((await get("/v2/models/a.b/ready"))[0], 404);
  cluster.served = new Set(["pairs"]);
  t.deepEqual(await get("/v2/health/ready"), [503, { ready: false }]);
  t.deepEqual(await get("/v2/models/digits/ready"), [503, { name: "digits", ready: false }]);
  t.deepEqual(await get("/v2/models/pairs/ready"), [200, { name: "pairs", ready: true }]);
  t.is((await server.inject({ method: "HEAD", url: "/v2/health/ready", headers: local })).statusCode, 503);
});
