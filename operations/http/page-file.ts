// The page as its build left it: one document with its script and its style inside, and the policy that goes with it.
//
// Owns: where it lies, that it refers to nothing outside itself. Does not own: the page (operations/page/).

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { pagePolicy } from "./security-headers.js";

export type PageFile =
  | { readonly kind: "page"; readonly html: string; readonly policy: string }
  | { readonly kind: "absent"; readonly message: string };

/** Beside the compiled code. */
export const pageFile = fileURLToPath(new URL("../page/page.html", import.meta.url));

/** A reference to another file would be refused by the policy, and the page would be blank: better no page, and a reason. */
const reference = /<script\b[^>]*\ssrc=|<link\b[^>]*\shref="(?!data:)/i;

export async function readPage(file: string = pageFile): Promise<PageFile> {
  let html: string;
  try {
    html = await readFile(file, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    return { kind: "absent", message: `the page was not built: there is no ${file}` };
  }
  if (reference.test(html)) return { kind: "absent", message: `${file} refers to another file; the page is one file` };
  return { kind: "page", html, policy: pagePolicy(html) };
}
