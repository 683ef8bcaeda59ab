// A program of somebody else: a NATS client and msgpack, a telemetry user's password, and nothing of this project. It listens to
// `{c}.telemetry.>` and prints each message as a line of JSON: subject and payload. The first line says that it listens.

import { connect } from "@nats-io/transport-node";
import { Unpackr } from "msgpackr";

const [servers = "", cluster = "", user = ""] = process.argv.slice(2);
const pass = process.env.LISTENER_PASSWORD ?? "";
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });

const connection = await connect({ servers, user, pass, inboxPrefix: `_INBOX.${user}` });
const subscription = connection.subscribe(`${cluster}.telemetry.>`);
await connection.flush();
process.stdout.write(`${JSON.stringify({ listening: true })}\n`);
for await (const { subject, data } of subscription)
  process.stdout.write(`${JSON.stringify({ subject, payload: unpackr.unpack(data) })}\n`);
