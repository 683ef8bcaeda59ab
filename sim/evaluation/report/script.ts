// What the report's page does when it is touched: methods shown and hidden, one seed at a time, figures under the pointer.
//
// Owns: the script, as text. Does not own: the elements it finds (page.ts, chart.ts). Without it the page shows everything.

export const script = `
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  for (const chip of all(".legend button")) {
    const lines = all(".series").filter((line) => line.dataset.method === chip.dataset.method);
    chip.addEventListener("click", () => {
      const shown = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(shown));
      for (const line of lines) line.classList.toggle("off", !shown);
    });
    const light = (on) => {
      document.body.classList.toggle("dim", on);
      for (const line of lines) line.classList.toggle("lit", on);
    };
    chip.addEventListener("pointerenter", () => light(true));
    chip.addEventListener("pointerleave", () => light(false));
  }
  for (const section of all("section[data-stream]")) {
    const figures = all("figure", section);
    const buttons = all(".seeds button", section);
    const choose = (seed) => {
      for (const figure of figures) figure.hidden = figure.dataset.seed !== seed;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.seed === seed));
    };
    for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.seed));
    if (figures.length > 0) choose(figures[0].dataset.seed);
  }
  const pointsOf = (line) => line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number));
  const nearest = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  for (const figure of all("figure")) {
    const svg = figure.querySelector("svg.chart");
    const cross = svg.querySelector(".cross");
    const { requests, low, left, right, top, bottom } = Object.fromEntries(Object.entries(svg.dataset).map(([name, value]) => [name, Number(value)]));
    const lines = all(".series", svg).map((line) => ({ line, points: pointsOf(line) }));
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    figure.append(tip);
    const hide = () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
      if (x < left || x > right) { hide(); return; }
      const request = Math.round(((x - left) / (right - left)) * requests);
      const band = all(".band", svg).find((each) => Number(each.dataset.from) <= request && request < Number(each.dataset.to));
      const rows = lines
        .filter(({ line }) => !line.classList.contains("off"))
        .map(({ line, points }) => ({ name: line.dataset.method, value: low + ((bottom - nearest(points, x)[1]) / (bottom - top)) * (1 - low) }))
        .sort((a, b) => b.value - a.value);
      tip.replaceChildren();
      const head = document.createElement("b");
      head.textContent = "request " + request + (band ? ", " + band.dataset.drift : "");
      tip.append(head);
      for (const { name, value } of rows) {
        const row = document.createElement("div");
        const figureText = document.createElement("span");
        figureText.textContent = value.toFixed(3);
        row.append(figureText, name);
        tip.append(row);
      }
      tip.hidden = false;
      const at = event.clientX - box.left;
      tip.style.left = (at > box.width / 2 ? at - tip.offsetWidth - 14 : at + 14) + "px";
      tip.style.top = "34px";
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.setAttribute("visibility", "visible");
    });
  }
})();`;
