// How a node serves HTTP: what it is told by whoever starts it.

import type { DriftmendClient } from "../../transport/client.js";
import type { HttpAddress } from "./http-address.js";
import type { HttpTokens } from "./http-tokens.js";

export interface HttpSettings {
  readonly address: HttpAddress;
  readonly tokens: HttpTokens | undefined;
  /** Folder of the reports of stability runs. */
  readonly reports?: string;
  /** Requests a minute of one asker; `usualRate` when left out. */
  readonly ratePerMinute?: number;
  /** A connection as a client, over which inferences that come by HTTP are asked for; without it there are none. */
  readonly connectClient?: () => Promise<DriftmendClient>;
}

/** Requests a minute of a token's holder at one address, by where it listens: on loopback only a runaway loop reaches it. */
export const usualRate: Readonly<Record<"loopback" | "network", number>> = { loopback: 600_000, network: 6_000 };
