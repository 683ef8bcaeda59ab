// A process that owns a broker, prints the server's pid, and waits to be killed (broker.test.ts).

import { systemClock } from "../../supervision/clock.js";
import { makeCredentials } from "../../transport/access/credentials.js";
import { startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { subjectsOf } from "../../transport/subjects.js";

const broker = await startBroker({
  binary: await findServer({ mayFetch: false }),
  store: process.argv[2] ?? "",
  subjects: subjectsOf("owned"),
  credentials: makeCredentials(),
  clock: systemClock,
});
process.stdout.write(`${broker.pid}\n`);
