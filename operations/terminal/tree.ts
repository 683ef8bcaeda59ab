// The supervision tree, drawn.
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { cut, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { type Cell, renderTable } from "./table.js";

interface Branch {
  readonly node: TreeNode;
  /** The lines that lead to it: "│  ├─ ". */
  readonly lead: string;
}

export function renderTree(tree: TreeNode, width: number, colours: Colours): string {
  const rows = flatten(tree, "", "").map((branch) => rowOf(branch, colours));
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "name" },
    { title: "state" },
    right("pid"),
    right("gen"),
    right("restarts"),
    right("mailbox"),
    { title: "last exit; strategy" },
  ];
  return renderTable(columns, rows, width, colours.quiet).join("\n");
}

function flatten(node: TreeNode, lead: string, below: string): Branch[] {
  const last = node.children.length - 1;
  const children = node.children.flatMap((child, index) =>
    flatten(child, `${below}${index === last ? "└─ " : "├─ "}`, `${below}${index === last ? "   " : "│  "}`),
  );
  return [{ node, lead }, ...children];
}

function rowOf({ node, lead }: Branch, colours: Colours): Cell[] {
  const mailbox = node.mailbox === undefined ? "" : `${node.mailbox.depth}/${node.mailbox.capacity}`;
  const notes = [node.lastExit ?? "", strategyOf(node)].filter((note) => note !== "").join("; ");
  return [
    {
      text: cut(`${lead}${printable(node.name)}`, 40),
      paint: node.kind === "actor" ? undefined : colours.title,
    },
    { text: stateOf(node), paint: paintState(node.state, colours) },
    { text: node.pid === undefined ? "" : String(node.pid) },
    { text: String(node.generation) },
    { text: String(node.restarts), paint: node.restarts > 0 ? colours.warn : colours.quiet },
    { text: mailbox },
    { text: printable(notes), paint: node.intensity?.left === 0 ? colours.bad : colours.quiet },
  ];
}

/** How a supervisor restarts, and what is left of its budget: "one_for_one, 8 of 10 restarts left". */
function strategyOf({ strategy, intensity }: TreeNode): string {
  const budget = intensity === undefined ? "" : `${intensity.left} of ${intensity.restarts} restarts left`;
  return [strategy ?? "", budget].filter((part) => part !== "").join(", ");
}

function stateOf({ state, spare, joined }: TreeNode): string {
  const notes = [...(spare === undefined ? [] : [`spare ${spare}`]), ...(joined === true ? ["joined by hand"] : [])];
  return [printable(state), ...notes].join(", ");
}

function paintState(state: string, colours: Colours): (text: string) => string {
  if (state === "running" || state === "ready") return colours.good;
  if (state === "failed" || state === "stopped" || state === "dead") return colours.bad;
  return colours.warn;
}
