// Who tries what, and what becomes of it: the rows, and one way to try them all on a real server.
//
// A row that is denied must have been denied by the server, by name, on the connection that tried; and nobody heard of it.

import type { Bus, BusEvent } from "../../transport/bus/bus.js";
import { bucketKey, inboxPrefixOf, jetStreamApi, subjectsOf } from "../../transport/subjects.js";

/** Users of the server: those of the roles, and a second client. */
export type Who = "client" | "shop" | "telemetry" | "operator" | "node";
export type Verb = "publish" | "subscribe" | "queue" | "request";
export type Verdict = "allowed" | "denied";
export type Row = readonly [who: Who, what: string, verb: Verb, subject: string, verdict: Verdict];

const s = subjectsOf("driftmend");
const log = s.stream("experience", "digits");
/** Of another cluster in the same account. */
const other = subjectsOf("neighbour");
const inboxOf = (who: Who): string => `${inboxPrefixOf(who)}.>`;

export const rows: readonly Row[] = [
  ["client", "asks for an inference", "publish", s.infer("digits"), "allowed"],
  ["client", "gives a label", "publish", s.feedback("digits"), "allowed"],
  ["client", "sends a piece of a tensor", "publish", s.chunk("n1", "0".repeat(32)), "allowed"],
  ["client", "takes others' pieces of tensors", "subscribe", s.all.chunk, "denied"],
  ["client", "adds a model", "publish", s.modelHead("digits"), "denied"],
  ["client", "asks who is there", "publish", "$SRV.PING", "allowed"],
  ["client", "asks one service what it is", "publish", "$SRV.INFO.driftmend", "allowed"],
  ["client", "listens on its own inbox", "subscribe", inboxOf("client"), "allowed"],
  ["client", "kills an actor", "request", s.chaos("n1"), "denied"],
  ["client", "kills at the root", "publish", s.chaos("root"), "denied"],
  ["client", "ends a node", "publish", s.order("n1", "drain"), "denied"],
  ["client", "goes back to a snapshot", "publish", s.order("digits", "restore"), "denied"],
  ["client", "profiles a node", "publish", s.order("n1", "profile"), "denied"],
  ["client", "silences the alerts", "publish", s.alertOrders, "denied"],
  ["client", "requeues dead letters", "publish", s.deadLetterOrders, "denied"],
  ["client", "has the peaks forgotten", "publish", s.peakOrders, "denied"],
  ["client", "looks into an actor", "publish", s.actor("n1", "serving/inference"), "denied"],
  ["client", "writes an experience into the log", "publish", s.experience("digits"), "denied"],
  ["client", "writes an update task into the log", "publish", s.updates("digits"), "denied"],
  ["client", "commits weights", "publish", s.weights("digits"), "denied"],
  ["client", "writes a snapshot", "publish", s.snapshots("digits"), "denied"],
  ["client", "buries a job", "publish", s.deadLetters("digits", "inference"), "denied"],
  ["client", "confirms a cleanup", "publish", s.cleanup("n1"), "denied"],
  ["client", "takes the writer's lease", "publish", bucketKey(s.leaseBucket, "digits"), "denied"],
  ["client", "rewrites the alerts", "publish", bucketKey(s.alertBucket, "document"), "denied"],
  ["client", "watches the leases", "subscribe", "$KV.driftmend-leases.>", "denied"],
  ["client", "looks at JetStream", "request", jetStreamApi.account, "denied"],
  ["client", "lists the streams", "publish", "$JS.API.STREAM.NAMES", "denied"],
  ["client", "makes a stream over the requests", "publish", jetStreamApi.streamCreate("mine"), "denied"],
  ["client", "changes the log's bounds", "publish", jetStreamApi.streamUpdate(log), "denied"],
  ["client", "deletes the log", "request", `$JS.API.STREAM.DELETE.${log}`, "denied"],
  ["client", "purges the log", "request", jetStreamApi.streamPurge(log), "denied"],
  ["client", "deletes one record", "publish", `$JS.API.STREAM.MSG.DELETE.${log}`, "denied"],
  ["client", "reads one record", "publish", jetStreamApi.messageGet(log), "denied"],
  ["client", "reads one record directly", "publish", jetStreamApi.directGet(log), "denied"],
  ["client", "makes a consumer", "publish", jetStreamApi.consumerCreate(log, "x"), "denied"],
  ["client", "takes from somebody's consumer", "publish", jetStreamApi.consumerNext(log, "x"), "denied"],
  ["client", "deletes a consumer", "publish", `$JS.API.CONSUMER.DELETE.${log}.x`, "denied"],
  ["client", "restores a stream", "publish", "$JS.API.STREAM.RESTORE.mine", "denied"],
  ["client", "purges an account", "publish", "$JS.API.ACCOUNT.PURGE.DRIFTMEND", "denied"],
  ["client", "acknowledges for somebody else", "publish", `$JS.ACK.${log}.x.1.2.3.4.5`, "denied"],
  ["client", "answers flow control", "publish", `$JS.FC.${log}.x.1`, "denied"],
  ["client", "steals requests from the nodes", "queue", s.infer("digits"), "denied"],
  ["client", "steals requests of every model", "queue", s.all.infer, "denied"],
  ["client", "listens to requests", "subscribe", s.all.infer, "denied"],
  ["client", "listens to labels", "subscribe", s.all.feedback, "denied"],
  ["client", "listens to the log", "subscribe", s.all.log, "denied"],
  ["client", "listens to everything", "subscribe", ">", "denied"],
  ["client", "listens to the cluster", "subscribe", s.all.subjects, "denied"],
  ["client", "listens to telemetry", "subscribe", s.all.telemetry, "denied"],
  ["client", "listens to orders", "subscribe", s.all.order, "denied"],
  ["client", "listens to all inboxes", "subscribe", "_INBOX.>", "denied"],
  ["client", "listens to any inbox by a wildcard", "subscribe", "_INBOX.*.>", "denied"],
  ["client", "listens to another client's inbox", "subscribe", inboxOf("shop"), "denied"],
  ["client", "listens to an operator's inbox", "subscribe", inboxOf("operator"), "denied"],
  ["client", "listens to the nodes' inboxes", "subscribe", inboxOf("node"), "denied"],
  ["client", "answers in a node's place", "publish", `${inboxPrefixOf("shop")}.x`, "denied"],
  ["client", "plays a service to be discovered", "subscribe", "$SRV.PING", "denied"],
  ["client", "plays a node's heartbeat", "publish", s.metrics("n1"), "denied"],
  ["client", "plays an event", "publish", s.event("node_died"), "denied"],
  ["client", "plays a log line", "publish", s.logLine("n1"), "denied"],
  ["client", "plays an alert", "publish", s.alert("critical", "node_died"), "denied"],
  ["client", "plays an observer", "publish", s.observed("kept"), "denied"],
  ["client", "asks for figures", "publish", s.report("metrics"), "denied"],
  ["client", "listens to pieces of large tensors", "subscribe", "driftmend.chunk.>", "denied"],
  ["client", "listens to models on their way", "subscribe", "driftmend.model.>", "denied"],
  ["client", "puts a model into the cluster", "publish", "driftmend.model.digits", "denied"],
  ["client", "asks the server who is connected", "publish", "$SYS.REQ.SERVER.PING.CONNZ", "denied"],
  ["client", "asks a neighbouring cluster", "publish", other.infer("digits"), "denied"],
  ["shop", "asks for an inference", "publish", s.infer("digits"), "allowed"],
  ["shop", "listens on its own inbox", "subscribe", inboxOf("shop"), "allowed"],
  ["shop", "listens to another client's inbox", "subscribe", inboxOf("client"), "denied"],
  ["shop", "kills an actor", "publish", s.chaos("n1"), "denied"],
  ["telemetry", "listens to telemetry", "subscribe", s.all.telemetry, "allowed"],
  ["telemetry", "listens to alerts", "subscribe", s.all.alert, "allowed"],
  ["telemetry", "asks for figures", "publish", s.report("metrics"), "allowed"],
  ["telemetry", "asks for health", "publish", s.report("health"), "allowed"],
  ["telemetry", "asks for an inference", "publish", s.infer("digits"), "denied"],
  ["telemetry", "gives a label", "publish", s.feedback("digits"), "denied"],
  ["telemetry", "asks who is there", "publish", "$SRV.PING", "denied"],
  ["telemetry", "adds a model", "publish", s.modelHead("digits"), "denied"],
  ["telemetry", "plays an event", "publish", s.event("scored"), "denied"],
  ["telemetry", "plays a heartbeat", "publish", s.metrics("n1"), "denied"],
  ["telemetry", "plays an alert", "publish", s.alert("critical", "node_died"), "denied"],
  ["telemetry", "plays an observer", "publish", s.observed("kept"), "denied"],
  ["telemetry", "kills an actor", "publish", s.chaos("n1"), "denied"],
  ["telemetry", "ends a node", "publish", s.order("n1", "drain"), "denied"],
  ["telemetry", "looks into an actor", "publish", s.actor("n1", "tree"), "denied"],
  ["telemetry", "reads the log", "publish", jetStreamApi.consumerCreate(log, "x"), "denied"],
  ["telemetry", "purges the log", "publish", jetStreamApi.streamPurge(log), "denied"],
  ["telemetry", "writes into the log", "publish", s.experience("digits"), "denied"],
  ["telemetry", "listens to requests", "subscribe", s.all.infer, "denied"],
  ["telemetry", "listens to everything", "subscribe", ">", "denied"],
  ["telemetry", "listens to clients' inboxes", "subscribe", inboxOf("client"), "denied"],
  ["telemetry", "sends pieces of tensors", "publish", "driftmend.chunk.n1.x", "denied"],
  ["operator", "asks for an inference", "publish", s.infer("digits"), "allowed"],
  ["operator", "sends a piece of a tensor", "publish", s.chunk("n1", "0".repeat(32)), "allowed"],
  ["operator", "adds a model", "publish", s.modelHead("digits"), "allowed"],
  ["operator", "sends a piece of a model", "publish", s.modelPieces("digits", "u1"), "allowed"],
  ["operator", "kills an actor", "publish", s.chaos("n1"), "allowed"],
  ["operator", "ends a node", "publish", s.order("n1", "drain"), "allowed"],
  ["operator", "silences an alert", "publish", s.alertOrders, "allowed"],
  ["operator", "looks into an actor", "publish", s.actor("n1", "tree"), "allowed"],
  ["operator", "asks for figures", "publish", s.report("metrics"), "allowed"],
  ["operator", "reads the log's state", "publish", jetStreamApi.streamInfo(log), "allowed"],
  ["operator", "reads one record", "publish", jetStreamApi.messageGet(log), "allowed"],
  ["operator", "reads the log by a consumer", "publish", jetStreamApi.consumerCreate(log, "x"), "allowed"],
  ["operator", "says how a labelled stream went", "publish", s.event("scored"), "allowed"],
  ["operator", "listens to deaths and cleanups", "subscribe", s.all.cleanup, "allowed"],
  ["operator", "listens to telemetry", "subscribe", s.all.telemetry, "allowed"],
  ["operator", "plays a vote", "publish", s.event("vote"), "denied"],
  ["operator", "plays an alert", "publish", s.alert("critical", "node_died"), "denied"],
  ["operator", "plays a heartbeat", "publish", s.metrics("n1"), "denied"],
  ["operator", "confirms a cleanup", "publish", s.cleanup("n1"), "denied"],
  ["operator", "writes an update task", "publish", s.updates("digits"), "denied"],
  ["operator", "commits weights", "publish", s.weights("digits"), "denied"],
  ["operator", "purges the log", "publish", jetStreamApi.streamPurge(log), "denied"],
  ["operator", "deletes the log", "publish", `$JS.API.STREAM.DELETE.${log}`, "denied"],
  ["operator", "makes a stream", "publish", jetStreamApi.streamCreate("mine"), "denied"],
  ["operator", "acknowledges for somebody else", "publish", `$JS.ACK.${log}.x.1.2.3.4.5`, "denied"],
  ["operator", "takes the writer's lease", "publish", bucketKey(s.leaseBucket, "digits"), "denied"],
  ["operator", "listens to requests", "subscribe", s.all.infer, "denied"],
  ["operator", "steals requests from the nodes", "queue", s.infer("digits"), "denied"],
  ["operator", "listens to clients' inboxes", "subscribe", inboxOf("client"), "denied"],
  ["operator", "listens to everything", "subscribe", ">", "denied"],
  ["node", "takes requests", "queue", s.infer("digits"), "allowed"],
  ["node", "answers a client", "publish", `${inboxPrefixOf("client")}.x`, "allowed"],
  ["node", "tells what happens", "publish", s.event("vote"), "allowed"],
  ["node", "watches the leases", "subscribe", "$KV.driftmend-leases.>", "allowed"],
  ["node", "looks at JetStream", "publish", jetStreamApi.account, "allowed"],
  [
    "node",
    "purges what a snapshot covers",
    "publish",
    jetStreamApi.streamPurge(s.stream("update", "digits")),
    "allowed",
  ],
  ["node", "listens to clients' inboxes", "subscribe", inboxOf("client"), "denied"],
  ["node", "listens to everything", "subscribe", ">", "denied"],
  ["node", "restores a stream", "publish", "$JS.API.STREAM.RESTORE.mine", "denied"],
  ["node", "copies a whole stream", "publish", `$JS.API.STREAM.SNAPSHOT.${log}`, "denied"],
  ["node", "purges an account", "publish", "$JS.API.ACCOUNT.PURGE.DRIFTMEND", "denied"],
  ["node", "removes a server from the cluster", "publish", "$JS.API.SERVER.REMOVE", "denied"],
  ["node", "asks the server who is connected", "publish", "$SYS.REQ.SERVER.PING.CONNZ", "denied"],
  ["node", "writes another bucket", "publish", "$KV.somebody.key", "denied"],
  ["node", "writes another cluster's log", "publish", other.experience("digits"), "denied"],
  ["node", "takes another cluster's requests", "queue", other.infer("digits"), "denied"],
];

/** What the server makes of one row: it reports a violation before it answers the flush that follows. */
export async function tried(bus: Bus, [, , verb, subject]: Row): Promise<Verdict> {
  const violations: BusEvent[] = [];
  const stop = bus.onEvent((event) => {
    if (event.kind === "denied" && event.subject === subject) violations.push(event);
  });
  const end = attempt(bus, verb, subject);
  await bus.flush();
  // Statuses are handed over by an async iterator: another round trip lets it run.
  await bus.flush();
  stop();
  end();
  return violations.length > 0 ? "denied" : "allowed";
}

const nothing = new TextEncoder().encode("{}");
const askMs = 200;

/** Returns what undoes it. */
function attempt(bus: Bus, verb: Verb, subject: string): () => void {
  const done = (): void => undefined;
  switch (verb) {
    case "publish":
      bus.publish(subject, nothing);
      return done;
    case "request":
      void bus.request(subject, nothing, { timeoutMs: askMs });
      return done;
    case "subscribe":
    case "queue": {
      const subscribed = bus.subscribe(subject, verb === "queue" ? { queue: s.servingGroup } : {}, done);
      return () => subscribed.unsubscribe();
    }
  }
}
