// What a NATS server says of itself when somebody connects.
//
// Owns: which of its words matter here. Does not own: the connection (bus.ts), what is thought of them (operations/verbs/server-checks.ts).

export interface ServerFacts {
  readonly version: string;
  /** The address it was told to listen on. */
  readonly host: string;
  readonly payloadMaxBytes: number;
  readonly authRequired: boolean;
  readonly tlsRequired: boolean;
  /** "" for a server that stands alone. */
  readonly cluster: string;
  /** Addresses of the servers of its cluster. */
  readonly peers: readonly string[];
}

/** The INFO of the NATS protocol, as far as it is needed. */
interface Info {
  readonly version: string;
  readonly host: string;
  readonly max_payload: number;
  readonly auth_required?: boolean;
  readonly tls_required?: boolean;
  readonly cluster?: string;
  readonly connect_urls?: readonly string[];
}

export function factsOf(info: Info): ServerFacts {
  return {
    version: info.version,
    host: info.host,
    payloadMaxBytes: info.max_payload,
    authRequired: info.auth_required ?? false,
    tlsRequired: info.tls_required ?? false,
    cluster: info.cluster ?? "",
    peers: info.connect_urls ?? [],
  };
}
