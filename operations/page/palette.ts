// The colours of the page, light and dark, and what must be legible on what.
//
// Owns: every colour by name, and the pairs that hold a contrast (test/page/palette.test.ts computes them). Pure.
// Does not own: where a colour is used (style.css). No colour says anything alone: a word stands beside it.

export interface Palette {
  readonly page: string;
  readonly card: string;
  readonly raised: string;
  readonly ink: string;
  readonly quiet: string;
  /** Hairlines between things: decoration. */
  readonly rule: string;
  /** The outline of what can be pressed or typed into. */
  readonly edge: string;
  readonly accent: string;
  readonly onAccent: string;
  readonly accentSoft: string;
  readonly good: string;
  readonly goodSoft: string;
  readonly warn: string;
  readonly warnSoft: string;
  readonly bad: string;
  readonly badSoft: string;
  readonly onBad: string;
  readonly line1: string;
  readonly line2: string;
  readonly line3: string;
  readonly line4: string;
  readonly line5: string;
  readonly line6: string;
}

export type ColourName = keyof Palette;

export const light: Palette = {
  page: "#f6f7f9",
  card: "#ffffff",
  raised: "#eff1f5",
  ink: "#161a22",
  quiet: "#586072",
  rule: "#e2e5eb",
  edge: "#838b9b",
  accent: "#2957c8",
  onAccent: "#ffffff",
  accentSoft: "#e7edfb",
  good: "#14683a",
  goodSoft: "#e3f3e9",
  warn: "#835000",
  warnSoft: "#fcf0d9",
  bad: "#b0241c",
  badSoft: "#fcebe9",
  onBad: "#ffffff",
  line1: "#2957c8",
  line2: "#6b7484",
  line3: "#0b7a75",
  line4: "#8040b5",
  line5: "#b4570f",
  line6: "#b32d63",
};

export const dark: Palette = {
  page: "#0d1015",
  card: "#151920",
  raised: "#1d232c",
  ink: "#e7eaf0",
  quiet: "#9da6b6",
  rule: "#272e39",
  edge: "#6f7a8c",
  accent: "#8db2ff",
  onAccent: "#0a1226",
  accentSoft: "#1b2a4a",
  good: "#62d394",
  goodSoft: "#12301f",
  warn: "#f1bb55",
  warnSoft: "#33270f",
  bad: "#ff8f85",
  badSoft: "#3b1a18",
  onBad: "#2a0a08",
  line1: "#7ea8ff",
  line2: "#98a2b3",
  line3: "#45c7bd",
  line4: "#c399f2",
  line5: "#f0a35e",
  line6: "#f387ae",
};

export interface LegiblePair {
  readonly front: ColourName;
  readonly behind: ColourName;
  /** 4.5 for text, 3 for lines and outlines (WCAG 2.2, 1.4.3 and 1.4.11). */
  readonly atLeast: number;
}

const grounds = ["page", "card", "raised"] as const;
const texts = ["ink", "quiet", "accent", "good", "warn", "bad"] as const;
const lines = ["line1", "line2", "line3", "line4", "line5", "line6", "edge", "accent"] as const;

export const legiblePairs: readonly LegiblePair[] = [
  ...texts.flatMap((front) => grounds.map((behind) => ({ front, behind, atLeast: 4.5 }))),
  ...(["good", "warn", "bad", "accent"] as const).flatMap((front) => [
    { front, behind: `${front}Soft` as const, atLeast: 4.5 },
    { front: "ink" as const, behind: `${front}Soft` as const, atLeast: 4.5 },
  ]),
  { front: "onAccent", behind: "accent", atLeast: 4.5 },
  { front: "onBad", behind: "bad", atLeast: 4.5 },
  ...lines.flatMap((front) => (["page", "card"] as const).map((behind) => ({ front, behind, atLeast: 3 }))),
];

/** The palettes as custom properties: the system's choice, unless `data-theme` on the root says otherwise. */
export function paletteStyle(): string {
  return [
    `:root{color-scheme:light;${properties(light)}}`,
    `@media (prefers-color-scheme:dark){:root:not([data-theme="light"]){color-scheme:dark;${properties(dark)}}}`,
    `:root[data-theme="dark"]{color-scheme:dark;${properties(dark)}}`,
  ].join("\n");
}

function properties(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, colour]) => `--${name}:${colour};`)
    .join("");
}
