"use strict";
(() => {
  const table = document.getElementById("settings-table");
  if (!table) return;
  const FIRST = 25; // rows that are shown before "Show all"
  const { columns, rows } = JSON.parse(document.getElementById("data").textContent);
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const lines = [...body.rows].map((line, i) => ({ line, values: rows[i], text: line.textContent.toLowerCase() }));
  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  let order = lines;
  let all = false;

  // What is drawn of each setting.
  const drawn = new Map();
  for (const shape of document.querySelectorAll("[data-s]")) {
    if (!drawn.has(shape.dataset.s)) drawn.set(shape.dataset.s, []);
    drawn.get(shape.dataset.s).push(shape);
  }
  const shapes = (line) => drawn.get(line.querySelector("[data-mark]").dataset.mark) || [];

  // Missing values come last, whichever way the rest is sorted.
  const compare = (column, sign) => (a, b) => {
    const [x, y] = [a.values[column], b.values[column]];
    const [no, neither] = [x === null || x === "", y === null || y === ""];
    if (no || neither) return no - neither;
    return sign * (columns[column].numeric ? x - y : x.localeCompare(y, undefined, { numeric: true }));
  };

  const passes = (line) => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/);
    if (!words.every((word) => line.text.includes(word))) return false;
    for (const field of form.querySelectorAll("[data-equals]")) {
      const cell = line.line.cells[field.dataset.equals];
      if (field.value !== "any" && field.value !== `=${cell.textContent}`) return false;
    }
    const within = (name, sign) => [...form.querySelectorAll(`[data-${name}]`)].every((field) => {
      const value = line.values[field.dataset[name]];
      return field.value === "" || (value !== null && sign * (value - field.valueAsNumber) >= 0);
    });
    return within("least", 1) && within("most", -1);
  };

  const show = () => {
    let found = 0;
    let visible = 0;
    for (const { line, pass } of order.map((entry) => ({ ...entry, pass: passes(entry) }))) {
      found += pass;
      line.hidden = !pass || (!all && found > FIRST);
      visible += !line.hidden;
      for (const shape of shapes(line)) shape.toggleAttribute("hidden", !pass);
    }
    const hidden = found - visible;
    count.textContent = `${found} of ${lines.length} settings` + (hidden ? `, the first ${visible} shown` : "");
    more.hidden = !hidden && !all;
    more.textContent = all ? `Show ${FIRST}` : `Show all ${found}`;
    if (lines.length <= FIRST) more.hidden = true;
  };

  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]");
    if (!button) return;
    const column = Number(button.dataset.sort);
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== column ? "none" : up ? "ascending" : "descending"));
    order = [...lines].sort(compare(column, up ? 1 : -1));
    body.append(...order.map((entry) => entry.line));
    show();
  });

  const highlight = (line, on) => {
    for (const shape of shapes(line)) shape.classList.toggle("on", on);
  };
  const marked = (line) => line.querySelector("[data-mark]").getAttribute("aria-pressed") === "true";
  body.addEventListener("click", (event) => {
    const button = event.target.closest("[data-mark]");
    if (!button) return;
    const line = button.closest("tr");
    button.setAttribute("aria-pressed", String(!marked(line)));
    highlight(line, marked(line));
  });
  for (const { line } of lines) {
    line.addEventListener("pointerenter", () => highlight(line, true));
    line.addEventListener("pointerleave", () => highlight(line, marked(line)));
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  more.addEventListener("click", () => { all = !all; show(); });
  document.getElementById("save").addEventListener("click", () => {
    const quoted = (value) => (value === null ? "" : `"${String(value).replaceAll('"', '""')}"`);
    const chosen = order.filter(passes).map((entry) => entry.values);
    const text = [columns.map((column) => column.name), ...chosen].map((row) => row.map(quoted).join(",")).join("\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "settings.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });

  form.hidden = false;
  document.querySelector(".tools").hidden = false;
  show();
})();
