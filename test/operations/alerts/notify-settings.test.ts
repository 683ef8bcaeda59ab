// The section `notify:` as a person writes it, and the secrets it refers to.

import test from "ava";
import { type NotifySettings, notifySchema, resolveNotify } from "../../../operations/alerts/notify/notify-settings.js";

const webhook = "https://hooks.slack.com/services/T0/B0/x";
const mail = { host: "smtp.example.org", from: "a@example.org", to: ["b@example.org"] };
const sources = {
  env: {
    HOOK: webhook,
    SPACES: "  \n",
    PLAIN: "http://hooks.slack.com/services/T0/B0/x",
    NEAR: "http://127.0.0.1:9/x",
  },
  readFile: (path: string) => {
    if (path !== "/run/secrets/smtp") throw new Error(`ENOENT ${path} near s3cret`);
    return "pass\n";
  },
};

function problems(section: unknown): string[] {
  const parsed = notifySchema.safeParse(section);
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

function settings(section: unknown): NotifySettings {
  return notifySchema.parse(section);
}

test("durations are text, what is left out has its default", (t) => {
  t.deepEqual(settings({}), { groupWait: 5_000, groupInterval: 60_000, repeatInterval: 14_400_000 });
  t.like(settings({ groupWait: "250ms", repeatInterval: "1d" }), { groupWait: 250, repeatInterval: 86_400_000 });
  t.like(settings({ mail }).mail, { port: 587, secure: false });
});

test("what cannot be meant is refused, each where it stands", (t) => {
  t.regex(problems({ groupWait: "soon" })[0] ?? "", /^groupWait: "soon" is not a duration/);
  t.regex(problems({ mail: { ...mail, user: "u" } })[0] ?? "", /^mail.user: user and password go together/);
  t.regex(problems({ mail: { ...mail, to: [] } })[0] ?? "", /^mail.to/);
  t.regex(problems({ mail: { ...mail, from: "a@x\r\nBcc: c@x" } })[0] ?? "", /^mail.from: must be a mail address/);
  t.regex(problems({ mail: { ...mail, port: 0 } })[0] ?? "", /^mail.port/);
  t.regex(problems({ slak: {} })[0] ?? "", /slak/);
});

test("a secret in the file is refused, and the refusal does not repeat it", (t) => {
  const [problem = ""] = problems({ slack: { webhook } });
  t.regex(problem, /^slack.webhook: must be a reference, env:NAME or file:PATH/);
  t.false(problem.includes("hooks.slack.com"));
});

test("references lead to the environment or a file", (t) => {
  const resolved = resolveNotify(
    settings({ slack: { webhook: "env:HOOK" }, mail: { ...mail, user: "u", password: "file:/run/secrets/smtp" } }),
    sources,
  );
  t.like(resolved, { kind: "resolved", notify: { mail: { login: { user: "u", password: "pass" } } } });
  t.is(resolved.kind === "resolved" ? resolved.notify.slack?.webhook.href : "", webhook);
});

test("a reference that leads nowhere is refused by its name", (t) => {
  const refused = (section: unknown) => {
    const outcome = resolveNotify(settings(section), sources);
    return outcome.kind === "refused" ? `${outcome.path.join(".")}: ${outcome.message}` : outcome.kind;
  };
  t.is(refused({ slack: { webhook: "env:NONE" } }), "slack.webhook: env:NONE is not set");
  t.is(refused({ slack: { webhook: "env:SPACES" } }), "slack.webhook: env:SPACES is not set");
  t.is(
    refused({ mail: { ...mail, user: "u", password: "file:/nowhere" } }),
    "mail.password: file:/nowhere cannot be read, or is empty",
  );
  t.is(refused({ slack: { webhook: "env:PLAIN" } }), "slack.webhook: env:PLAIN must hold an https address");
  t.is(refused({ slack: { webhook: "env:NEAR" } }), "resolved", "but on this machine plain HTTP will do");
});
