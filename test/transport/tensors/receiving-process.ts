// A process that fetches one large tensor and stops half-way, to be killed: argv is the server and the tensor's reference, its credential is in
// the environment.

import { systemClock } from "../../../supervision/clock.js";
import { connectBus } from "../../../transport/bus/bus.js";
import type { TensorRef } from "../../../transport/messages/tensor-ref.js";
import { inboxPrefixOf, subjectsOf } from "../../../transport/subjects.js";
import { chunkBytesMax } from "../../../transport/tensors/bounds.js";
import { TensorBuffers } from "../../../transport/tensors/buffers.js";
import { TensorReceiver } from "../../../transport/tensors/receiver.js";

export interface Told {
  readonly received: number;
}

const [url = "", given = "{}"] = process.argv.slice(2);
const ref: TensorRef = JSON.parse(given);
const credential = JSON.parse(process.env.TEST_CREDENTIAL ?? "{}");
const inboxPrefix = inboxPrefixOf(credential.user);
const bus = await connectBus({ url, ...credential, inboxPrefix, name: "half-way", clock: systemClock });
const subjects = subjectsOf("driftmend");
const buffers = new TensorBuffers(systemClock);
const subscribe = bus.subscribe.bind(bus);
let received = 0;
bus.subscribe = (subject, options, handler) =>
  subscribe(subject, options, (message) => {
    received += message.data.byteLength;
    if (received <= 5 * chunkBytesMax) return handler(message);
    const told: Told = { received };
    process.send?.(told);
    // Nothing more is taken: it stands still here until it is killed.
    return undefined;
  });
const receiver = new TensorReceiver({ bus, subjects, node: "half-way", clock: systemClock, buffers });
receiver.listen();
await receiver.fetch(ref, { bytes: ref.bytes, offset: 0 }, new AbortController().signal);
