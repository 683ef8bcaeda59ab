// What is kept of a source map, held against the map itself: of a file that tsc wrote.

import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import test from "ava";
import { LinePlaces, linePlaces } from "../../models/line-places.js";

const file = new URL("../../models/manifest.js", import.meta.url);
const script = readFileSync(file, "utf8");
const map = new SourceMap(JSON.parse(readFileSync(new URL(`${file.href}.map`), "utf8")));
const kept = new LinePlaces(linePlaces(script, map));

test("a line stands where the map says that its first word stands", (t) => {
  const compared = script.split("\n").flatMap((text, line) => {
    const wanted = map.findEntry(line, text.search(/\S|$/));
    if (!("originalSource" in wanted) || wanted.generatedLine !== line) return [];
    const { originalSource, originalLine, originalColumn } = wanted;
    t.deepEqual(kept.findEntry(line), { originalSource, originalLine, originalColumn }, `line ${line}`);
    return [line];
  });
  t.true(compared.length > 50);
});

test("a line without a source, and one beyond the end, stand nowhere", (t) => {
  t.deepEqual(kept.findEntry(script.split("\n").length + 10), {});
  const last = script.split("\n").length - 1;
  t.regex(script.split("\n")[last] ?? "", /sourceMappingURL/);
  t.deepEqual(kept.findEntry(last), {});
});

test("bytes that are no such file are refused", (t) => {
  t.throws(() => new LinePlaces(new Uint8Array()), { instanceOf: SyntaxError });
  t.throws(() => new LinePlaces(Buffer.from("no places\n")), { instanceOf: SyntaxError });
});
