// The headers that every answer carries, and the content policy of an HTML document.
//
// Owns: these words. Does not own: who may ask (access.ts).

import { createHash } from "node:crypto";

/** Nothing of an answer may be framed, sniffed, kept, or used by another origin. */
export const securityHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "cache-control": "no-store",
};

/** Only the scripts and styles that are in this document, each by its hash; data from this origin only. */
export function pagePolicy(html: string): string {
  return [
    "default-src 'none'",
    `script-src ${hashesOf(html, "script")}`,
    `style-src ${hashesOf(html, "style")}`,
    "img-src data:",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/**
 * A document from a file on this machine: whatever is in it, it talks to nobody and is of an origin of its own, so that it sees neither the
 * page's token nor the interface.
 */
export const reportPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "sandbox allow-scripts",
].join("; ");

function hashesOf(html: string, element: "script" | "style"): string {
  const found = html.matchAll(new RegExp(`<${element}\\b[^>]*>([\\s\\S]*?)</${element}>`, "gi"));
  const hashes = Array.from(found, ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
  return hashes.length === 0 ? "'none'" : [...new Set(hashes)].join(" ");
}
