// The model over HTTP with fastify: numbers as JSON, or their bytes; asked with Node's own client over connections that stay open.
//
// Owns: fastify and HTTP as far as the comparison needs them. Does not own: the model (runner.ts).
import { Agent, request } from "node:http";
import fastify from "fastify";
import type { Call, Serve } from "./peer.js";
import { bytesOf, pictureIn } from "./runner.js";

const loopback = "127.0.0.1";
const socketsMax = 64;
const inks = 255;

interface JsonRequest {
  readonly input: readonly number[];
}

/** As a person would write it: the schema lets fastify compile the answer's encoder. */
const schema = {
  response: { 200: { type: "object", properties: { index: { type: "integer" }, confidence: { type: "number" } } } },
} as const;

export const serveFastify: Serve = async (runner) => {
  const server = fastify({ logger: false });
  server.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
  server.post<{ Body: JsonRequest }>("/json", { schema }, ({ body }) => runner.infer(Float32Array.from(body.input)));
  server.post<{ Body: Uint8Array }>("/binary", { schema }, ({ body }) => runner.infer(pictureIn(body)));
  return server.listen({ host: loopback, port: 0 });
};

/** 1/255 and its multiples are written with as many digits as a double needs; a picture is mostly zeros. */
export const callFastifyJson: Call = async (address, { pictures }) => {
  const bodies = pictures.map((picture) =>
    Buffer.from(JSON.stringify({ input: Array.from(picture, (value) => Math.round(value * inks) / inks) })),
  );
  return poster(`${address}/json`, "application/json", bodies);
};

export const callFastifyBinary: Call = async (address, { pictures }) =>
  poster(`${address}/binary`, "application/octet-stream", pictures.map(bytesOf));

function poster(url: string, type: string, bodies: readonly Uint8Array[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  return {
    ask: (picture: number, done: (answer: { readonly index: number } | undefined) => void): void => {
      const body = bodies[picture];
      if (body === undefined) throw new RangeError(`no picture ${picture}`);
      const headers = { "content-type": type, "content-length": body.length };
      const sent = request(url, { method: "POST", agent, headers }, (reply) => {
        const parts: Buffer[] = [];
        reply.on("data", (part: Buffer) => parts.push(part));
        reply.on("end", () => done(reply.statusCode === 200 ? JSON.parse(Buffer.concat(parts).toString()) : undefined));
      });
      sent.on("error", () => done(undefined));
      sent.end(body);
    },
    close: async () => agent.destroy(),
  };
}
