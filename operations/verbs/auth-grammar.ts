// `driftmend auth`: its flags.
//
// Owns: these flags. Does not own: what they do (auth.ts).

import type { Command } from "commander";
import type { AuthInitOptions } from "./auth.js";
import { natsUrl, wholeNumber } from "./flags.js";
import { oneMore, type Run, verb } from "./grammar.js";

export function authVerbs(root: Command, run: Run): void {
  const auth = root
    .command("auth")
    .description("users and keys for a cluster on NATS servers of your own")
    .helpCommand(false);
  verb(auth, "init", "make the servers' users and rights, keys for nodes and operators, a context for each client")
    .requiredOption("--out <dir>", "where the files go; each is readable by you alone")
    .option("--client <name>", "a client with an inbox of its own; may be given again (default: client)", oneMore)
    .option("--cluster <name>", "name of the cluster", "driftmend")
    .option(
      "--nats <url>",
      "address of the server; of several with commas between, and they form a cluster",
      natsUrl,
      "nats://127.0.0.1:4222",
    )
    .option(
      "--replicas <n>",
      "copies of every stream, for the nodes (default: 3 of three servers and more)",
      wholeNumber(1, 5),
    )
    .option("--tls-cert <file>", "PEM file of the servers' certificate: they then speak TLS only")
    .option("--tls-key <file>", "PEM file of that certificate's key")
    .option("--tls-ca <file>", "PEM file of the authority that signed it, and its clients' with --tls-verify")
    .option("--tls-verify", "let in only who has a certificate of --tls-ca")
    .option("--force", "make all files anew: the old secrets stop working")
    .action((options: AuthInitOptions) =>
      run(options, async (terminal) => (await import("./auth.js")).authInit(options, terminal)),
    );
}
