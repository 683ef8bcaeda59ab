// Slack and mail as they are on the wire: real HTTP and real SMTP on loopback, with places that take, refuse, stall and redirect.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import test from "ava";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { AlertBook } from "../../../operations/alerts/alert-book.js";
import { dueGroup } from "../../../operations/alerts/alert-groups.js";
import { mailSink } from "../../../operations/alerts/notify/mail.js";
import { type Notification, notificationOf } from "../../../operations/alerts/notify/notification.js";
import type { MailSettings } from "../../../operations/alerts/notify/notify-settings.js";
import { slackMessage, slackSink } from "../../../operations/alerts/notify/slack.js";
import { systemClock } from "../../../supervision/clock.js";

const never = new AbortController().signal;
const grouping = { groupWaitMs: 0, groupIntervalMs: 0, repeatIntervalMs: 1e9 };
const secret = "T0/B0/very-secret-path";
const password = "pass-word-of-the-mailbox";

function notificationAbout(...abouts: readonly string[]): Notification {
  const book = new AlertBook();
  for (const about of abouts) book.hear({ kind: "node_died", about, detail: "exit code 1" }, 1);
  const group = dueGroup(book, "slack", grouping, 2);
  if (group === undefined) throw new Error("nothing is due");
  return notificationOf("driftmend", "slack", group, 2);
}

interface Web {
  readonly webhook: URL;
  readonly posts: { readonly path: string; readonly body: string; readonly type: string | undefined }[];
}

async function web(
  t: { teardown(fn: () => void): void },
  answer: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<Web> {
  const posts: Web["posts"][number][] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString("utf8");
    posts.push({ path: request.url ?? "", body, type: request.headers["content-type"] });
    answer(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { webhook: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/services/${secret}`), posts };
}

const slackOf = (webhook: URL, timeoutMs = 30_000) => slackSink({ webhook, timeoutMs, clock: systemClock });

test("a message is one POST of JSON that Slack takes: text, a header, sections; nobody is mentioned by what it quotes (S0-16)", async (t) => {
  const { webhook, posts } = await web(t, (response) => response.end("ok"));
  const answer = await slackOf(webhook).send(notificationAbout("<!channel> & co"), never);
  t.deepEqual(answer, { kind: "taken", said: "HTTP 200 ok" });
  t.is(posts.length, 1);
  t.is(posts[0]?.path, `/services/${secret}`);
  t.regex(posts[0]?.type ?? "", /^application\/json/);
  const message = JSON.parse(posts[0]?.body ?? "");
  t.is(message.text, "critical node_died: &lt;!channel&gt; &amp; co");
  t.deepEqual(
    message.blocks.map((block: { readonly type: string; readonly text: { readonly type: string } }) => [
      block.type,
      block.text.type,
    ]),
    [
      ["header", "plain_text"],
      ["section", "mrkdwn"],
    ],
  );
  t.false(message.blocks[1].text.text.includes("<"));
});

test("however long the text, Slack's limits are kept", (t) => {
  const lines = Array.from({ length: 60 }, (_, i) => `${i}${"&".repeat(400)}`);
  const { blocks } = slackMessage({ id: "x", subject: "s".repeat(500), lines });
  t.true(blocks.length <= 50);
  for (const { type, text } of blocks) t.true(text.text.length <= (type === "header" ? 150 : 3_000));
});

test("Slack's answers: a wrong webhook is final, too many requests wait as long as it says, its trouble is ours to try again", async (t) => {
  const answers: [number, Record<string, string>, string][] = [
    [404, {}, "no_service"],
    [403, {}, "invalid_token"],
    [302, { location: "http://127.0.0.1:1/elsewhere" }, ""],
    [429, { "retry-after": "7" }, "rate_limited"],
    [500, {}, "server_error"],
  ];
  const { webhook, posts } = await web(t, (response) => {
    const [status, headers, body] = answers[posts.length - 1] ?? [200, {}, "ok"];
    response.writeHead(status, headers).end(body);
  });
  const heard = [];
  for (const _ of answers) heard.push(await slackOf(webhook).send(notificationAbout("a"), never));
  t.deepEqual(heard, [
    { kind: "refused", said: "HTTP 404 no_service" },
    { kind: "refused", said: "HTTP 403 invalid_token" },
    { kind: "refused", said: "HTTP 302" },
    { kind: "busy", said: "HTTP 429 rate_limited", retryInMs: 7_000 },
    { kind: "busy", said: "HTTP 500 server_error" },
  ]);
  t.is(posts.length, answers.length, "and no redirect was followed");
});

test("a place that never answers is given up in time, one that is not there says so, and neither names the webhook", async (t) => {
  const { webhook } = await web(t, () => undefined);
  const slow = await slackOf(webhook, 50).send(notificationAbout("a"), never);
  t.deepEqual(slow, { kind: "busy", said: "no answer within 50 ms" });
  const absent = await slackOf(new URL(`http://127.0.0.1:1/services/${secret}`)).send(notificationAbout("a"), never);
  t.is(absent.kind, "busy");
  t.regex(absent.said, /^not reached: /);
  t.false(JSON.stringify([slow, absent]).includes("secret"));
  t.false(slackOf(webhook).target.includes("secret"));
});

interface Post {
  readonly settings: MailSettings;
  readonly mails: { readonly text: string; readonly to: readonly string[] }[];
}

async function post(t: { teardown(fn: () => void): void }, options: SMTPServerOptions = {}): Promise<Post> {
  const mails: Post["mails"][number][] = [];
  const server = new SMTPServer({
    hideSTARTTLS: true,
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: [],
    onAuth: (auth, _, done) =>
      auth.password === password ? done(null, { user: auth.username }) : done(new Error(`no ${auth.password}`)),
    onData: (stream, session, done) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        const to = session.envelope.rcptTo.map(({ address }) => address);
        mails.push({ text: Buffer.concat(parts).toString("utf8"), to });
        done();
      });
    },
    ...options,
  });
  server.on("error", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  t.teardown(() => server.close());
  const { port } = server.server.address() as AddressInfo;
  const login = { user: "alerts", password };
  const from = "driftmend@example.org";
  return { mails, settings: { host: "127.0.0.1", port, secure: false, login, from, to: ["ops@example.org", "b@x.y"] } };
}

const mailOver = (settings: MailSettings, timeoutMs = 30_000) =>
  mailSink({ settings, timeoutMs, cluster: "driftmend", clock: systemClock });

function headersOf(mail: string): ReadonlyMap<string, string> {
  const head = mail.slice(0, mail.indexOf("\r\n\r\n")).replaceAll(/\r\n[ \t]+/g, " ");
  return new Map(head.split("\r\n").map((line) => [line.split(":")[0] ?? "", line.slice(line.indexOf(":") + 2)]));
}

test("a message is one mail whose subject is severity and alert; nothing of the login is in it (S0-17)", async (t) => {
  const { mails, settings } = await post(t);
  const answer = await mailOver(settings).send(notificationAbout("serving-1"), never);
  t.is(answer.kind, "taken");
  t.is(mails.length, 1);
  const [mail] = mails;
  const headers = headersOf(mail?.text ?? "");
  t.is(headers.get("Subject"), "critical node_died: serving-1");
  t.is(headers.get("Auto-Submitted"), "auto-generated");
  t.deepEqual(mail?.to, ["ops@example.org", "b@x.y"]);
  t.regex(mail?.text ?? "", /critical node_died: serving-1: exit code 1/);
  for (const hidden of [password, Buffer.from(password).toString("base64")]) t.false(mail?.text.includes(hidden));
  t.false(answer.said.includes(password));
});

test("a mail that is sent again is the same mail; another one is not", async (t) => {
  const { mails, settings } = await post(t);
  for (const about of ["a", "a", "b"]) await mailOver(settings).send(notificationAbout(about), never);
  const ids = mails.map(({ text }) => headersOf(text).get("Message-ID"));
  t.is(ids[0], ids[1]);
  t.not(ids[0], ids[2]);
});

test("what an alert is about cannot add a header to the mail", async (t) => {
  const { mails, settings } = await post(t);
  await mailOver(settings).send(notificationAbout("a\r\nBcc: everybody@example.org"), never);
  t.false(headersOf(mails[0]?.text ?? "").has("Bcc"));
  t.is(mails[0]?.to.length, 2);
});

test("a refused login is final and its words do not quote the password; a server that is not there may come back", async (t) => {
  const { settings } = await post(t);
  const login = { user: "alerts", password: "another-secret" };
  const refused = await mailOver({ ...settings, login }).send(notificationAbout("a"), never);
  t.is(refused.kind, "refused");
  t.regex(refused.said, /EAUTH/);
  t.false(refused.said.includes("another-secret"));
  const absent = await mailOver({ ...settings, port: 1 }).send(notificationAbout("a"), never);
  t.is(absent.kind, "busy");
});

test("a mail server that takes a message and never says so is given up in time", async (t) => {
  const { settings } = await post(t, { onData: (stream) => void stream.resume() });
  const answer = await mailOver(settings, 400).send(notificationAbout("a"), never);
  t.deepEqual(answer, { kind: "busy", said: "no answer within 400 ms" });
});

test("mail that a server refuses for now is tried again, mail it refuses for good is not", async (t) => {
  const refuse = (code: number) => ({
    onRcptTo: (_: unknown, __: unknown, done: (error?: Error) => void) =>
      done(Object.assign(new Error("not now"), { responseCode: code })),
  });
  const later = await post(t, refuse(450));
  t.is((await mailOver(later.settings).send(notificationAbout("a"), never)).kind, "busy");
  const never550 = await post(t, refuse(550));
  t.is((await mailOver(never550.settings).send(notificationAbout("a"), never)).kind, "refused");
});

test("Slack is told to take text as it is: a bare @channel or address in a cause becomes no mention and no link (S0-16)", (t) => {
  const { blocks } = slackMessage(notificationAbout("@channel https://example.org"));
  const sections = blocks.filter(({ type }) => type === "section");
  t.true(sections.length > 0);
  for (const { text } of sections) t.like(text, { type: "mrkdwn", verbatim: true });
});

test("a place that asks for a year of patience is asked again within minutes", async (t) => {
  const { webhook } = await web(t, (response) => response.writeHead(429, { "retry-after": "31536000" }).end());
  t.like(await slackOf(webhook).send(notificationAbout("a"), never), { kind: "busy", retryInMs: 300_000 });
});
