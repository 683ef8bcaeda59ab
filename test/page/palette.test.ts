// The colours of the page as numbers: every pair that is read holds its contrast, in both themes (WCAG 2.2, 1.4.3 and 1.4.11).

import test from "ava";
import { dark, legiblePairs, light, paletteStyle } from "../../operations/page/palette.js";

const themes = { light, dark } as const;

for (const [name, palette] of Object.entries(themes))
  test(`every text and every line of the ${name} theme can be told from what is behind it`, (t) => {
    const weak = legiblePairs.flatMap(({ front, behind, atLeast }) => {
      const ratio = contrast(palette[front], palette[behind]);
      return ratio < atLeast ? [`${front} on ${behind}: ${ratio.toFixed(2)}, at least ${atLeast}`] : [];
    });
    t.deepEqual(weak, []);
    t.true(legiblePairs.length > 30);
  });

test("contrast is reckoned as WCAG does: black on white is 21, grey #767676 on white just passes, #777777 does not", (t) => {
  t.is(contrast("#000000", "#ffffff"), 21);
  t.true(contrast("#767676", "#ffffff") >= 4.5);
  t.true(contrast("#777777", "#ffffff") < 4.5);
});

test("the system decides between light and dark unless the reader did", (t) => {
  const style = paletteStyle();
  t.regex(style, /prefers-color-scheme:dark\)\{:root:not\(\[data-theme="light"\]\)/);
  t.regex(style, /:root\[data-theme="dark"\]/);
  for (const colour of [...Object.values(light), ...Object.values(dark)]) t.true(style.includes(colour));
});

/** Relative luminance and contrast ratio: WCAG 2.2, definitions. */
function contrast(one: string, other: string): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
