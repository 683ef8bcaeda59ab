// A file that is written beside the old one and then takes its place: whoever opens it finds one or the other, whole.

import { renameSync, writeFileSync } from "node:fs";

export function replaceFile(file: string, content: string | Uint8Array): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}
