// Service discovery: answers $SRV.PING, INFO and STATS in the NATS micro protocol, so that standard NATS tools find the cluster.
//
// Owns: the three answers. Does not own: the endpoints and their counters, which the caller hands over as a live view.
// Source: NATS ADR-32, types io.nats.micro.v1.{ping,info,stats}_response.

import { type DiscoveryVerb, discoverySubjects } from "../subjects.js";
import type { Bus, Subscribed } from "./bus.js";

export interface ServiceIdentity {
  readonly name: string;
  /** Unique per running instance. */
  readonly id: string;
  /** Semantic version. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What one endpoint did since `startedAtMs` of its service. */
export interface EndpointStats {
  readonly requests: number;
  readonly errors: number;
  readonly lastError: string;
  readonly processingMs: number;
}

export interface Endpoint {
  readonly name: string;
  readonly subject: string;
  readonly queueGroup: string;
  stats(): EndpointStats;
}

const encoder = new TextEncoder();
const nanosPerMs = 1_000_000;

/** Answers until the returned function is called. */
export function announceService(
  bus: Bus,
  identity: ServiceIdentity,
  /** A function is asked at each question: they may come and go. */
  given: readonly Endpoint[] | (() => readonly Endpoint[]),
  startedAtMs: number,
): () => void {
  const endpointsNow = (): readonly Endpoint[] => (typeof given === "function" ? given() : given);
  const answers: Readonly<Record<DiscoveryVerb, () => unknown>> = {
    PING: () => pingOf(identity),
    INFO: () => infoOf(identity, endpointsNow()),
    STATS: () => statsOf(identity, endpointsNow(), startedAtMs),
  };
  const subscriptions: Subscribed[] = [];
  for (const verb of ["PING", "INFO", "STATS"] as const) {
    for (const subject of discoverySubjects(verb, identity.name, identity.id)) {
      subscriptions.push(
        bus.subscribe(subject, {}, (message) => {
          message.respond(encoder.encode(JSON.stringify(answers[verb]())));
        }),
      );
    }
  }
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function pingOf(identity: ServiceIdentity) {
  const { name, id, version, metadata } = identity;
  return { type: "io.nats.micro.v1.ping_response", name, id, version, metadata };
}

function infoOf(identity: ServiceIdentity, endpoints: readonly Endpoint[]) {
  return {
    ...pingOf(identity),
    type: "io.nats.micro.v1.info_response",
    description: identity.description,
    endpoints: endpoints.map((endpoint) => ({
      name: endpoint.name,
      subject: endpoint.subject,
      queue_group: endpoint.queueGroup,
      metadata: {},
    })),
  };
}

function statsOf(identity: ServiceIdentity, endpoints: readonly Endpoint[], startedAtMs: number) {
  return {
    ...pingOf(identity),
    type: "io.nats.micro.v1.stats_response",
    started: new Date(startedAtMs).toISOString(),
    endpoints: endpoints.map((endpoint) => {
      const { requests, errors, lastError, processingMs } = endpoint.stats();
      return {
        name: endpoint.name,
        subject: endpoint.subject,
        queue_group: endpoint.queueGroup,
        num_requests: requests,
        num_errors: errors,
        last_error: lastError,
        processing_time: Math.round(processingMs * nanosPerMs),
        average_processing_time: requests === 0 ? 0 : Math.round((processingMs / requests) * nanosPerMs),
      };
    }),
  };
}
