// Builds the page: one HTML file that asks nobody for anything, with its script and its style inside.
//
// Owns: how the file is put together, and where it lies. Does not own: who serves it (operations/http/).
//
// P1. What others wrote and the page contains is named in it, and their licences lie beside it (licenses.txt).
// P2. The file holds exactly one `<style>` and one `<script type="module">`, so a server can allow both by their hashes.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { paletteStyle } from "./palette.js";

const project = fileURLToPath(new URL("../../..", import.meta.url));
const folder = join(project, "operations", "page");

/** Smaller than a photograph; whoever makes it larger says so here. */
const bytesMax = 260_000;

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, entry)],
    absWorkingDir: project,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "browser",
    legalComments: "none",
    logLevel: "warning",
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`esbuild wrote nothing for ${entry}`);
  return file.text;
}

const [script, style] = await Promise.all([bundled("main.ts"), bundled("style.css")]);
const page = `<!doctype html>
<!-- Contains preact (MIT, Jason Miller), htm (Apache-2.0, Google) and uPlot (MIT, Leon Sorokin); their licences: licenses.txt of the package. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>driftmend</title>
<link rel="icon" href="data:,">
<style>${paletteStyle()}
${style}</style>
</head>
<body>
<div id="app"><noscript><p>This page needs JavaScript. The same figures without it: <code>driftmend top</code>, or <a href="/metrics">/metrics</a>.</p></noscript></div>
<script type="module">${script.replaceAll("</script", "<\\/script")}</script>
</body>
</html>
`;
const size = Buffer.byteLength(page);
if (size > bytesMax) throw new Error(`the page has ${size} bytes, more than ${bytesMax}`);
const folderBuilt = join(project, "dist", "operations", "page");
await mkdir(folderBuilt, { recursive: true });
await writeFile(join(folderBuilt, "page.html"), page);
await writeFile(
  join(folderBuilt, "licenses.txt"),
  (await Promise.all(["preact", "htm", "uplot"].map(licenceOf))).join("\n"),
);

async function licenceOf(library: string): Promise<string> {
  return `${library}\n\n${await readFile(join(project, "node_modules", library, "LICENSE"), "utf8")}\n`;
}
