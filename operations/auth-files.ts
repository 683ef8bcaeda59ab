// The files with which somebody runs a cluster on NATS servers of his own: users and rights for the servers, keys and contexts for people
// and nodes. As data; nothing is written here.
//
// Owns: which files there are, who may read each. Does not own: rights (transport/credentials.ts), writing them (verbs/auth.ts).
//
// F1. The servers' file has public keys for node and operator: whoever reads it cannot become one of them. It has the passwords of clients
//     and listeners, so it is as secret as they are.

import { type ClusterContext, type ContextRole, contextText, nobody } from "../transport/context.js";
import { type Credential, makeNkey, makePassword, userAs } from "../transport/credentials.js";
import { renderAccounts, renderTls } from "../transport/server-config.js";
import type { Subjects } from "../transport/subjects.js";
import type { ServerTls, Tls } from "../transport/tls-files.js";

export interface AuthPlan {
  readonly subjects: Subjects;
  readonly natsUrl: string;
  /** Names of the clients: one user each. */
  readonly clients: readonly string[];
  readonly tls?: ServerTls;
  /** What the contexts say of certificates. */
  readonly trust?: Tls;
}

export interface AuthFile {
  readonly name: string;
  /** For whom, in a few words. */
  readonly what: string;
  readonly text: string;
}

export const accountsFile = "driftmend-accounts.conf";
export const serverFile = "server.conf";
/** What large requests need; the servers' own default is an eighth of it. */
const payloadMax = "8MB";

/** Fresh secrets each time. */
export function authFiles(plan: AuthPlan): readonly AuthFile[] {
  const { subjects } = plan;
  const [node, operator] = [makeNkey("node"), makeNkey("operator")];
  const telemetry = makePassword("telemetry");
  const clients = plan.clients.map(makePassword);
  const users = [
    userAs("node", node, subjects),
    userAs("operator", operator, subjects),
    userAs("telemetry", telemetry, subjects),
    ...clients.map((client) => userAs("client", client, subjects)),
  ];
  return [
    {
      name: accountsFile,
      what: "the servers: users and what each may do",
      text: accountsText(plan, renderAccounts(users)),
    },
    { name: serverFile, what: "a server that includes it, to start from", text: serverText(plan) },
    { name: "node.nk", what: "the nodes: their key", text: `${node.nkey}\n` },
    { name: "operator.nk", what: "operators: their key, for other NATS tools", text: `${operator.nkey}\n` },
    contextFile("operator", plan, "operator", operator),
    contextFile("telemetry", plan, "telemetry", telemetry),
    ...clients.map((client) => contextFile(client.user, plan, "client", client)),
  ];
}

function accountsText({ subjects, tls }: AuthPlan, accounts: string): string {
  return [
    `# Users of the driftmend cluster "${subjects.cluster}", made by driftmend auth init. Include it in every server of the cluster:`,
    `#   include "./${accountsFile}"`,
    "",
    ...(tls === undefined ? [] : [renderTls(tls), ""]),
    accounts,
    "",
  ].join("\n");
}

function serverText({ natsUrl, subjects }: AuthPlan): string {
  const [first = natsUrl] = natsUrl.split(",");
  const port = new URL(first).port || "4222";
  return [
    "# One server to start from. For several: give each a server_name and store_dir of its own and a cluster block with routes.",
    `server_name: "${subjects.cluster}-1"`,
    `listen: "0.0.0.0:${port}"`,
    `max_payload: ${payloadMax}`,
    'jetstream { store_dir: "./jetstream" }',
    `include "./${accountsFile}"`,
    "",
  ].join("\n");
}

function contextFile(
  name: string,
  { subjects, natsUrl, trust }: AuthPlan,
  only: ContextRole,
  credential: Credential,
): AuthFile {
  const users = { client: nobody, telemetry: nobody, operator: nobody, [only]: credential };
  const context: ClusterContext = {
    cluster: subjects.cluster,
    natsUrl,
    httpUrl: "",
    pid: 0,
    only,
    ...(trust === undefined ? {} : { tls: trust }),
    users,
  };
  const whose = {
    client: `the client ${name}: --context of infer and feedback`,
    telemetry: "listeners: --context of watch, logs, trace, metrics",
    operator: "operators: --context of every verb",
  }[only];
  return { name: `${name}.json`, what: whose, text: contextText(context) };
}
