// `driftmend page`: the link to the cluster's page.
//
// Owns: what the link carries. Does not own: the page, the tokens (context.json has them, readable by its user only).
//
// G1. A token stands in the fragment of the link: a browser sends that to nobody, and the page takes it out of the address bar.

import { resolve } from "node:path";
import { type ClusterContext, contextFile, defaultStore, readContext } from "../../transport/access/context.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { isLoopback } from "../http/http-address.js";
import type { Terminal } from "../terminal/terminal.js";
import { startOne, whyNone } from "./cluster.js";

export interface PageOptions {
  readonly json?: boolean;
  readonly operator?: boolean;
  readonly context?: string;
}

export async function showPage({ operator = false, context }: PageOptions, terminal: Terminal): Promise<Outcome> {
  const read = await readContext(resolve(context ?? contextFile(defaultStore)));
  if (read.kind !== "found") return { kind: "unreachable", message: whyNone(read), next: startOne };
  const { httpUrl } = read.context;
  if (httpUrl === "")
    return { kind: "failed", message: "this cluster serves no HTTP", next: "start it without --no-http" };
  const url = linkOf(read.context, operator);
  if (url === undefined)
    return { kind: "failed", message: `${read.file} has no HTTP tokens`, next: "start the cluster with this version" };
  terminal.print(terminal.json ? JSON.stringify({ url, operator }) : url);
  if (operator && !terminal.json) terminal.note("whoever has this link may give orders to the cluster");
  return done;
}

/** Undefined when it needs a token and there is none. */
function linkOf({ httpUrl, httpTokens }: ClusterContext, operator: boolean): string | undefined {
  if (!operator && isLoopback(new URL(httpUrl).hostname)) return `${httpUrl}/`;
  if (httpTokens === undefined) return undefined;
  return operator ? `${httpUrl}/#operator=${httpTokens.operator}` : `${httpUrl}/#viewer=${httpTokens.viewer}`;
}
