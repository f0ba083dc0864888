// The step debugger. The kernel's half, kernel_ext/pictures/stepper.py, holds the Stepper; what is drawn is `data`.

const MARKS = { done: "✓", failed: "✗", skipped: "–", pending: "" };
const STATES = { done: "done", failed: "refused", skipped: "left out", pending: "not yet made" };
const KEYS = "n next · Enter run to here · s skip · Alt+↑ Alt+↓ move · r run all · 0 reset · ↑ ↓ look at another step";

function render({ model, el }) {
  const { bar, body, say, act, follow, frames, ends } = begin(model, el, "stepper");
  let selected = 0; // the number of the step that is looked at; 0: the last that was made
  const data = () => model.get("data");
  const chosen = () => {
    const { stages, next } = data();
    const made = stages.filter(({ state }) => state === "done" || state === "failed");
    return stages.find(({ number }) => number === selected) ?? made.at(-1) ?? stages.find(({ number }) => number === next);
  };

  // --- what can be done ---

  const neighbour = (stage, way) => data().stages[data().stages.findIndex(({ number }) => number === stage.number) + way];
  const ways = {
    next: () => ((selected = 0), act({ do: "next" })),
    to: () => ["pending", "failed"].includes(chosen().state) && act({ do: "to", stage: chosen().number }),
    skip: () => act({ do: "skip", stage: selected ? chosen().number : data().next }),
    up: () => neighbour(chosen(), -1) && act({ do: "move", stage: chosen().number, before: neighbour(chosen(), -1).number }),
    down: () => neighbour(chosen(), 2) && act({ do: "move", stage: chosen().number, before: neighbour(chosen(), 2).number }),
    run: () => ((selected = 0), act({ do: "run" })),
    reset: () => ((selected = 0), act({ do: "reset" })),
  };
  const button = (label, way, key, title) =>
    h("button", { type: "button", title: `${title} (key ${key})`, "data-way": way, onclick: () => ways[way]() }, label);
  const buttons = [
    button("▸ next", "next", "n", "make the next step"),
    button("run to here", "to", "Enter", "make all steps before the one that is looked at"),
    button("skip", "skip", "s", "leave this step out, and see what breaks"),
    button("↑", "up", "Alt+↑", "make this step earlier"),
    button("↓", "down", "Alt+↓", "make this step later"),
    button("run all", "run", "r", "make the rest"),
    button("reset", "reset", "0", "undo everything"),
  ];
  buttons[3].setAttribute("aria-label", "move this step up");
  buttons[4].setAttribute("aria-label", "move this step down");
  bar.append(...buttons);

  // --- what there is to see ---

  const lanes = h("div", { className: "sandbox-lanes", role: "listbox", tabindex: 0, "aria-label": "the plan", title: KEYS });
  const detail = h("div", { className: "sandbox-detail", role: "region", "aria-label": "the step that is looked at" });
  const ledger = h("details", { className: "sandbox-ledger" });
  const output = h("pre", { className: "sandbox-output", "aria-label": "output of the program", hidden: true });
  body.append(h("div", { className: "sandbox-columns" }, h("div", {}, lanes, ledger), h("div", { className: "sandbox-right" }, detail, output)));

  lanes.addEventListener("keydown", (event) => {
    const { key, altKey } = event;
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    const way = altKey ? { ArrowUp: "up", ArrowDown: "down" }[key] : { n: "next", Enter: "to", s: "skip", r: "run", 0: "reset" }[key];
    if (way) ways[way]();
    else if (step) look(neighbour(chosen(), step));
    else return;
    event.preventDefault();
  });
  const look = (stage) => {
    if (!stage) return;
    selected = stage.number;
    draw();
  };

  const row = (stage, shown, place) => {
    const { number, lane, name, state, about } = stage;
    const next = number === data().next;
    return h(
      "div",
      {
        style: `grid-row: ${place + 2}`, title: stage.text, // one row a step, below the heads: what is higher comes first
        id: `${lanes.id}-${number}`, role: "option", "aria-selected": String(stage === shown), onclick: () => (look(stage), lanes.focus()),
        className: `sandbox-step sandbox-${lane} sandbox-is-${state}${next ? " sandbox-next" : ""}`,
        "aria-label": `${number}, ${lane}: ${stage.text}: ${next ? "next" : STATES[state]}`,
      },
      h("span", { className: "sandbox-mark" }, next ? "▸" : MARKS[state]), h("span", { className: "sandbox-number" }, String(number)),
      h("span", { className: "sandbox-name" }, name), h("span", { className: "sandbox-about" }, about),
    );
  };

  const change = ([what, before, after]) => {
    const kind = !before ? "come" : !after ? "gone" : "other";
    const value = kind === "come" ? [after] : kind === "gone" ? [before] : [h("del", {}, before), " → ", h("ins", {}, after)];
    return h("li", { className: `sandbox-${kind}` },
      h("span", { className: "sandbox-sign" }, { come: "+", gone: "−", other: "~" }[kind]), h("b", {}, what), ": ", value);
  };

  const described = (stage) => {
    const { error, state } = stage;
    const made = state === "done" || state === "failed";
    return [
      h("h4", {}, `${stage.number} · ${stage.name}`, h("span", { className: "sandbox-where" }, ` ${stage.lane} · ${STATES[state]}`)),
      h("p", {}, stage.purpose, " ", h("span", { className: "sandbox-man" }, stage.man)),
      h("pre", { className: "sandbox-text" }, stage.text + (stage.result ? `  = ${stage.result}` : "")),
      error && h("div", { className: "sandbox-refused", role: "alert" },
        h("b", {}, `refused: ${error[0]}`), error[1] && h("div", {}, error[1]), error[2] && h("div", {}, `→ ${error[2]}`)),
      made && h("h5", {}, "what it changed, as seen from outside"),
      made && (stage.changed.length ? h("ul", { className: "sandbox-changes" }, stage.changed.map(change))
        : h("p", { className: "sandbox-nothing" }, "nothing that can be seen from outside")),
      made && h("h5", {}, `its system calls, in ${(stage.took * 1000).toFixed(2)} ms`),
      made && (stage.calls.length ? h("pre", { className: "sandbox-calls" }, stage.calls.join("\n"))
        : h("p", { className: "sandbox-nothing" }, "none was noted: they went through Python's own functions")),
      stage.see && h("p", {}, "see it yourself: ", h("code", { className: "sandbox-see" }, stage.see)),
    ];
  };

  let written = "", at = 0; // the end of what the program wrote, and up to which of its bytes
  const write = () => {
    output.hidden = !written && !data().end;
    output.textContent = written + (data().end ? `[${data().end}]` : "");
  };
  frames((frame) => {
    written = (written + (frame.from === at ? "" : "…\n") + frame.output).slice(-20000); // …: some of it this page was not told
    at = frame.to;
    write();
  });

  let spoken = "";
  const draw = () => {
    const { stages, held, end, next, pid } = data();
    const shown = chosen();
    lanes.replaceChildren(
      h("div", { className: "sandbox-head sandbox-outside", "aria-hidden": "true" }, "outside: the launcher, on the host"),
      h("div", { className: "sandbox-head sandbox-inside", "aria-hidden": "true" }, `inside: the new process${pid ? `, pid ${pid}` : ""}`),
      ...stages.map((stage, place) => row(stage, shown, place)),
    );
    lanes.setAttribute("aria-activedescendant", `${lanes.id}-${shown.number}`);
    detail.replaceChildren(...described(shown).filter(Boolean));
    ledger.replaceChildren(
      h("summary", {}, held.length ? `ledger: ${held.length} to undo` : "ledger: empty, nothing is left"),
      h("ul", {}, held.map((line) => h("li", {}, line))),
    );
    ledger.classList.toggle("sandbox-empty", !held.length);
    for (const each of buttons) {
      const way = each.dataset.way;
      const over = way === "reset" ? false : !next || (shown.state === "done" && ["to", "up", "down"].includes(way)) || (shown.state === "skipped" && way === "to");
      each.disabled = over;
    }
    const row_ = lanes.querySelector("[aria-selected=true]");
    if (row_ && lanes.scrollHeight > lanes.clientHeight)
      lanes.scrollTop = Math.min(Math.max(lanes.scrollTop, row_.offsetTop + row_.offsetHeight - lanes.clientHeight + 40), row_.offsetTop - 40);
    const news = end || `${shown.name}: ${shown.error ? `refused, ${shown.error[0]}` : STATES[shown.state]}`;
    if (news !== spoken) say((spoken = news));
  };
  lanes.id = `sandbox-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  follow("data", () => {
    ({ output: written, written: at } = data());
    write();
    draw();
  });
  return ending(ends);
}

export default { render };
