// Whether a model may come or go, from what the registry and the nodes say.
//
// Substrate: a pure decision.

import test from "ava";
import type { ModelPackage } from "../../models/adoption/model-package.js";
import { admission, removal, type Situation, unfit } from "../../operations/registry/model-admission.js";
import { type AddedModel, modelBounds, noStanding } from "../../transport/log/model-records.js";
import type { ModelOnNode } from "../../transport/messages/model-looks.js";

const [own, other] = ["a".repeat(64), "b".repeat(64)];
const packed: ModelPackage = { name: "mail", files: [{ file: "manifest.json", bytes: 9 }], bytes: 9, sha256: own };
const served: AddedModel = { kind: "added", upload: "u", pieces: 1, atMs: 1, ...packed };
const empty: Situation = { standing: noStanding, onNodes: [], hasLog: false, others: 1 };

const onNode = (source: "given" | "added", sha256: string): ModelOnNode => ({
  ...{ name: "mail", sha256, source, state: "up" },
  bytes: undefined,
  cause: undefined,
});

function refusal(decision: { readonly kind: string; readonly message?: string; readonly next?: string }): string {
  return decision.kind === "refused" ? `${decision.message} -> ${decision.next}` : decision.kind;
}

test("a name that nobody uses is free, and the same bytes again are the same model", (t) => {
  t.is(admission(packed, empty).kind, "go");
  const standing = { seq: 4, served, logOf: own, isPurged: false };
  t.deepEqual(admission(packed, { ...empty, standing, hasLog: true }), { kind: "already", source: "added" });
  t.deepEqual(admission(packed, { ...empty, onNodes: [onNode("given", own)] }), { kind: "already", source: "given" });
});

test("another model under a used name is refused, with what to type", (t) => {
  const standing = { seq: 4, served: { ...served, sha256: other }, logOf: other, isPurged: false };
  t.regex(
    refusal(admission(packed, { ...empty, standing })),
    /another model is served .*bbbb.*-> driftmend model rm mail --purge-log/,
  );
  t.regex(
    refusal(admission(packed, { ...empty, onNodes: [onNode("given", other)] })),
    /was started with another .* --name/,
  );
});

test("a log is gone on with by the model that wrote it, and by no other; one of nobody knows whom is nobody's", (t) => {
  const kept = (logOf: string) => ({
    ...empty,
    hasLog: true,
    standing: { seq: 4, served: undefined, logOf, isPurged: false },
  });
  t.is(admission(packed, kept(own)).kind, "go");
  t.regex(refusal(admission(packed, kept(other))), /the log under the name mail is another model's .* --purge-log/);
  t.regex(refusal(admission(packed, { ...empty, hasLog: true })), /nothing says which model's .* --purge-log/);
  const purged = { seq: 5, served: undefined, logOf: undefined, isPurged: true };
  t.is(admission(packed, { ...empty, standing: purged }).kind, "go");
});

test("every bound refuses by its name", (t) => {
  t.regex(refusal(admission(packed, { ...empty, others: modelBounds.modelsMax })), /^modelsMax: /);
  t.regex(
    refusal(unfit({ ...packed, bytes: modelBounds.packageMaxBytes + 1 }) ?? { kind: "fits" }),
    /^packageMaxBytes: /,
  );
  const files = Array.from({ length: modelBounds.filesMax + 1 }, (_, i) => ({ file: `f${i}`, bytes: 1 }));
  t.regex(refusal(unfit({ ...packed, files }) ?? { kind: "fits" }), /^filesMax: /);
  t.is(unfit(packed), undefined);
});

test("a name that a part of a node's tree has, or that cannot be in a subject, is refused before anything is sent", (t) => {
  for (const name of ["intake", "watchdog", "digits-updater", "a.b", "x".repeat(33)])
    t.regex(refusal(unfit({ ...packed, name }) ?? { kind: "fits" }), /cannot be the name/, name);
});

test("what was added can be removed, what was given cannot; a log that is left can be purged later", (t) => {
  const standing = { seq: 4, served, logOf: own, isPurged: false };
  t.deepEqual(removal("mail", false, { ...empty, standing }), { kind: "remove", sha256: own });
  t.regex(refusal(removal("mail", true, { ...empty, onNodes: [onNode("given", own)] })), /was started with mail/);
  const left = { ...empty, hasLog: true, standing: { seq: 5, served: undefined, logOf: own, isPurged: false } };
  t.deepEqual(removal("mail", true, left), { kind: "purge" });
  t.regex(refusal(removal("mail", false, left)), /its log is there: driftmend model rm mail --purge-log/);
  t.deepEqual(removal("mail", true, { ...empty, hasLog: true }), { kind: "purge" }, "a log that nothing says of");
  t.regex(refusal(removal("mail", true, empty)), /no model mail was added -> driftmend model ls/);
});
