// Certificates for tests, made by openssl when a test needs them.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const keyKind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export interface Certificates {
  readonly folder: string;
  /** Path of a file of that name. */
  at(name: string): string;
  remove(): Promise<void>;
}

/**
 * `ca.pem` and `other.pem`: two authorities. `server.pem`, `expired.pem`, `elsewhere.pem` with the key `server.key`: signed by the first,
 * for 127.0.0.1 and localhost; the same, over; for another name. `self.pem` with `self.key`: signed by itself. `client.pem`, `client.key`.
 */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-tls-"));
  const at = (name: string): string => join(folder, name);
  const authority = (name: string): Promise<unknown> =>
    run("openssl", [
      ...["req", "-x509", ...keyKind, "-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)],
      ...["-days", "30", "-subj", `/CN=${name} of a test`],
    ]);
  const asked = (name: string): Promise<unknown> =>
    run("openssl", [
      "req",
      ...keyKind,
      "-keyout",
      at(`${name}.key`),
      "-out",
      at(`${name}.csr`),
      "-subj",
      `/CN=${name}`,
    ]);
  const signed = async (key: string, name: string, names: string, days = "30"): Promise<void> => {
    await writeFile(at(`${name}.ext`), `subjectAltName=${names}\n`);
    await run("openssl", [
      ...["x509", "-req", "-in", at(`${key}.csr`), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"],
      ...["-out", at(`${name}.pem`), "-days", days, "-extfile", at(`${name}.ext`)],
    ]);
  };
  for (const name of ["ca", "other"]) await authority(name);
  for (const name of ["server", "client"]) await asked(name);
  const here = "IP:127.0.0.1,DNS:localhost";
  await signed("server", "server", here);
  await signed("server", "expired", here, "-1");
  await signed("server", "elsewhere", "DNS:nats.example");
  await signed("client", "client", "DNS:client.example");
  await run("openssl", [
    ...["req", "-x509", ...keyKind, "-keyout", at("self.key"), "-out", at("self.pem"), "-days", "30"],
    ...["-subj", "/CN=self", "-addext", `subjectAltName=${here}`],
  ]);
  return { folder, at, remove: () => rm(folder, { recursive: true, force: true }) };
}
