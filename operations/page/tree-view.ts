// The supervision tree as it is now, and the button that kills a part of it.
//
// Owns: the table, and showing that an incarnation is new. Does not own: the tree, the fault.

import type { TreeNode } from "../../transport/messages/look-orders.js";
import { count } from "./figures.js";
import { KillDialog } from "./kill-dialog.js";
import { badge, bar, loading, panel, type Tone, table } from "./panel.js";
import type { Scene } from "./scene.js";
import { type KillTarget, rowsOf, type TreeRow } from "./tree-rows.js";
import { h, html, useState, type View } from "./view.js";

export function TreeView({ scene }: { readonly scene: Scene }): View {
  const [target, setTarget] = useState<KillTarget | null>(null);
  const { tree } = scene.live;
  if (tree === null) return loading("The tree");
  const rows = rowsOf(tree);
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "Name" },
    { title: "State" },
    right("Process"),
    right("Incarnation"),
    right("Restarts"),
    { title: "Mailbox" },
    { title: "Last exit; strategy" },
    ...(scene.canOrder ? [{ title: "Fault", silent: true }] : []),
  ];
  const up = rows.filter(({ node }) => isUp(node)).length;
  const restarts = rows.reduce((sum, { node }) => sum + node.restarts, 0);
  const asked = scene.canOrder
    ? null
    : html`<p class="note tone-info">To kill a part of it, give the operator's token: <a href="#operator" onClick=${focusToken}>at the top of the page</a>.</p>`;
  return html`<div class="stack">
    ${asked}
    ${panel(
      {
        title: "Supervision tree",
        hint: `${up} of ${rows.length} run, ${count(restarts)} ${restarts === 1 ? "restart" : "restarts"} since the start`,
        wide: true,
      },
      table(
        "Supervision tree",
        columns,
        rows.map((row) => line(row, scene.canOrder, setTarget)),
      ),
    )}
    ${target === null ? null : h(KillDialog, { scene, target, close: () => setTarget(null) })}
  </div>`;
}

function focusToken(event: Event): void {
  event.preventDefault();
  document.getElementById("operator")?.focus();
}

function line({ node, path, depth, target }: TreeRow, canOrder: boolean, choose: (target: KillTarget) => void): View {
  // A key with the incarnation: a new one is a new row, which says so by a short glow.
  return html`<tr key=${`${path}#${node.generation}`} class=${`kind-${node.kind}${node.generation > 1 ? " reborn" : ""}`} data-path=${path}>
    <th scope="row"><span class="tree-name" style=${{ paddingLeft: `${depth * 18}px` }}>${depth === 0 ? null : html`<span class="branch" aria-hidden="true">└</span>`}<span>${node.name}</span> <span class="quiet kind">${node.kind}</span></span></th>
    <td>${badge(stateTone(node.state), stateOf(node))}</td>
    <td class="right">${node.pid ?? ""}</td>
    <td class="right" data-incarnation>${count(node.generation)}</td>
    <td class=${node.restarts > 0 ? "right text-warn" : "right quiet"}>${count(node.restarts)}</td>
    <td>${mailbox(node)}</td>
    <td class="exit">${[node.lastExit ?? "", strategy(node)].filter((part) => part !== "").join("; ")}</td>
    ${canOrder ? html`<td class="right">${target === null ? null : html`<button type="button" class="small danger-quiet" aria-label=${`Kill ${target.name}`} onClick=${() => choose(target)}>Kill</button>`}</td>` : null}
  </tr>`;
}

function isUp({ state }: TreeNode): boolean {
  return state === "running" || state === "ready";
}

function stateOf({ state, spare, joined }: TreeNode): string {
  const notes = [...(spare === undefined ? [] : ["spare ready"]), ...(joined === true ? ["joined by hand"] : [])];
  return [state, ...notes].join(", ");
}

function stateTone(state: string): Tone {
  if (state === "running" || state === "ready") return "good";
  if (state === "failed" || state === "stopped" || state === "dead") return "bad";
  return "warn";
}

function mailbox({ mailbox: held }: TreeNode): View {
  if (held === undefined) return null;
  const filled = held.capacity === 0 ? 0 : held.depth / held.capacity;
  return bar(
    filled,
    `${count(held.depth)} / ${count(held.capacity)}`,
    filled > 0.8 ? "bad" : filled > 0.4 ? "warn" : "info",
  );
}

function strategy({ strategy: name, intensity }: TreeNode): string {
  const budget = intensity === undefined ? "" : `${intensity.left} of ${intensity.restarts} left`;
  return [name ?? "", budget].filter((part) => part !== "").join(", ");
}
