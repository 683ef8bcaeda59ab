// How a node serves HTTP: what it is told by whoever starts it.

import type { HttpAddress } from "./http-address.js";
import type { HttpTokens } from "./http-tokens.js";

export interface HttpSettings {
  readonly address: HttpAddress;
  readonly tokens: HttpTokens | undefined;
  /** Folder of the reports of stability runs. */
  readonly reports?: string;
}
