// One inference's reply and one fault's receipt, for people.
import type { Explanation, InferenceReply } from "../../transport/messages/wire.js";
import type { Replayed } from "../log/replay.js";
import { count, padRight, percent, plural, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

const labelWidth = 12;

function fields(rows: readonly (readonly [string, string])[], colours: Colours): string[] {
  return rows.map(([label, value]) => `  ${colours.quiet(padRight(label, labelWidth))}${value}`);
}

export function renderAnswer(reply: InferenceReply, width: number, colours: Colours): string {
  const place =
    reply.experience === null ? "not yet in the log" : `${reply.experience.seq}/${reply.experience.index} in the log`;
  const lines = [
    `  ${colours.title(printable(reply.answer.label))}  ${percent(reply.confidence)}`,
    ...fields(
      [
        ["mode", reply.mode],
        ["version", count(reply.modelVersion)],
        ["node", printable(reply.node)],
        ["experience", place],
        ["trace", printable(reply.traceId)],
        ["id", printable(reply.id)],
      ],
      colours,
    ),
  ];
  return [...lines, ...(reply.explain === undefined ? [] : explanation(reply.explain, width, colours))].join("\n");
}

function explanation(explain: Explanation, width: number, colours: Colours): string[] {
  const right = (title: string) => ({ title, align: "right" as const });
  const looks = lookTable(explain, width, colours);
  if (explain.neighbours.length === 0) return [...looks, "", colours.quiet("  no neighbours in memory yet")];
  const rows = explain.neighbours.map((neighbour) => [
    { text: `  ${printable(neighbour.label)}` },
    { text: neighbour.similarity.toFixed(3) },
    { text: neighbour.weight === 0 ? "no vote" : neighbour.weight.toFixed(3) },
    { text: printable(neighbour.id), paint: colours.quiet },
  ]);
  return [
    ...looks,
    "",
    ...renderTable(
      [{ title: "  neighbour" }, right("similarity"), right("weight"), { title: "id" }],
      rows,
      width,
      colours.quiet,
    ),
  ];
}

/** null: not measured. For a whole process only the log can say what became of its messages. */
type Figure = number | null;

export interface Receipt {
  readonly target: string;
  readonly mode: string;
  readonly generationBefore: number;
  readonly generationAfter: number;
  readonly inFlight: Figure;
  readonly redelivered: Figure;
  readonly refused: Figure;
  readonly lost: Figure;
  readonly leasesCleaned: number;
  readonly detectMs: Figure;
  readonly repairMs: Figure;
  readonly cause?: string | null;
}

export function renderReceipt(receipt: Receipt, colours: Colours): string {
  return [
    `  ${colours.title(printable(receipt.target))}  ${printable(receipt.mode)}`,
    ...fields(
      [
        ["generation", `${receipt.generationBefore} to ${receipt.generationAfter}`],
        ["messages", messages(receipt, colours)],
        ["leases", `${count(receipt.leasesCleaned)} cleaned`],
        ["noticed", after(receipt.detectMs)],
        ["mended", after(receipt.repairMs)],
        ["cause", typeof receipt.cause === "string" ? printable(receipt.cause) : "it did not end"],
      ],
      colours,
    ),
  ].join("\n");
}

function messages({ inFlight, redelivered, refused, lost }: Receipt, colours: Colours): string {
  if (inFlight === null && lost === null)
    return "not measured for a whole process: driftmend replay --verify says what the log holds";
  const figure = (value: Figure) => (value === null ? "?" : count(value));
  const lostText = `${figure(lost)} lost`;
  const paint = lost === 0 ? colours.good : lost === null ? colours.warn : colours.bad;
  return `${figure(inFlight)} in flight, ${figure(redelivered)} redelivered, ${figure(refused)} refused, ${paint(lostText)}`;
}

function after(ms: Figure): string {
  return ms === null ? "not seen" : `after ${count(ms, ms < 10 ? 1 : 0)} ms`;
}

export function renderReplay(result: Replayed, colours: Colours): string {
  return [
    `  ${colours.title(printable(result.model))}  ${plural(result.updates, "update")} folded into ${plural(result.versions, "version")}`,
    ...fields(
      [
        ["folded", printable(result.checksum)],
        ["committed", printable(result.committedChecksum)],
      ],
      colours,
    ),
    result.equal
      ? colours.good("  equal: the committed parameters are the fold of the log")
      : colours.bad("  NOT equal"),
    ...whereabouts(result, colours),
  ].join("\n");
}

/** Where the fold began and what was compared, when that is not the whole log and its end. */
function whereabouts({ from, comparedAt, at }: Replayed, colours: Colours): string[] {
  const began =
    from === 0 ? [] : [["began", `at the snapshot behind update ${from}: older updates are not kept`] as const];
  const between =
    at.updateSeq === comparedAt
      ? []
      : ([
          ["compared", `with the commit at update ${comparedAt}: none stands at update ${at.updateSeq}`],
          ["there", `version ${at.version}, ${printable(at.checksum)}`],
        ] as const);
  return fields([...began, ...between], colours);
}

/** Nothing where one look was enough. */
function lookTable({ looks, domain }: Explanation, width: number, colours: Colours): string[] {
  const right = (title: string) => ({ title, align: "right" as const });
  const where = `  domain ${domain === null ? "none that is known" : domain === 0 ? "0, that of clean inputs" : domain}`;
  if (looks.length === 0) return ["", colours.quiet(`${where}; one look`)];
  const rows = looks.map((look) => [
    { text: `  ${printable(look.view)}` },
    { text: printable(look.label) },
    { text: look.density.toFixed(3) },
    { text: look.weight === 0 ? "no vote" : look.weight.toFixed(3) },
  ]);
  const columns = [{ title: "  look" }, { title: "answer" }, right("density"), right("weight")];
  return ["", colours.quiet(where), ...renderTable(columns, rows, width, colours.quiet)];
}
