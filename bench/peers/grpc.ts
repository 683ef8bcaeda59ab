// The model over gRPC: one unary method, the picture as bytes, one HTTP/2 connection.
//
// Owns: the service's definition, and gRPC as far as the comparison needs it. Does not own: the model (runner.ts).
import { fileURLToPath } from "node:url";
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { Call, Serve } from "./peer.js";
import { bytesOf, pictureIn } from "./runner.js";

const proto = fileURLToPath(new URL("../../../bench/peers/digits.proto", import.meta.url));

interface Picture {
  readonly data: Uint8Array;
}

/** What the loaded definition calls itself is not known to the compiler: the shape is checked once, here. */
function inferMethod(): MethodDefinition<object, object> {
  const service = loadSync(proto)["digits.Digits"];
  const method: unknown = service === undefined ? undefined : Reflect.get(service, "Infer");
  if (!isMethod(method)) throw new Error("the service has no method Infer");
  return method;
}

function isMethod(value: unknown): value is MethodDefinition<object, object> {
  return typeof value === "object" && value !== null && "path" in value && "requestSerialize" in value;
}

export const serveGrpc: Serve = async (runner) => {
  const server = new Server();
  const implementation: UntypedServiceImplementation = {
    Infer: (call: { readonly request: Picture }, answer: (error: object | null, value?: object) => void) => {
      runner.infer(pictureIn(call.request.data)).then(
        (found) => answer(null, found),
        (error: Error) => answer({ code: status.INTERNAL, details: error.message }),
      );
    },
  };
  server.addService({ Infer: inferMethod() }, implementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return `127.0.0.1:${port}`;
};

export const callGrpc: Call = async (address, { pictures }) => {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = inferMethod();
  const requests = pictures.map((picture): Picture => ({ data: bytesOf(picture) }));
  return {
    ask: (picture, done) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, requests[picture] ?? {}, (error, reply) => {
        const index = reply === undefined ? undefined : Reflect.get(reply, "index");
        done(error === null && typeof index === "number" ? { index } : undefined);
      });
    },
    close: async () => client.close(),
  };
};
