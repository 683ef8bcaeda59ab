// What a cluster was told beside its defaults, on its way from the command line to the nodes and to the verbs.
//
// Owns: the spelling for a node's command line and for the context file. Does not own: reading flags (verbs/flags.ts), the defaults.

import { type GuardrailValues, guardrailNames, said } from "../../models/learning/guard-limits.js";
import type { ExecutionProvider } from "../../models/serving/execution-provider.js";
import type { LogLevel } from "../../supervision/logger.js";
import type { ClusterSettings } from "../../transport/access/context.js";
import { type Timeouts, timeoutNames } from "../../transport/timeouts.js";
import type { OverflowPolicy } from "../overflow.js";

/** The flags that `up`, `demo` and `node` share. */
export interface SettingOptions {
  /** Only those that were given. */
  readonly timeout?: Partial<Timeouts>;
  readonly overflow?: OverflowPolicy;
  /** Requests open at once on one node, at most. */
  readonly openMax?: number;
  /** The operations file (operations-settings.ts); read by operations nodes alone. */
  readonly operations?: string;
  /** "off", "errors", "all", or a part of all. */
  readonly trace?: string;
  /** Where spans are sent; nowhere when left out. */
  readonly otlp?: string;
  readonly logLevel?: LogLevel;
  /** Where shared memory is mounted, for large tensors between processes of one host; "off": they come in chunks. */
  readonly shm?: string;
  /** Where models compute; the CPU where it is not available. */
  readonly ep?: ExecutionProvider;
  readonly guardrail?: GuardrailValues;
  readonly unsafeGuardrails?: boolean;
}

export function nodeFlagsOf(options: SettingOptions): string[] {
  const { timeout = {}, overflow, openMax, guardrail = {}, unsafeGuardrails } = options;
  return [
    ...timeoutNames.flatMap((name) => (timeout[name] === undefined ? [] : ["--timeout", `${name}=${timeout[name]}ms`])),
    ...(overflow === undefined ? [] : ["--overflow", overflow]),
    ...(openMax === undefined ? [] : ["--open-max", `${openMax}`]),
    ...(options.trace === undefined ? [] : ["--trace", options.trace]),
    ...(options.otlp === undefined ? [] : ["--otlp", options.otlp]),
    ...(options.logLevel === undefined ? [] : ["--log-level", options.logLevel]),
    ...(options.shm === undefined ? [] : ["--shm", options.shm]),
    ...(options.ep === undefined ? [] : ["--ep", options.ep]),
    ...guardrailNames.flatMap((name) => {
      const value = guardrail[name];
      return value === undefined ? [] : ["--guardrail", `${name}=${said(name, value)}`];
    }),
    ...(unsafeGuardrails === true ? ["--unsafe-guardrails"] : []),
  ];
}

export function clusterSettingsOf(options: SettingOptions): ClusterSettings {
  const { timeout = {}, overflow, openMax, guardrail = {}, unsafeGuardrails = false } = options;
  return {
    timeouts: timeout,
    guardrails: Object.fromEntries(guardrailNames.flatMap((name) => pair(name, guardrail[name]))),
    unsafeGuardrails,
    ...(overflow === undefined ? {} : { overflow }),
    ...(openMax === undefined ? {} : { openMax }),
  };
}

/** Guardrails as a context file names them. */
export function guardrailsIn({ guardrails }: ClusterSettings): GuardrailValues {
  return Object.fromEntries(guardrailNames.flatMap((name) => pair(name, guardrails[name])));
}

function pair(name: string, value: number | undefined): readonly (readonly [string, number])[] {
  return value === undefined ? [] : [[name, value]];
}
