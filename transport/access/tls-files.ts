// Certificates: the files a connection or a server is told to use, and in one sentence what is wrong with them.
//
// Owns: reading them, the checks before anything is started, what an error of a TLS handshake means. Does not own: the handshake (bus.ts),
// the server's config (broker.ts).
//
// T1. No key's bytes are in a message: files are named, never quoted.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

/** Of a connection: whom it trusts (the system's authorities when left out), and who it is, where the server asks. */
export interface Tls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Of a server. */
export interface ServerTls {
  readonly certFile: string;
  readonly keyFile: string;
  /** Who signed the certificates: the server's own, and those of its clients. */
  readonly caFile?: string;
  /** Only clients with a certificate of that authority are let in. */
  readonly verify?: boolean;
}

/** What is wrong with the files, in one sentence; undefined when nothing is. `nowMs` is the wall clock. */
export async function checkTls({ caFile, certFile, keyFile }: Tls, nowMs?: number): Promise<string | undefined> {
  if ((certFile === undefined) !== (keyFile === undefined)) return "a certificate and its key go together";
  const read = { ca: await pem(caFile), cert: await pem(certFile), key: await pem(keyFile) };
  for (const each of Object.values(read)) if (each?.kind === "refused") return each.message;
  for (const [file, found] of [
    [caFile, read.ca],
    [certFile, read.cert],
  ] as const) {
    const flaw = found?.kind === "read" ? certificateFlaw(file ?? "", found.text, nowMs) : undefined;
    if (flaw !== undefined) return flaw;
  }
  if (read.cert?.kind !== "read" || read.key?.kind !== "read") return undefined;
  return pairFlaw(certFile ?? "", read.cert.text, keyFile ?? "", read.key.text);
}

/** By which of `names` clients can reach a server with this certificate; undefined when it covers none of them. */
export async function nameCovered(certFile: string, names: readonly string[]): Promise<string | undefined> {
  const certificate = new X509Certificate(await readFile(certFile));
  return names.find((name) =>
    isIP(name) === 0 ? certificate.checkHost(name) !== undefined : certificate.checkIP(name) !== undefined,
  );
}

/** Whether the authority signed the certificate; a certificate that signed itself is its own authority. */
export async function isSignedBy(certFile: string, caFile: string): Promise<boolean> {
  const certificate = new X509Certificate(await readFile(certFile));
  const authority = new X509Certificate(await readFile(caFile));
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** Whom clients of a server with these files must trust; undefined: the system's authorities. */
export async function trustOf({ certFile, caFile }: ServerTls): Promise<string | undefined> {
  if (caFile !== undefined) return caFile;
  return (await isSignedBy(certFile, certFile)) ? certFile : undefined;
}

/** What a failed connection says of certificates, in one sentence; undefined when they are not the reason. */
export function whyUntrusted(error: unknown, tls: Tls | undefined): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const trusted = tls?.caFile ?? "the system's authorities";
  switch (codeOf(error)) {
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "CERT_SIGNATURE_FAILURE":
      return `the server's certificate is not signed by ${trusted}; give its authority with --tls-ca FILE`;
    case "CERT_HAS_EXPIRED":
      return "the server's certificate has expired";
    case "CERT_NOT_YET_VALID":
      return "the server's certificate is not valid yet; look at the clocks of both machines";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "the server's certificate is for another name; use one of its names in the address";
    default:
      return handshakeFlaw(error.message);
  }
}

function handshakeFlaw(message: string): string | undefined {
  if (message.includes("does not support 'tls'"))
    return "the server speaks no TLS; leave --tls-ca out, or configure it there";
  if (/certificate required|bad certificate|handshake failure|unknown ca/i.test(message))
    return "the server asks for a certificate it trusts; give one with --tls-cert FILE and --tls-key FILE";
  return undefined;
}

function codeOf(error: Error): unknown {
  const { cause } = error;
  if ("code" in error && error.code !== undefined) return error.code;
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
}

type Pem = { readonly kind: "read"; readonly text: string } | { readonly kind: "refused"; readonly message: string };

async function pem(file: string | undefined): Promise<Pem | undefined> {
  if (file === undefined) return undefined;
  try {
    return { kind: "read", text: await readFile(file, "utf8") };
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    const message = error.code === "ENOENT" ? `there is no ${file}` : `${file} cannot be read: ${error.code}`;
    return { kind: "refused", message };
  }
}

function certificateFlaw(file: string, text: string, nowMs: number | undefined): string | undefined {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(text);
  } catch {
    return `${file} is no certificate in PEM form`;
  }
  if (nowMs === undefined) return undefined;
  const { validFrom, validTo } = certificate;
  if (Date.parse(validTo) < nowMs) return `the certificate ${file} expired at ${validTo}`;
  return Date.parse(validFrom) > nowMs ? `the certificate ${file} is valid from ${validFrom} only` : undefined;
}

function pairFlaw(certFile: string, cert: string, keyFile: string, key: string): string | undefined {
  try {
    const isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
    return isPair ? undefined : `${keyFile} is not the key of ${certFile}`;
  } catch {
    return `${keyFile} is no private key in PEM form without a passphrase`;
  }
}
