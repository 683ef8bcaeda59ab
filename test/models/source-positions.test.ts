// Stack traces in the places of the sources, without Node's flag: seen in a process of their own, as they are set once for a process.

import { execFileSync } from "node:child_process";
import test from "ava";

const compiled = (file: string): string => JSON.stringify(new URL(`../../${file}`, import.meta.url).href);

/** The stack of an error that is thrown in models/manifest.ts. */
function stackAfter(words: string): string {
  const script = `${words}; import(${compiled("models/manifest.js")})
    .then(({ sha256 }) => sha256(undefined)).catch((error) => process.stdout.write(error.stack))`;
  const env = { PATH: process.env.PATH };
  return execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", env });
}

const wordsFor = `import { nameSources } from ${compiled("models/source-positions.js")}; nameSources()`;

test("a stack names the source and its line, and keeps what was thrown", (t) => {
  const stack = stackAfter(wordsFor);
  t.regex(stack, /^TypeError[^\n]*: The "data" argument/);
  t.regex(stack, /\n {4}at sha256 \(\/[^\n]*\/models\/manifest\.ts:\d+:\d+\)/);
  t.false(stack.includes("/dist/models/manifest.js"));
});

test("negative control: without it the stack names the compiled file", (t) => {
  t.regex(stackAfter("void 0"), /\/dist\/models\/manifest\.js:\d+:\d+\)/);
});
