// Slack's incoming webhook: one POST, one message.
//
// Owns: the JSON, its limits and escapes, the meaning of the answers. Does not own: the text (notification.ts), tries and breaker
// (delivery.ts).
//
// K1. The webhook's address is the secret. No answer, error or log line contains it, and no redirect takes the message elsewhere.

import type { Clock } from "../../../models/clock.js";
import { cut } from "../../text.js";
import type { Notification } from "./notification.js";
import type { Sink, SinkAnswer } from "./sink.js";

export interface SlackOptions {
  readonly webhook: URL;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Slack refuses a section's text beyond 3,000 characters and a message beyond 50 blocks. */
const sectionMax = 2_900;
const blocksMax = 20;
const headerMax = 150;
const answerMax = 120;
/** A place that asks for more patience is asked all the same: alerts wait for nobody for ever. */
const retryMaxMs = 300_000;

export function slackSink({ webhook, timeoutMs, clock }: SlackOptions): Sink {
  return {
    name: "slack",
    target: `slack ${webhook.host}`,
    send: async (notification, signal) => {
      const over = new AbortController();
      const stop = (): void => over.abort();
      const cancel = clock.after(timeoutMs, stop);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
      try {
        const response = await fetch(webhook, {
          method: "POST",
          headers: { "content-type": "application/json; charset=utf-8" },
          body: JSON.stringify(slackMessage(notification)),
          redirect: "manual",
          signal: over.signal,
        });
        return answerOf(response, await response.text());
      } catch (error) {
        return { kind: "busy", said: over.signal.aborted ? `no answer within ${timeoutMs} ms` : unreachable(error) };
      } finally {
        cancel();
        signal.removeEventListener("abort", stop);
      }
    },
  };
}

/** `text` is what a notification on a phone shows; the blocks are the message. */
export function slackMessage({ subject, lines }: Notification) {
  return {
    text: escaped(subject),
    blocks: [
      { type: "header", text: { type: "plain_text", text: cut(subject, headerMax) } },
      ...sections(lines.map(escaped)).map((text) => ({
        type: "section",
        // Without `verbatim` Slack makes links of addresses and mentions of bare names, whatever is escaped.
        text: { type: "mrkdwn", text, verbatim: true },
      })),
    ],
  };
}

/** Lines in as few sections as they fit in. */
function sections(lines: readonly string[]): readonly string[] {
  const found: string[] = [];
  let section = "";
  for (const line of lines) {
    const longer = section === "" ? line : `${section}\n${line}`;
    if (longer.length > sectionMax && section !== "") {
      found.push(section);
      section = line.slice(0, sectionMax);
    } else section = longer.slice(0, sectionMax);
  }
  if (section !== "") found.push(section);
  return found.slice(0, blocksMax);
}

/** The three characters that Slack's markup gives a meaning: without them no text of ours mentions or links anything by markup. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function answerOf(response: Response, body: string): SinkAnswer {
  const { status, headers } = response;
  const said = `HTTP ${status} ${cut(body.replace(/[^\x20-\x7e]+/g, " ").trim(), answerMax)}`.trim();
  if (status >= 200 && status < 300) return { kind: "taken", said };
  // Everything else in the 4xx range is about this webhook or this message: no_service, invalid_token, channel_is_archived.
  if (status !== 429 && status !== 408 && status < 500) return { kind: "refused", said };
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return seconds > 0
    ? { kind: "busy", said, retryInMs: Math.min(seconds * 1_000, retryMaxMs) }
    : { kind: "busy", said };
}

/** The code only: an error of fetch may quote the address. */
function unreachable(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "no connection";
  return `not reached: ${code}`;
}
