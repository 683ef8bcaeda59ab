// The files with which somebody runs a cluster on NATS servers of his own: users and rights for the servers, keys and contexts for people
// and nodes. As data; nothing is written here.
//
// Owns: which files there are, who may read each. Does not own: rights (transport/access/credentials.ts), the servers' own files (auth-servers.ts),
// writing them (verbs/auth.ts).
//
// F1. The servers' file has public keys for node and operator: whoever reads it cannot become one of them. It has the passwords of clients
//     and listeners, so it is as secret as they are.

import { type ClusterContext, type ContextRole, contextText, nobody } from "../../transport/access/context.js";
import { type Credential, makeNkey, makePassword, userAs } from "../../transport/access/credentials.js";
import type { ServerTls } from "../../transport/access/tls-files.js";
import { renderAccounts, renderTls } from "../../transport/server/server-config.js";
import type { Subjects } from "../../transport/subjects.js";
import { serverFiles } from "./auth-servers.js";

export interface AuthPlan {
  readonly subjects: Subjects;
  readonly natsUrl: string;
  /** Names of the clients: one user each. */
  readonly clients: readonly string[];
  readonly tls?: ServerTls;
  /** The certificate of the authority that everybody is to trust, where it is not one of the system's: its text. */
  readonly authority?: string;
}

export interface AuthFile {
  readonly name: string;
  /** For whom, in a few words. */
  readonly what: string;
  readonly text: string;
  /** Anybody may read it. */
  readonly isPublic?: boolean;
}

export const accountsFile = "driftmend-accounts.conf";
/** Beside the contexts, which name it without a folder: they travel together. */
export const authorityFile = "ca.pem";

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
    ...serverFiles({ cluster: subjects.cluster, natsUrl: plan.natsUrl, tls: plan.tls, accountsFile }),
    { name: "node.nk", what: "the nodes: their key", text: `${node.nkey}\n` },
    { name: "operator.nk", what: "operators: their key, for other NATS tools", text: `${operator.nkey}\n` },
    contextFile("operator", plan, "operator", operator),
    contextFile("telemetry", plan, "telemetry", telemetry),
    ...clients.map((client) => contextFile(client.user, plan, "client", client)),
    ...(plan.authority === undefined
      ? []
      : [
          {
            name: authorityFile,
            what: "the authority's certificate, for everybody",
            text: plan.authority,
            isPublic: true,
          },
        ]),
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

function contextFile(
  name: string,
  { subjects, natsUrl, authority }: AuthPlan,
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
    ...(authority === undefined ? {} : { tls: { caFile: authorityFile } }),
    users,
  };
  const whose = {
    client: `the client ${name}: --context of infer and feedback`,
    telemetry: "listeners: --context of watch, metrics, top, subjects, health, alerts ls",
    operator: "operators: --context of every verb",
  }[only];
  return { name: `${name}.json`, what: whose, text: contextText(context) };
}
