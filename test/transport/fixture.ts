// A real nats-server of its own for each test file, in a directory of its own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../supervision/clock.js";
import {
  type Credential,
  type Credentials,
  identityOf,
  makeCredentials,
  makePassword,
  type Role,
} from "../../transport/access/credentials.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { type Broker, type BrokerOptions, startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { type Subjects, subjectsOf } from "../../transport/subjects.js";
import { withTimeouts } from "../../transport/timeouts.js";

/** Of a machine that does much else at the same time. */
export const patient = withTimeouts({ connect: 30_000 });

export interface Cluster {
  readonly broker: Broker;
  readonly subjects: Subjects;
  readonly credentials: Credentials;
  readonly store: string;
  bus(role?: Role): Promise<Bus>;
  /** In the rights of whoever keeps the server, which no role has: everything. */
  keeper(): Promise<Bus>;
  /** kill -9, wait for the death to be noticed, start again on the same ports. */
  killAndRestart(): Promise<void>;
  end(): Promise<void>;
}

export async function startCluster(given: Partial<BrokerOptions> = {}): Promise<Cluster> {
  const binary = await findServer({ mayFetch: false });
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  const subjects = subjectsOf("driftmend");
  const { credentials = makeCredentials() } = given;
  const keeper = { credential: makePassword("keeper"), permissions: { publish: [">"], subscribe: [">"] } };
  const users = [...(given.users ?? []), keeper];
  const broker = await startBroker({ binary, store, subjects, credentials, clock: systemClock, ...given, users });
  const buses: Bus[] = [];
  const connect = async (name: string, credential: Credential): Promise<Bus> => {
    const trust = given.trust === undefined ? {} : { tls: given.trust };
    const to = { url: broker.url, name, clock: systemClock, timeouts: patient };
    const bus = await connectBus({ ...to, ...identityOf(credential), ...trust });
    buses.push(bus);
    return bus;
  };
  return {
    broker,
    subjects,
    credentials,
    store,
    bus: (role = "node") => connect(`test-${role}`, credentials[role]),
    keeper: () => connect("test-keeper", keeper.credential),
    killAndRestart: async () => {
      const died = new Promise<void>((resolve) => {
        const stop = broker.onExit(() => {
          stop();
          resolve();
        });
      });
      process.kill(broker.pid, "SIGKILL");
      await died;
      await broker.restart();
    },
    end: async () => {
      for (const bus of buses) await bus.close();
      await broker.stop();
      await rm(store, { recursive: true, force: true });
    },
  };
}

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const said = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Resolves with the first value that the listener is called with and that `wanted` takes. */
export function next<T>(
  listen: (listener: (value: T) => void) => () => void,
  wanted: (value: T) => boolean,
): Promise<T> {
  return new Promise((resolve) => {
    const stop = listen((value) => {
      if (!wanted(value)) return;
      stop();
      resolve(value);
    });
  });
}
