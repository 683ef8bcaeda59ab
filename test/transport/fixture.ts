// A real nats-server of its own for each test file, in a directory of its own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../supervision/clock.js";
import { type Broker, type BrokerOptions, startBroker } from "../../transport/broker.js";
import { type Bus, connectBus } from "../../transport/bus.js";
import { type Credentials, makeCredentials, type Role } from "../../transport/credentials.js";
import { findServer } from "../../transport/server-binary.js";
import { inboxPrefixOf, type Subjects, subjectsOf } from "../../transport/subjects.js";

export interface Cluster {
  readonly broker: Broker;
  readonly subjects: Subjects;
  readonly credentials: Credentials;
  readonly store: string;
  bus(role?: Role): Promise<Bus>;
  /** kill -9, wait for the death to be noticed, start again on the same ports. */
  killAndRestart(): Promise<void>;
  end(): Promise<void>;
}

export async function startCluster(given: Partial<BrokerOptions> = {}): Promise<Cluster> {
  const binary = await findServer({ mayFetch: false });
  const store = await mkdtemp(join(tmpdir(), "driftmend-test-"));
  const subjects = subjectsOf("driftmend");
  const credentials = makeCredentials();
  const broker = await startBroker({ binary, store, subjects, credentials, clock: systemClock, ...given });
  const buses: Bus[] = [];
  return {
    broker,
    subjects,
    credentials,
    store,
    bus: async (role = "node") => {
      const bus = await connectBus({
        url: broker.url,
        ...credentials[role],
        name: `test-${role}`,
        inboxPrefix: inboxPrefixOf(role),
        clock: systemClock,
      });
      buses.push(bus);
      return bus;
    },
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
