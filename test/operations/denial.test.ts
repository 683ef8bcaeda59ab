// What a verb says when the server said no: pure words.
import test from "ava";
import { credentialsOf, deniedOutcome } from "../../operations/verbs/denial.js";

const asker = { role: "operator", cluster: "shop", user: "web", isTyped: false } as const;

test("a publication that was denied names who, what, and whose rights it needs (S2-65)", (t) => {
  t.deepEqual(deniedOutcome({ operation: "publish", subject: "shop.actor.root.tree" }, asker), {
    kind: "failed",
    message:
      'denied: user "web" may not publish to shop.actor.root.tree: this needs the rights of an operator of the cluster "shop"',
    next: "give --context FILE (operator.json of driftmend auth init)",
  });
  const unnamed = deniedOutcome(
    { operation: "publish", subject: "shop.infer.\u001b[2J" },
    { ...asker, role: "client", user: undefined, isTyped: true },
  );
  t.like(unnamed, { kind: "failed" });
  if (unnamed.kind !== "failed") return;
  t.regex(unnamed.message, /^denied: this connection may not publish to shop\.infer\..*:.* a client or an operator/);
  t.regex(
    unnamed.next,
    /client\.json or operator\.json .*, or --nkey FILE of an operator, or the --cluster that is meant$/,
  );
});

test("somebody else's key is told from a right that is missing: its own inbox is closed to it (S2-65)", (t) => {
  const inbox = deniedOutcome({ operation: "subscription", subject: "_INBOX.web.x1.*" }, asker);
  t.like(inbox, { kind: "failed", next: "say whose it is with --user NAME, or give another --context FILE" });
  const wal = deniedOutcome({ operation: "subscription", subject: "shop.wal.>" }, asker);
  t.like(wal, { message: 'denied: user "web" may not listen to shop.wal.>' });
  t.is(credentialsOf("telemetry"), "give --context FILE (telemetry.json or operator.json of driftmend auth init)");
});
