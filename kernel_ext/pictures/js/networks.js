// The map of networks. The kernel's half is kernel_ext/pictures/networks.py, which also says where everything is drawn.

function render({ model, el }) {
  const { bar, body, say, act, follow, ends, frames } = begin(model, el, "networks");
  const data = () => model.get("data");
  let live = false, opened = "", counters = {};

  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => goLive(!live) }, "▶ live");
  const goLive = (on) => {
    live = on;
    pause.textContent = on ? "❚❚ pause" : "▶ live";
    pause.setAttribute("aria-pressed", String(on));
    act({ do: "live", on });
  };
  bar.append(h("button", { type: "button", onclick: () => act({ do: "refresh" }) }, "↻ refresh"), pause);

  const place = h("div", { className: "sandbox-plan" });
  const detail = h("div", { className: "sandbox-detail", role: "region", "aria-label": "about what was chosen", hidden: true });
  const apart = h("p", { className: "sandbox-apart" });
  body.append(h("div", { className: "sandbox-columns" }, place, detail), apart);

  // --- boxes and cables; each can be focused, and tells all about itself ---

  const reach = (thing, label) => ({
    role: "button", tabindex: 0, "data-id": thing.id, "aria-label": label,
    onclick: (event) => (event.stopPropagation(), tell(thing)),
    onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") tell(thing);
      else if (event.key === "Escape") close();
      else if (event.key.startsWith("Arrow")) walk(event.target, event.key === "ArrowDown" || event.key === "ArrowRight" ? 1 : -1);
      else return;
      event.preventDefault();
    },
  });
  const walk = (from, step) => {
    const all = [...place.querySelectorAll("[data-id]")];
    all[(all.indexOf(from) + step + all.length) % all.length].focus();
  };

  const box = (thing) => {
    const { id, kind, title, lines, place: [x, y, width, height] } = thing;
    return svg("g", { className: `sandbox-box sandbox-${kind}`, ...reach(thing, `${title}: ${lines.join(", ")}`) },
      svg("rect", { x, y, width, height, rx: 8 }), svg("text", { x: x + 8, y: y + 17, className: "sandbox-name" }, title),
      lines.map((text, number) => svg("text", { x: x + 8, y: y + 33 + 14 * number }, text)),
      id === "host" && svg("title", {}, "the rules of our networks"));
  };
  const cable = (thing) => {
    const { id, kind, label, title, line: [x1, y1, x2, y2] } = thing;
    const [moving, level] = counters[id] ?? ["", 0];
    const middle = { x: (x1 + x2) / 2, "text-anchor": "middle" };
    const route = `M ${x1} ${y1} C ${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;
    return svg("g", { className: `sandbox-cable sandbox-${kind === "way" || kind === "closed" ? kind : "plugged"} sandbox-level-${level}`, ...reach(thing, title) },
      svg("path", { d: route, className: "sandbox-wide" }), svg("path", { d: route, className: "sandbox-core" }),
      svg("text", { ...middle, y: (y1 + y2) / 2 - 7, className: "sandbox-label" }, label),
      svg("text", { ...middle, y: (y1 + y2) / 2 + 16, className: "sandbox-counter" }, moving));
  };

  const draw = () => {
    const { boxes, cables, size: [width, height], apart: told } = data();
    const focused = document.activeElement?.closest?.("[data-id]")?.dataset.id;
    const [host, ...others] = boxes;
    place.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "networks" },
      box(host), cables.map(cable), others.map(box)));
    apart.textContent = told.join(" · ");
    if (focused) place.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    const thing = [...boxes, ...cables].find(({ id }) => id === opened);
    if (opened && thing) show(thing);
  };

  // --- about one of them ---

  const show = (thing) => {
    detail.hidden = false;
    const total = counters[thing.id]?.[2];
    detail.replaceChildren(
      h("button", { type: "button", className: "sandbox-close", "aria-label": "close", onclick: () => close() }, "✕"),
      h("h4", {}, thing.title), total && h("p", {}, total), h("pre", {}, thing.about.join("\n") || "nothing more is known"));
  };
  const tell = (thing) => {
    opened = thing.id;
    show(thing);
    say(`${thing.title}: ${thing.about.slice(0, 3).join(", ")}`);
  };
  const close = () => {
    const was = opened;
    opened = "";
    detail.hidden = true;
    place.querySelector(`[data-id="${CSS.escape(was)}"]`)?.focus();
  };
  detail.addEventListener("keydown", (event) => event.key === "Escape" && close());

  frames((content) => {
    counters = content.counters ?? counters;
    for (const group of place.querySelectorAll(".sandbox-plugged")) {
      const [text, level] = counters[group.dataset.id] ?? ["", 0];
      group.querySelector(".sandbox-counter").textContent = text;
      group.setAttribute("class", `sandbox-cable sandbox-plugged sandbox-level-${level}`);
    }
    const total = counters[opened]?.[2];
    if (total && detail.querySelector("p")) detail.querySelector("p").textContent = total;
  });
  follow("data", draw);
  goLive(true);
  ends.push(() => live && model.send({ do: "live", on: false }));
  return ending(ends);
}

export default { render };
