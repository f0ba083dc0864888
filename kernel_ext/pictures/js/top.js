// The table of %lxc_top: the lines that lxc-top prints, and its keys as buttons.

const ORDERS = { n: "name", c: "CPU", b: "block I/O", m: "memory", s: "memory + swap", k: "kernel memory" };

function render({ model, el }) {
  const { bar, body, act, follow, ends } = begin(model, el, "top");
  const data = () => model.get("data");
  const pause = h("button", { type: "button", onclick: () => act({ do: "pause", on: !data().paused }) }, "Pause");
  const orders = Object.entries(ORDERS).map(([key, label]) =>
    h("button", { type: "button", "data-order": key, title: "sort by this; once more: the other way round", onclick: () => act({ do: "sort", order: key }) }, label),
  );
  bar.append(pause, h("span", { className: "sandbox-controls", role: "group", "aria-label": "sort by" }, "sort by", orders));
  const head = h("strong", {}), lines = h("span", {});
  body.append(h("pre", { style: "margin: 0; white-space: pre; overflow-x: auto", tabindex: 0, "aria-label": "containers and what they use" }, head, lines));
  follow("data", () => {
    head.textContent = `${data().head.join("\n")}\n`;
    lines.textContent = data().lines.join("\n");
    pause.textContent = data().paused ? "Go on" : "Pause";
    for (const button of orders) button.setAttribute("aria-pressed", String(button.dataset.order === data().order));
  });
  return ending(ends);
}

export default { render };
