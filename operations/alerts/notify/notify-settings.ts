// Who is told of alerts and how often, as the operations file's section `notify:` says it.
//
// Owns: the section's shape, its defaults, secrets as references and their resolution. Does not own: the file, its lines and columns
// (health/operations-file.ts), sending (slack.ts, mail.ts).
//
// N1. A secret stands nowhere but where its reference points: the file says `env:NAME` or `file:PATH`, and what is refused names the
//     reference, never what it holds.
// N2. Secrets leave the machine over TLS only; without it they may go to a loopback address.

import { z } from "zod";
import { parseDuration } from "../../duration.js";
import type { GroupSettings } from "../alert-groups.js";

export interface MailSettings {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly login: { readonly user: string; readonly password: string } | undefined;
  readonly from: string;
  readonly to: readonly string[];
}

/** With the secrets in it: for the sinks only, never to be logged or sent. */
export interface Notify {
  readonly slack?: { readonly webhook: URL };
  readonly mail?: MailSettings;
  readonly grouping: GroupSettings;
}

/** Nobody is told. */
export const notifyDefaults: Notify = {
  grouping: { groupWaitMs: 5_000, groupIntervalMs: 60_000, repeatIntervalMs: 14_400_000 },
};

/** Milliseconds from text like 5s, 1m, 4h. */
const duration = z.string().transform((text, context) => {
  const parsed = parseDuration(text);
  if (parsed.kind === "ok") return parsed.ms;
  context.addIssue({ code: "custom", message: parsed.message });
  return z.NEVER;
});

const secretPattern = /^(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:.{1,1024})$/;
const secretSchema = z.string().regex(secretPattern, {
  error: "must be a reference, env:NAME or file:PATH: a secret itself does not belong in this file",
});
/** One address, with nothing in it that could begin another header. */
const addressSchema = z
  .string()
  .max(320)
  .regex(/^[^\s,;<>"]+@[^\s,;<>"@]+$/, { error: "must be a mail address, as in ops@example.org" });

const slackSchema = z.strictObject({ webhook: secretSchema });
const mailSchema = z
  .strictObject({
    host: z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, { error: "must be a host name or an address" }),
    port: z.int().min(1).max(65_535).default(587),
    /** TLS from the first byte (port 465); without it the connection is upgraded where the server can. */
    secure: z.boolean().default(false),
    user: z.string().min(1).max(320).optional(),
    password: secretSchema.optional(),
    from: addressSchema,
    to: z.array(addressSchema).min(1).max(20),
  })
  .refine((mail) => (mail.user === undefined) === (mail.password === undefined), {
    error: "user and password go together",
    path: ["user"],
  });

export const notifySchema = z.strictObject({
  slack: slackSchema.optional(),
  mail: mailSchema.optional(),
  /** How long the first alert waits for others that come with it. */
  groupWait: duration.default(notifyDefaults.grouping.groupWaitMs),
  /** Two messages to one sink are at least so long apart. */
  groupInterval: duration.default(notifyDefaults.grouping.groupIntervalMs),
  /** What fires on, unacknowledged, is told again after so long. */
  repeatInterval: duration.default(notifyDefaults.grouping.repeatIntervalMs),
});
/** As the file says it, durations in milliseconds, secrets still references. */
export type NotifySettings = z.infer<typeof notifySchema>;

export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
}

export type ResolvedNotify =
  | { readonly kind: "resolved"; readonly notify: Notify }
  /** `path` leads to the reference in the section. */
  | { readonly kind: "refused"; readonly path: readonly string[]; readonly message: string };

export function resolveNotify(settings: NotifySettings, sources: SecretSources): ResolvedNotify {
  const { slack, mail, groupWait, groupInterval, repeatInterval } = settings;
  const grouping = { groupWaitMs: groupWait, groupIntervalMs: groupInterval, repeatIntervalMs: repeatInterval };
  const webhook = slack === undefined ? undefined : webhookFrom(slack.webhook, sources);
  if (typeof webhook === "string") return { kind: "refused", path: ["slack", "webhook"], message: webhook };
  const sender = mail === undefined ? undefined : mailFrom(mail, sources);
  if (typeof sender === "string") return { kind: "refused", path: ["mail", "password"], message: sender };
  return {
    kind: "resolved",
    notify: {
      grouping,
      ...(webhook === undefined ? {} : { slack: { webhook } }),
      ...(sender === undefined ? {} : { mail: sender }),
    },
  };
}

/** The address, or what is wrong with it. */
function webhookFrom(reference: string, sources: SecretSources): URL | string {
  const secret = secretFrom(reference, sources);
  if (secret.kind === "missing") return secret.message;
  const url = URL.canParse(secret.value) ? new URL(secret.value) : undefined;
  if (url === undefined) return `${reference} does not hold an address`;
  if (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname))) return url;
  return `${reference} must hold an https address`;
}

function mailFrom(mail: z.infer<typeof mailSchema>, sources: SecretSources): MailSettings | string {
  const { user, password, ...rest } = mail;
  if (user === undefined || password === undefined) return { ...rest, login: undefined };
  const secret = secretFrom(password, sources);
  return secret.kind === "missing" ? secret.message : { ...rest, login: { user, password: secret.value } };
}

type Secret =
  | { readonly kind: "secret"; readonly value: string }
  | { readonly kind: "missing"; readonly message: string };

function secretFrom(reference: string, { env, readFile }: SecretSources): Secret {
  const name = reference.slice(reference.indexOf(":") + 1);
  const value = reference.startsWith("env:") ? env[name] : fromFile(name, readFile);
  // A file ends with a line break that is no part of the secret.
  const trimmed = value?.trim() ?? "";
  if (trimmed !== "") return { kind: "secret", value: trimmed };
  const what = reference.startsWith("env:") ? "is not set" : "cannot be read, or is empty";
  return { kind: "missing", message: `${reference} ${what}` };
}

function fromFile(path: string, readFile: SecretSources["readFile"]): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    // What the system says about a path may quote more than the path: the reference is what the message names.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}
