// Where the answer to a message may go: what a node may publish is not for whoever asks to choose.

import test from "ava";
import { Delivery } from "../../transport/bus/bus-delivery.js";
import { bucketKey, inboxPrefixOf, jetStreamApi, subjectsOf } from "../../transport/subjects.js";

const s = subjectsOf("driftmend");
const elsewhere = [
  s.updates("digits"),
  s.weights("digits"),
  bucketKey(s.leaseBucket, "digits"),
  bucketKey(s.alertBucket, "leader"),
  s.chaos("serving-1"),
  s.order("serving-1", "drain"),
  s.event("node_died"),
  s.metrics("serving-1"),
  jetStreamApi.streamPurge(s.stream("update", "digits")),
  "_INBOXES.client.1",
];

/** Where the answer to a request with this reply subject went. */
function answered(reply: string | undefined, inboxesOnly: boolean): readonly string[] {
  const went: string[] = [];
  const message = {
    subject: s.infer("digits"),
    data: new Uint8Array(1),
    ...(reply === undefined ? {} : { reply }),
  };
  const publish = (subject: string): boolean => went.push(subject) > 0;
  const told = new Delivery(message, publish, inboxesOnly).respond(new Uint8Array(2));
  return told ? went : went.map((subject) => `${subject}, and was not told`);
}

test("with users of their own rights, a reply subject that is no inbox gets no answer: nobody writes the log with a node's rights (S2-65)", (t) => {
  for (const subject of elsewhere) t.deepEqual(answered(subject, true), [], subject);
});

test("an inbox gets its answer, whoever's it is; a message without a reply subject gets none", (t) => {
  const inbox = `${inboxPrefixOf("client")}.abc.1`;
  t.deepEqual(answered(inbox, true), [inbox]);
  t.deepEqual(answered(undefined, true), []);
  t.deepEqual(answered("", true), []);
});

test("a server without users leaves the choice to whoever asks: anybody may publish anything there", (t) => {
  t.deepEqual(answered("my.answers", false), ["my.answers"]);
});
