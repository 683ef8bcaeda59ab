// How what the bus sends becomes a publication of the NATS client, and how its requests use the connection.
//
// Owns: these two adapters. Does not own: the connection (bus.ts), the requests in flight (bus-requests.ts).

import type { NatsConnection, PublishOptions } from "@nats-io/transport-node";
import { type Headers, natsHeaders, viewOf } from "./bus-outcome.js";
import type { Wire } from "./bus-requests.js";

/** The requests' way to the connection. */
export function wireOver(connection: NatsConnection): Wire {
  return {
    listen: (subject, take, refused) => {
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) refused(error);
          else take(message.subject, message.data, viewOf(message));
        },
      });
    },
    send: (subject, data, reply, headers) => {
      connection.publish(subject, data, sendOptions(headers, reply));
    },
  };
}

export function sendOptions(headers: Headers | undefined, reply: string | undefined): PublishOptions {
  const options: PublishOptions = {};
  if (headers !== undefined) options.headers = natsHeaders(headers);
  if (reply !== undefined) options.reply = reply;
  return options;
}
