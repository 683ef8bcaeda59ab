// What a process loads before it does anything: by the static imports of the sources. A library that only some processes need is loaded by
// those, when they need it, so that a node is back sooner after a crash and a verb answers sooner.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";

/** Foreign libraries that `root` and what it imports load at once; types alone load nothing. */
function loadedBy(root: string): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const walk = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const imports = readFileSync(file, "utf8").matchAll(/^(?:import|export)\s(?!type\s)[^;]*?from\s+"([^"]+)"/gm);
    for (const [text, specifier = ""] of imports)
      if (specifier.startsWith(".")) walk(join(dirname(file), specifier).replace(/\.js$/, ".ts"));
      else if (!specifier.startsWith("node:") && !/^import \{(\s*type \w+,?)+\s*\} from/.test(text))
        found.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);
  };
  walk(root);
  return found;
}

test("a node starts without the libraries of the HTTP interface, of mail, of the operations file, and of engines it may not need", (t) => {
  const loaded = loadedBy("node.ts");
  t.true(loaded.has("nact") && loaded.has("msgpackr"), [...loaded].join(" "));
  for (const name of ["fastify", "@fastify/swagger", "nodemailer", "yaml", "@tensorflow/tfjs", "onnx-proto"])
    t.false(loaded.has(name), name);
  t.true(loadedBy("actors/wiring/web-wiring.ts").has("fastify"), "the control: who serves HTTP loads it");
});

test("the command line starts without what only some verbs need", (t) => {
  const loaded = loadedBy("cli.ts");
  t.true(loaded.has("commander"));
  for (const name of ["fastify", "nodemailer", "yaml", "zod", "nact", "onnxruntime-node"])
    t.false(loaded.has(name), name);
});
