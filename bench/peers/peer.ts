// What a peer is to the benchmark: something that serves the model in a process of its own, and something that asks it from another.
//
// Owns: these two shapes and the words between the processes. Does not own: any wire (one file beside this one each).

import type { Answer, Runner, Way } from "./runner.js";

export const wires = ["in process", "fastify json", "fastify binary", "moleculer", "grpc", "work queue"] as const;
export type Wire = (typeof wires)[number];

export interface Peer {
  readonly wire: Wire;
  readonly way: Way;
}

export function nameOf({ wire, way }: Peer): string {
  return way === "batched" || wire === "in process" ? `${wire}, batched` : wire;
}

/** Serving: resolves once requests are answered, with the address to ask at. */
export type Serve = (runner: Runner, at: { readonly natsUrl: string; readonly name: string }) => Promise<string>;

/** Asking. `done` is called once with the answer; undefined when there is none. No promise per request: it would be the load's, not the wire's. */
export interface Caller {
  ask(picture: number, done: (answer: Pick<Answer, "index"> | undefined) => void): void;
  close(): Promise<void>;
}

/** Opens what asks. `pictures`: all of them, to be encoded before anything is timed. */
export type Call = (
  address: string,
  at: { readonly natsUrl: string; readonly pictures: readonly Float32Array[] },
) => Promise<Caller>;

/** From a server once it serves. */
export interface Listening {
  readonly kind: "listening";
  readonly address: string;
}

/** To the load: whom to ask from now on. Answered with Opened. */
export interface OpenOrder {
  readonly kind: "open";
  readonly id: number;
  readonly name: string;
  readonly wire: Wire;
  readonly address: string;
}
export interface Opened {
  readonly kind: "opened";
  readonly id: number;
}

/** To the load: one closed loop against a peer; answered with a LoadReport (conversation.ts). */
export interface PeerLoadOrder {
  readonly kind: "load";
  readonly id: number;
  readonly name: string;
  readonly inFlight: number;
  readonly durationMs: number;
  readonly requests: number;
}
