// What a cluster on this machine is started with.

import type { Minimums } from "../../supervision/faults/fault-guard.js";
import type { ClusterSettings } from "../../transport/access/context.js";
import type { Tls } from "../../transport/access/tls-files.js";
import type { Timeouts } from "../../transport/timeouts.js";
import type { HttpAddress } from "../http/http-address.js";
import type { ClientCredential, HttpTokens } from "../http/http-tokens.js";
import type { ListeningOptions } from "./listening.js";
import type { NodeRole } from "./run-options.js";

export interface LocalClusterOptions {
  readonly cluster: string;
  readonly serving: number;
  /** Learning nodes: one leads, the others stand by on its lease; 1 when left out. */
  readonly learning?: number;
  /** Roles whose nodes keep a hot spare (supervision/process/spare.ts); none when left out. */
  readonly spares?: readonly NodeRole[];
  /** Folders of the models. */
  readonly models: readonly string[];
  /** Where the context file goes. */
  readonly store: string;
  /** Where the embedded broker keeps the log; the store when left out. */
  readonly logStore?: string;
  /** A running server; without it one is started. */
  readonly nats?: {
    readonly url: string;
    readonly user?: string;
    readonly password?: string;
    readonly nkey?: string;
    readonly tls?: Tls;
  };
  /** Where the server that is started listens, and with which certificates; on loopback and without when left out. */
  readonly listening?: ListeningOptions;
  /** Copies of every stream on the servers of `nats`; one when left out. */
  readonly replicas?: number;
  readonly natsServer?: string;
  /** Where the operations node serves HTTP, and with which tokens; nowhere when left out. */
  readonly http?: {
    readonly address: HttpAddress;
    readonly tokens: HttpTokens;
    /** Requests a minute of one asker; the usual ones when left out. */
    readonly ratePerMinute?: number;
    /** As whom it asks for inferences on a broker that is not ours; as nobody when left out. */
    readonly client?: ClientCredential;
  };
  /** What the operations nodes go by, and the environment in which they find its secrets. */
  readonly operations?: { readonly file: string; readonly environment: Readonly<Record<string, string | undefined>> };
  /** Bound of each model's experience log; its update stream gets an eighth of it. */
  readonly logMaxBytes?: number;
  readonly searchPath: string;
  /** The file that node runs for a node: cli.js. */
  readonly entry: string;
  /** Environment of the nodes. */
  readonly env: Readonly<Record<string, string>>;
  /** What faults must leave of a pool, by role; all but one when left out. */
  readonly keep?: Minimums;
  /** File descriptor that takes the nodes' log lines; stderr when left out. */
  readonly output?: number;
  readonly timeouts?: Timeouts;
  /** Flags for every node, and what the context file tells the verbs of them. */
  readonly settings?: { readonly nodeFlags: readonly string[]; readonly context: ClusterSettings };
}
