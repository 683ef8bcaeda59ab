// The published description and what is really answered: one is held against the other, as a stranger's program would.

import test from "ava";
import { z } from "zod";
import { versionOf } from "../../../operations/http/kserve/rows.js";
import { errorSchema, inferenceErrorSchema } from "../../../operations/http/route.js";
import { asOperator, local, scene, traceId } from "./http-scene.js";
import { digits } from "./made-up-cluster.js";

interface Described {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>
  >;
  readonly security?: readonly object[];
}

/** What stands in the document, as a schema: read back from its JSON alone. */
function schemaOf(document: Described, schema: object): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas });
  return z.fromJSONSchema(JSON.parse(text.replaceAll("#/components/schemas/", "#/$defs/")));
}

async function published() {
  const stage = await scene();
  stage.report("degraded");
  const answer = await stage.server.inject({ url: "/openapi.json", headers: local });
  const document: Described = answer.json();
  return { ...stage, document };
}

const examples: Readonly<Record<string, string>> = {
  "/api/traces/{id}": `/api/traces/${traceId}`,
  "/api/stability/{id}": "/api/stability/run-1",
  "/v2/models/{model}": "/v2/models/digits",
  "/v2/models/{model}/ready": "/v2/models/digits/ready",
  "/v2/models/{model}/versions/{version}": `/v2/models/digits/versions/${versionOf(digits)}`,
  "/v2/models/{model}/versions/{version}/ready": `/v2/models/digits/versions/${versionOf(digits)}/ready`,
};

/** A stream that does not end is read elsewhere (live.test.ts). */
const endless = ["/api/events"];

test("every GET answers as /openapi.json says it does (S1-38, S4-59)", async (t) => {
  const { server, document } = await published();
  const paths = Object.entries(document.paths).filter(
    ([path, { get }]) => get !== undefined && !endless.includes(path),
  );
  t.true(paths.length >= 14, `all are described: ${paths.map(([path]) => path).join(" ")}`);
  for (const [path, { get }] of paths) {
    const answer = await server.inject({ url: examples[path] ?? path, headers: local });
    t.is(answer.statusCode, 200, path);
    const type = String(answer.headers["content-type"]).split(";")[0] ?? "";
    const described = get?.responses["200"]?.content[type];
    if (described === undefined) {
      t.fail(`${path} answers with ${type}, which is not described`);
      continue;
    }
    if (type !== "application/json") continue;
    const parsed = schemaOf(document, described.schema).safeParse(answer.json());
    t.true(parsed.success, `${path}: ${parsed.success ? "" : z.prettifyError(parsed.error)}`);
  }
});

const inference = { inputs: [{ name: "input", shape: [2], datatype: "FP32", data: [1, 2] }] };

test("every POST answers as described", async (t) => {
  const { server, document } = await published();
  const bodies: Readonly<Record<string, object>> = {
    "/api/chaos": { node: "root", target: "learning-1", mode: "sigkill" },
    "/api/alerts/ack": { fingerprint: "a:b", note: "" },
    "/api/alerts/silence": { matches: "a", for: "1m", note: "" },
    "/api/dlq/{id}/requeue": {},
    "/v2/models/{model}/infer": inference,
    "/v2/models/{model}/versions/{version}/infer": inference,
  };
  const paths = Object.entries(document.paths).filter(([, { post }]) => post !== undefined);
  t.deepEqual(paths.map(([path]) => path).sort(), Object.keys(bodies).sort());
  for (const [path, { post }] of paths) {
    const url = path.replace("{id}", "1").replace("{model}", "pairs").replace("{version}", versionOf(digits));
    const answer = await server.inject({
      method: "POST",
      url,
      headers: { ...local, ...asOperator },
      payload: bodies[path] ?? {},
    });
    const parsed = schemaOf(document, post?.responses["200"]?.content["application/json"]?.schema ?? {}).safeParse(
      answer.json(),
    );
    t.true(answer.statusCode === 200 && parsed.success, `${path}: ${answer.body}`);
    const isOrder = path.startsWith("/api/");
    t.deepEqual(post?.security, isOrder ? [{ token: [] }] : [{ token: [] }, {}], "an order needs a token");
  }
});

test("an answer that drifted from its description is noticed by the same check (S4-59)", async (t) => {
  const { document } = await published();
  const schema = document.paths["/api/tree"]?.get?.responses["200"]?.content["application/json"]?.schema ?? {};
  const tree = { name: "root", kind: "root", generation: 1, state: "running", restarts: 0, children: [] };
  t.true(schemaOf(document, schema).safeParse(tree).success);
  for (const drifted of [
    { ...tree, generation: "1" },
    { ...tree, kind: "leaf" },
    { ...tree, state: undefined },
    { ...tree, children: [{}] },
  ])
    t.false(schemaOf(document, schema).safeParse(JSON.parse(JSON.stringify(drifted))).success);
});

test("an answer that is not as described is kept back as an error by name, and its body says nothing of it (S4-59)", async (t) => {
  const secret = "password-of-somebody";
  const { server } = await scene({
    sources: {
      learning: async () => ({ kind: "found", value: JSON.parse(`{"v":1,"models":[{"name":"${secret}"}]}`) }),
    },
  });
  const answer = await server.inject({ url: "/api/learning", headers: local });
  t.is(answer.statusCode, 500);
  t.is(answer.json().error.code, "answer_drifted");
  t.notRegex(answer.body, new RegExp(secret));
});

test("the description is of this version, and refers to nothing that is not in it", async (t) => {
  const { document } = await published();
  t.is(document.openapi, "3.1.0");
  t.is(document.info.version, "1.2.3");
  const text = JSON.stringify(document);
  const named = [...text.matchAll(/#\/components\/schemas\/([A-Za-z]+)/g)].map(([, name]) => name ?? "");
  t.true(named.includes("ClusterMetrics") && named.includes("TreeNode"));
  for (const name of named) t.true(name in document.components.schemas, name);
  for (const name of Object.keys(document.components.schemas)) t.true(named.includes(name), `${name} is referred to`);
});

test("errors have their one shape, from the first byte of a request on", async (t) => {
  const { server } = await scene();
  const post = { method: "POST", url: "/api/chaos", headers: { ...local, ...asOperator } } as const;
  const answers = [
    await server.inject({ url: "/nope", headers: local }),
    await server.inject({ method: "DELETE", url: "/api/tree", headers: local }),
    await server.inject({ url: "/api/metrics", headers: local }),
    await server.inject({ url: "/api/tree", headers: { host: "evil.example" } }),
    await server.inject({ ...post, payload: "{", headers: { ...post.headers, "content-type": "application/json" } }),
    await server.inject({ ...post, payload: "node=a", headers: { ...post.headers, "content-type": "text/plain" } }),
    await server.inject({ ...post, payload: { node: "a" } }),
    await server.inject({ ...post, payload: { node: "x".repeat(70_000) } }),
    await server.inject({
      ...post,
      payload: '{"__proto__":{"a":1},"node":"a","target":"b","mode":"kill"}',
      headers: { ...post.headers, "content-type": "application/json" },
    }),
  ];
  t.deepEqual(
    answers.map(({ statusCode }) => statusCode),
    [404, 404, 503, 403, 400, 415, 400, 413, 400],
  );
  for (const answer of answers) {
    t.true(errorSchema.safeParse(answer.json()).success, answer.body);
    t.notRegex(answer.body, /node_modules|\.js:|at .*\(/);
  }
});

test("under /v2 errors have the shape of the protocol, from the first byte of a request on (S2-2)", async (t) => {
  const { server } = await scene({ access: { reach: "network" } });
  const post = { method: "POST", url: "/v2/models/digits/infer", headers: { ...local, ...asOperator } } as const;
  const answers = [
    await server.inject({ url: "/v2/nope", headers: { ...local, ...asOperator } }),
    await server.inject({ url: "/v2", headers: local }),
    await server.inject({ url: "/v2/models/nope", headers: { ...local, ...asOperator } }),
    await server.inject({ ...post, payload: "{" }),
    await server.inject({ ...post, payload: "<a/>", headers: { ...post.headers, "content-type": "text/xml" } }),
    await server.inject({ ...post, payload: "{}", headers: { ...post.headers, "content-encoding": "gzip" } }),
    await server.inject({ ...post, payload: Buffer.alloc(33 * 1024 * 1024) }),
  ];
  t.deepEqual(
    answers.map(({ statusCode }) => statusCode),
    [404, 401, 404, 400, 415, 415, 413],
  );
  for (const answer of answers) t.true(inferenceErrorSchema.safeParse(answer.json()).success, answer.body);
});

test("what goes wrong inside is told without its words", async (t) => {
  const { server } = await scene({ sources: { tree: () => Promise.reject(new Error("secret at /home/somebody")) } });
  const answer = await server.inject({ url: "/api/tree", headers: local });
  t.is(answer.statusCode, 500);
  t.is(answer.json().error.code, "internal");
  t.notRegex(answer.body, /secret|home/);
});
