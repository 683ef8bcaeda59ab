// `driftmend auth init`: the users, keys and contexts of a cluster on NATS servers that somebody keeps himself.
//
// Owns: writing the files, what is said of them. Does not own: what is in them (operations/cluster/auth-files.ts).
//
// A1. Nothing is overwritten without --force: whoever has the old secrets would be locked out.
// A2. No secret is printed; every file is the owner's alone (0600), but for the authority's certificate, which is everybody's (0644).

import { readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder } from "../../models/make-folder.js";
import { roles } from "../../transport/access/credentials.js";
import { checkTls, trustOf } from "../../transport/access/tls-files.js";
import { serversIn } from "../../transport/bus/server-list.js";
import { isToken, subjectsOf } from "../../transport/subjects.js";
import { type AuthFile, type AuthPlan, accountsFile, authFiles, authorityFile } from "../cluster/auth-files.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { padRight } from "../text.js";

export interface AuthInitOptions {
  readonly json?: boolean;
  readonly out: string;
  readonly client?: readonly string[];
  readonly cluster: string;
  readonly nats: string;
  readonly replicas?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsVerify?: boolean;
  readonly force?: boolean;
}

const defaultClient = "client";

export async function authInit(options: AuthInitOptions, terminal: Terminal): Promise<Outcome> {
  const { out, client: clients = [defaultClient], cluster, nats, force = false } = options;
  const reserved: readonly string[] = roles.filter((role) => role !== defaultClient);
  const wrong = clients.find((name, at) => !isToken(name) || reserved.includes(name) || clients.indexOf(name) !== at);
  if (wrong !== undefined)
    return {
      kind: "usage",
      message: `--client ${wrong.slice(0, 40)}: names are different, of letters, digits, "-" or "_", and none of ${reserved.join(", ")}`,
      next: "driftmend auth init --help",
    };
  const servers = serversIn(nats).length;
  // Three survive the loss of one; two servers have no majority without either of them, so two copies gain nothing.
  const { replicas = servers < 3 ? 1 : 3 } = options;
  if (replicas > servers)
    return {
      kind: "usage",
      message: `--replicas ${replicas}: --nats names ${servers === 1 ? "one server" : `${servers} servers`}, and each keeps one copy`,
      next: "name all servers: --nats nats://a:4222,nats://b:4222,nats://c:4222",
    };
  const tls = await certificatesOf(options, terminal.clock.nowMs());
  if ("kind" in tls) return tls;
  const files = authFiles({ subjects: subjectsOf(cluster), natsUrl: nats, clients, ...tls });
  const folder = resolve(out);
  const there = force ? undefined : await firstThere(folder, files);
  if (there !== undefined)
    return {
      kind: "failed",
      message: `${there} is there already, and whoever has the secrets in it would be locked out`,
      next: "give another --out, or --force to make all of them anew",
    };
  await write(folder, files);
  const chosen = { ...options, replicas };
  terminal.print(terminal.json ? told(folder, files, chosen) : summary(folder, files, chosen, terminal.self));
  return done;
}

async function certificatesOf(
  { tlsCert, tlsKey, tlsCa, tlsVerify = false }: AuthInitOptions,
  nowMs: number,
): Promise<Pick<AuthPlan, "tls" | "authority"> | Extract<Outcome, { kind: "usage" }>> {
  const next = "docs/security.md shows how to make certificates with openssl";
  if (tlsCert === undefined || tlsKey === undefined) {
    if ([tlsCert, tlsKey, tlsCa].every((file) => file === undefined) && !tlsVerify) return {};
    return { kind: "usage", message: "TLS of the servers needs both --tls-cert and --tls-key", next };
  }
  if (tlsVerify && tlsCa === undefined)
    return { kind: "usage", message: "--tls-verify needs the authority of the clients: --tls-ca FILE", next };
  const named = { certFile: resolve(tlsCert), keyFile: resolve(tlsKey) };
  const tls = { ...named, ...(tlsCa === undefined ? {} : { caFile: resolve(tlsCa) }), verify: tlsVerify };
  const flaw = await checkTls(tls, nowMs);
  if (flaw !== undefined) return { kind: "usage", message: `--tls-cert, --tls-key, --tls-ca: ${flaw}`, next };
  const caFile = await trustOf(tls);
  return { tls, ...(caFile === undefined ? {} : { authority: await readFile(caFile, "utf8") }) };
}

/** What is public and the same already takes nothing from anybody. */
async function firstThere(folder: string, files: readonly AuthFile[]): Promise<string | undefined> {
  for (const { name, text, isPublic = false } of files) {
    const file = join(folder, name);
    const found = await readFile(file, "utf8").catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      return "";
    });
    if (found !== undefined && !(isPublic && found === text)) return file;
  }
  return undefined;
}

/** A file is made anew: one that is written over would keep the mode it had. */
async function write(folder: string, files: readonly AuthFile[]): Promise<void> {
  await makeFolder(folder, 0o700);
  for (const { name, text, isPublic = false } of files) {
    const file = join(folder, name);
    await rm(file, { force: true });
    await writeFile(file, text, { mode: isPublic ? 0o644 : 0o600, flag: "wx" });
  }
}

type Chosen = AuthInitOptions & { readonly replicas: number };

function told(folder: string, files: readonly AuthFile[], { cluster, nats, replicas }: Chosen): string {
  const listed = files.map(({ name, what }) => ({ file: join(folder, name), what }));
  return JSON.stringify({ cluster, natsUrl: nats, replicas, out: folder, files: listed });
}

function serverSteps(folder: string, [first = "", ...more]: readonly string[]): readonly string[] {
  const check = `nats-server -t -c ${first}`;
  if (more.length === 0)
    return [
      `  1. on each NATS server put ${accountsFile} beside its config, with  include "./${accountsFile}"  in it,`,
      `     or start from ${first}; then check it:  cd ${folder} && ${check}`,
      "  2. restart the servers, or reload them:  nats-server --signal reload",
    ];
  return [
    `  1. on each NATS server put ${accountsFile} and its own file of ${first} to ${more.at(-1)} into one folder; then, in it,`,
    `     check it:  ${check}`,
    `  2. start each:  ${check.replace(" -t", "")}`,
  ];
}

function summary(folder: string, files: readonly AuthFile[], options: Chosen, self: string): string {
  const at = (name: string): string => join(folder, name);
  const width = Math.max(...files.map(({ name }) => name.length));
  const ca = files.some(({ name }) => name === authorityFile) ? ` --tls-ca ${at(authorityFile)}` : "";
  const named = options.cluster === "driftmend" ? "" : ` --cluster ${options.cluster}`;
  const copies = options.replicas === 1 ? "" : ` --replicas ${options.replicas}`;
  const node = `${self} node --role serving --nats ${options.nats} --nkey ${at("node.nk")}${ca}${named}${copies}`;
  const configs = files.map(({ name }) => name).filter((name) => /^server.*\.conf$/.test(name));
  return [
    `made in ${folder}, readable by you alone${ca === "" ? "" : ` but for ${authorityFile}`}:`,
    ...files.map(({ name, what }) => `  ${padRight(name, width)}  ${what}`),
    "",
    "now:",
    ...serverSteps(folder, configs),
    "  3. start nodes, one of each role at least (serving, learning, operations):",
    `     ${node}`,
    `  4. look at it:  ${self} status --context ${at("operator.json")}`,
    `  5. give each client its own context${ca === "" ? "" : ` with ${authorityFile} beside it`}, over a way that nobody else reads;`,
    "     driftmend infer --context FILE, or the user and password in it with any NATS client.",
    "     Then delete what this machine does not need.",
    ...(options.tlsCert === undefined
      ? ["", "without TLS passwords and data can be read on the way: --tls-cert FILE --tls-key FILE --tls-ca FILE"]
      : []),
  ].join("\n");
}
