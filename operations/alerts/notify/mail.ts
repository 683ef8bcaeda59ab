// Mail over SMTP: the only importer of nodemailer.
//
// Owns: the message's headers, the connection's safety, the meaning of the answers. Does not own: the text (notification.ts), tries and
// breaker (delivery.ts).
//
// E1. A password leaves over TLS only, or to a loopback address.
// E2. Neither the user's name nor the password stands in a message, an answer or an error.
// E3. The Message-ID follows from what is told: a mail that is sent again after a crash is one mail for whoever reads it.

import type { Clock } from "../../../models/clock.js";
import { within } from "../../../supervision/deadline.js";
import { cut, printable } from "../../text.js";
import type { Notification } from "./notification.js";
import { isLoopback, type MailSettings } from "./notify-settings.js";
import type { Sink, SinkAnswer } from "./sink.js";

export interface MailOptions {
  readonly settings: MailSettings;
  readonly timeoutMs: number;
  readonly cluster: string;
  readonly clock: Clock;
}

const answerMax = 120;

export function mailSink({ settings, timeoutMs, cluster, clock }: MailOptions): Sink {
  const { host, port } = settings;
  return {
    name: "mail",
    target: `mail ${host}:${port}`,
    send: async (notification, signal) => {
      // Loaded by the first mail: few nodes ever send one.
      const { createTransport } = await import("nodemailer");
      const transport = createTransport({ ...connectionOf(settings), ...timeoutsOf(timeoutMs) });
      const stop = (): void => transport.close();
      signal.addEventListener("abort", stop, { once: true });
      try {
        // The library bounds each silence, not the whole of a conversation.
        const sending = transport.sendMail(mailOf(notification, settings, cluster));
        const outcome = await within(clock, timeoutMs, sending);
        if (outcome.kind === "late") return { kind: "busy", said: `no answer within ${timeoutMs} ms` };
        const { response, rejected } = outcome.value;
        const some = rejected.length > 0 ? ` (not for ${rejected.length} of ${settings.to.length} addresses)` : "";
        return { kind: "taken", said: `${wordsOf(response, settings)}${some}` };
      } catch (error) {
        return failureOf(error, settings);
      } finally {
        signal.removeEventListener("abort", stop);
        transport.close();
      }
    },
  };
}

function connectionOf({ host, port, secure, login }: MailSettings) {
  return {
    host,
    port,
    secure,
    requireTLS: !secure && login !== undefined && !isLoopback(host),
    ...(login === undefined ? {} : { auth: { user: login.user, pass: login.password } }),
    // A message is text of ours: nothing in it is ever fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function timeoutsOf(timeoutMs: number) {
  return { connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs, dnsTimeout: timeoutMs };
}

function mailOf({ id, subject, lines }: Notification, { from, to }: MailSettings, cluster: string) {
  return {
    from: { name: "driftmend", address: from },
    to: [...to],
    subject,
    messageId: `<${id}@${cluster}.driftmend>`,
    // No machine answers a machine (RFC 3834).
    headers: { "Auto-Submitted": "auto-generated" },
    text: `${[subject, "", ...lines, "", `cluster ${cluster}`].join("\n")}\n`,
  };
}

/** 4xx and no connection: later. 5xx, or a login or an address that cannot be tried at all: not with these settings. */
function failureOf(error: unknown, settings: MailSettings): SinkAnswer {
  if (!(error instanceof Error)) return { kind: "busy", said: "no answer" };
  const { code = "", response = "", responseCode = 0 } = error as Error & SmtpFailure;
  const said = wordsOf(`${code} ${response}`, settings) || "no answer";
  const isFinal = responseCode >= 500 || (responseCode === 0 && ["EAUTH", "EENVELOPE"].includes(code));
  return { kind: isFinal ? "refused" : "busy", said };
}

interface SmtpFailure {
  readonly code?: string;
  readonly response?: string;
  readonly responseCode?: number;
}

/** A server may quote what it was given. */
function wordsOf(text: string, { login }: MailSettings): string {
  const secrets = login === undefined ? [] : secretsOf(login);
  const safe = secrets.reduce((words, secret) => words.replaceAll(secret, "***"), text);
  return cut(printable(safe).trim(), answerMax);
}

function secretsOf({ user, password }: { readonly user: string; readonly password: string }): readonly string[] {
  const plain = Buffer.from(`\0${user}\0${password}`).toString("base64");
  const encoded = [password, user].map((each) => Buffer.from(each).toString("base64"));
  return [plain, ...encoded, password, user];
}
