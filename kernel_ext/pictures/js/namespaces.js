// The map of namespaces. The kernel's half is kernel_ext/pictures/namespaces.py; what is drawn is `data`.

const KEYS = "arrow keys walk · Enter tells all about a namespace · Escape comes back";

function render({ model, el }) {
  const { bar, body, say, act, follow, ends, frames } = begin(model, el, "namespaces");
  const data = () => model.get("data");
  const open = new Set(); // the groups of rows that are shown whole
  let at = [0, 0], opened = 0, live = false, shown = [];

  // --- controls ---

  const filter = h("input", { type: "search", placeholder: "name, pid or number", "aria-label": "show only rows with", oninput: () => draw() });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => goLive(!live) }, "▶ live");
  const goLive = (on) => {
    live = on;
    pause.textContent = on ? "❚❚ pause" : "▶ live";
    pause.setAttribute("aria-pressed", String(on));
    act({ do: "live", on });
  };
  const refresh = h("button", { type: "button", onclick: () => act({ do: "refresh" }) }, "↻ refresh");
  bar.append(refresh, pause, filter);
  frames(() => {});

  // --- the grid ---

  const grid = h("table", { role: "grid", className: "sandbox-grid", "aria-label": "namespaces", title: KEYS });
  const detail = h("div", { className: "sandbox-detail", role: "region", "aria-label": "about one namespace", tabindex: -1, hidden: true });
  const legend = h("p", { className: "sandbox-legend" },
    h("span", { className: "sandbox-cell sandbox-colour-0" }, h("b", {}, "host")), " shared with the host   ",
    h("span", { className: "sandbox-cell sandbox-colour-1" }, h("b", {}, "A")), " the same letter: the same companions share it   ",
    h("span", { className: "sandbox-cell sandbox-own" }, "0123"), " nobody else on this map has it");
  const unseen = h("p", { className: "sandbox-unseen" });
  const trees = h("details", { className: "sandbox-trees" }, h("summary", {}, "how user and pid namespaces lie in one another"));
  body.append(h("div", { className: "sandbox-columns" }, h("div", { className: "sandbox-scroll" }, grid), detail), legend, unseen, trees);

  const matches = (row, wanted) =>
    !wanted || [row.name, ...row.pids.map(String), ...row.cells.map(([id]) => String(id))].some((text) => text.toLowerCase().includes(wanted));

  /** The rows to be shown: [row, how many it stands for]. */
  const visibleRows = () => {
    const wanted = filter.value.trim().toLowerCase();
    const rows = data().rows.filter((row) => matches(row, wanted));
    const alike = new Map();
    for (const row of rows) alike.set(row.alike, [...(alike.get(row.alike) ?? []), row]);
    return rows.flatMap((row) => {
      const group = alike.get(row.alike);
      if (rows.length <= data().many || group.length < data().few || open.has(row.alike)) return [[row, 1]];
      return group[0] === row ? [[row, group.length]] : [];
    });
  };

  /** For each column, the shared namespaces and the rows between which their line runs. */
  const rails = (column) => {
    const found = new Map();
    shown.forEach(([{ cells }], number) => {
      const [id, mark, colour] = cells[column];
      if (id && mark !== "own") found.set(id, { first: number, ...found.get(id), last: number, colour });
    });
    return [...found.values()].filter(({ first, last }) => last > first);
  };

  const cell = (row, number, column, lines) => {
    const [id, mark, colour] = row.cells[column];
    const companions = mark === "own" ? "its own" : mark === "host" ? "the host's" : `shared, ${mark}`;
    const place = { role: "gridcell", "data-row": number, "data-column": column };
    const drawnRails = lines.filter(({ first, last }) => number >= first && number <= last).map(({ first, last, colour: hue }) =>
      h("span", { className: `sandbox-rail sandbox-colour-${hue % 7}${number === first ? " sandbox-first" : ""}${number === last ? " sandbox-last" : ""}`,
        style: `left: ${2 + 5 * (hue % 4)}px`, "aria-hidden": "true" }));
    if (!id) return h("td", place, drawnRails);
    return h("td", { ...place, tabindex: number === at[0] && column === at[1] ? 0 : -1, "aria-selected": String(id === opened),
      "aria-label": `${row.name}, ${data().kinds[column][0]} namespace ${id}: ${companions}`,
      onclick: () => tell(id, number, column), onfocus: () => (at = [number, column]) },
      drawnRails,
      h("span", { className: `sandbox-cell ${mark === "own" ? "sandbox-own" : `sandbox-colour-${colour % 7}`}` }, mark !== "own" && h("b", {}, `${mark} `), String(id)));
  };

  const line = ([row, count], number, columns) =>
    h("tr", { role: "row", className: `sandbox-row sandbox-${row.what}` },
      h("th", { role: "rowheader", scope: "row" }, row.name,
        count > 1 && h("button", { type: "button", className: "sandbox-more", onclick: () => (open.add(row.alike), draw()) }, `and ${count - 1} like it`),
        h("small", {}, count > 1 ? "" : `${row.pids.length ? ` pid ${row.pids[0]}` : ""}${row.count > 1 ? `, ${row.count} processes` : ""}`)),
      row.cells.map((_, column) => cell(row, number, column, columns[column])));

  const draw = () => {
    const focused = grid.contains(document.activeElement);
    shown = visibleRows();
    at = [Math.min(at[0], Math.max(shown.length - 1, 0)), at[1]];
    const { kinds, nesting, unseen: missing } = data();
    const columns = kinds.map((_, column) => rails(column));
    grid.replaceChildren(
      h("thead", {}, h("tr", { role: "row" }, h("th", {}), kinds.map(([name, what]) => h("th", { scope: "col", role: "columnheader", title: what }, name)))),
      h("tbody", {}, shown.map((row, number) => line(row, number, columns))),
    );
    unseen.textContent = missing;
    trees.replaceChildren(trees.firstChild, ...Object.values(nesting).map((lines) => h("pre", {}, lines.join("\n"))));
    if (focused) focus();
    say(`${shown.length} rows`);
  };
  const focus = () => grid.querySelector(`[data-row="${at[0]}"][data-column="${at[1]}"]`)?.focus();

  grid.addEventListener("keydown", (event) => {
    if (event.target.tagName === "BUTTON") return;
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -8], End: [0, 8] }[event.key];
    const [row, column] = at;
    if (step) {
      const within = (value, many) => Math.max(0, Math.min(many - 1, value));
      const old = grid.querySelector("[tabindex='0']");
      old?.setAttribute("tabindex", -1);
      at = [within(row + step[0], shown.length), within(column + step[1], data().kinds.length)];
      grid.querySelector(`[data-row="${at[0]}"][data-column="${at[1]}"]`)?.setAttribute("tabindex", 0);
      focus();
    } else if (event.key === "Enter" || event.key === " ") tell(shown[row][0].cells[column][0], row, column);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });

  // --- about one namespace ---

  const close = () => {
    opened = 0;
    detail.hidden = true;
    draw();
    focus();
  };
  detail.addEventListener("keydown", (event) => event.key === "Escape" && close());
  const tell = async (id, row, column) => {
    if (!id) return;
    at = [row, column];
    opened = id;
    const said = await act({ do: "details", id });
    if (!said || opened !== id) return;
    detail.hidden = false;
    detail.replaceChildren(
      h("button", { type: "button", className: "sandbox-close", "aria-label": "close", onclick: close }, "✕"),
      h("h4", {}, said[0][0]), h("p", {}, said[0][1].join(" ")),
      ...said.slice(1).flatMap(([heading, lines]) => [h("h5", {}, heading), h("pre", {}, lines.length ? lines.join("\n") : "none")]),
    );
    for (const each of grid.querySelectorAll("[aria-selected]")) each.setAttribute("aria-selected", String(each.textContent.endsWith(String(id))));
    say(`${said[0][0]}: ${said[1][1].join(", ")}`);
  };

  follow("data", draw);
  ends.push(() => live && model.send({ do: "live", on: false }));
  return ending(ends);
}

export default { render };
