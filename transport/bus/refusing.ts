// The one way to refuse a request that came over the bus.

import { encodeRefusal, type Refusal } from "../messages/wire.js";
import type { Incoming } from "./bus.js";

export function refuse(message: Incoming, refusal: Refusal): void {
  const { bytes, headers } = encodeRefusal(refusal);
  message.respond(bytes, headers);
}
