// What the stability report's page does when it is touched: the values under the pointer.
//
// Owns: the script, as text. Does not own: the elements it finds (sim/page/time-plot.ts). Without it the page shows everything but single values.

export const script = `
"use strict";
(() => {
  const all = (selector, root) => [...root.querySelectorAll(selector)];
  const clock = (ms) => {
    const s = Math.round(ms / 1000);
    const two = (n) => String(n).padStart(2, "0");
    return s < 60 ? s + " s" : (s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(s % 60);
  };
  for (const frame of all(".frame", document)) {
    const svg = frame.querySelector("svg");
    const cross = svg.querySelector(".cross");
    const low = Number(frame.dataset.low), high = Number(frame.dataset.high), toMs = Number(frame.dataset.toMs);
    const lines = all("path.line", svg).map((path) => ({
      name: path.dataset.name,
      points: [...path.getAttribute("d").matchAll(/[ML]([-\\d.]+) ([-\\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]),
    })).filter(({ points }) => points.length > 0);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    frame.append(tip);
    const hide = () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); };
    frame.addEventListener("pointerleave", hide);
    frame.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (1000 * (event.clientX - box.left)) / box.width;
      if (x < 0 || x > 1000) { hide(); return; }
      tip.replaceChildren();
      const head = document.createElement("b");
      head.textContent = clock((x / 1000) * toMs);
      tip.append(head);
      for (const { name, points } of lines) {
        const near = points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
        const row = document.createElement("div");
        const value = document.createElement("span");
        value.textContent = Number((low + (1 - near[1] / 100) * (high - low)).toPrecision(4)).toLocaleString("en-US");
        row.append(value, name);
        tip.append(row);
      }
      tip.hidden = false;
      const at = event.clientX - box.left;
      const side = at > box.width / 2 ? at - tip.offsetWidth - 12 : at + 12;
      tip.style.left = Math.max(0, Math.min(side, box.width - tip.offsetWidth)) + "px";
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.setAttribute("visibility", "visible");
    });
  }
})();`;
