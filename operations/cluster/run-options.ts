// What a person may say to the verbs that run a cluster: the parsed flags of `up`, `demo` and `node`.
//
// Owns: their names and units. Does not own: defaults that depend on the machine (operations/cluster/up.ts, sim/demo.ts, node.ts).

import type { HttpAddress } from "../http/http-address.js";
import type { SettingOptions } from "./cluster-settings.js";

export interface UpOptions extends SettingOptions {
  readonly json?: boolean;
  readonly serving: number;
  /** Folders of models; the digits when left out. */
  readonly model?: readonly string[];
  readonly store: string;
  /** What faults must leave of a pool of nodes; all but one when left out. */
  readonly keep?: Readonly<Partial<Record<NodeRole, number>>>;
  readonly cluster: string;
  /** Join this server instead of starting one. */
  readonly nats?: string;
  /** Copies of every stream, on so many of its servers; only with `nats`. */
  readonly replicas?: number;
  readonly user?: string;
  readonly password?: string;
  /** A file with the seed of --user. */
  readonly nkey?: string;
  /** Where the server that is started listens; loopback when left out. */
  readonly listen?: HttpAddress;
  /** Of the server that is started; with --nats of the connections to it. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** Clients need certificates of --tls-ca. */
  readonly tlsVerify?: boolean;
  readonly acceptKnownHoles?: boolean;
  readonly plaintext?: boolean;
  readonly natsServer?: string;
  /** Where HTTP is served; the default port, or any free one, when left out. False: nowhere. */
  readonly http?: HttpAddress | false;
  /** Requests a minute over HTTP from one asker; the usual ones when left out. */
  readonly httpRate?: number;
  /** False: no process waits to be the learning node's next incarnation. */
  readonly spare?: boolean;
  /** Bytes; bound of each model's experience log. */
  readonly logMax?: number;
  /** The PATH variable's value: where nats-server is looked for. */
  readonly searchPath: string;
  /** Where the operations file finds the secrets that it names as `env:NAME`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface DemoOptions extends UpOptions {
  /** Whichever of the two limits is reached first ends the demo; without any it goes on until Ctrl-C. */
  readonly requests?: number;
  /** Milliseconds. */
  readonly duration?: number;
  /** Requests per second at most; as fast as answers come when left out. */
  readonly rate?: number;
  readonly seed: number;
  /** Where the JSON report is written too. */
  readonly report?: string;
  /** The learning process is killed now and then. */
  readonly chaos?: boolean;
  /** The long name of the same. */
  readonly enableChaosTesting?: boolean;
  /** Of a kill in one iteration; only with chaos. */
  readonly workerCrashProbability?: number;
}

export type NodeRole = "serving" | "learning" | "operations";

export const meterSwitches = ["metrics", "traces", "both"] as const;
export type MeterSwitch = (typeof meterSwitches)[number];

export interface NodeOptions extends SettingOptions {
  readonly json?: boolean;
  readonly role: readonly NodeRole[];
  /** Several with commas between. */
  readonly nats: string;
  /** Copies of every stream; one when left out. */
  readonly replicas?: number;
  readonly user?: string;
  readonly password?: string;
  /** A file with the seed of --user; a root gives its nodes the seed in their environment. */
  readonly nkey?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly cluster: string;
  readonly name?: string;
  /** Counted by whoever restarts the node; 1 when a person starts it. */
  readonly incarnation: number;
  /** The run of the root that restarts the node; left out when a person starts it. */
  readonly run?: string;
  /** It waits to be told its incarnation. */
  readonly spare?: boolean;
  /** JSON of the restarts it answers for (supervision/tree/restart-intensity.ts). */
  readonly spent?: string;
  /** Folders of the models; the digits when left out. */
  readonly model?: readonly string[];
  /** Bytes; bound of each model's experience log. */
  readonly logMax?: number;
  /** Where an operations node serves HTTP; nowhere when left out. */
  readonly http?: HttpAddress;
  /** Requests a minute over HTTP from one asker; the usual ones when left out. */
  readonly httpRate?: number;
  /** Where the reports of stability runs lie that it shows; none when left out. */
  readonly httpReports?: string;
  /** Where the node notes which requests are in its models, for its next incarnation; nowhere when left out. */
  readonly flightDir?: string;
  /** Where the folders of added models go; a temporary directory when left out. */
  readonly modelCache?: string;
  /** What SIGUSR2 turns off and on, to find out what it costs. */
  readonly meterSwitch?: MeterSwitch;
}
