// The timeline: for each run two lanes to scale. The page zooms and shows details by itself: nothing is asked of the kernel.

const GUTTER = 96; // pixels for the names of the lanes
const ROW = 26; // height of a bar
const LEAN = 98; // room for the names that lean out of a lane
const GAP = 30; // between the lanes, for the arrows
const APART = 13; // two leaning names are at least so many pixels from each other
const LETTER = 6.2; // the width of a letter, more or less
const LONG = 22; // letters of a name that leans
const LANES = ["outside", "inside"];

function render({ model, el }) {
  const { bar: controls, body, ends } = begin(model, el, "timeline");
  const { tracks, differences, colours } = model.get("data");
  const whole = [0, Math.max(1, ...tracks.map((track) => track.length)) * 1.02];
  const items = tracks.flatMap((track, number) => itemsOf(track, number, tracks));
  let view = whole, chosen = null, width = 0;

  const chart = h("div", { className: "sandbox-timeline-chart" });
  const details = h("div", { className: "sandbox-timeline-details" });
  const legend = Object.entries(colours)
    .filter(([topic]) => items.some((item) => item.topic === topic))
    .map(([topic, colour]) => h("span", {}, h("i", { style: `background: var(--sandbox-${colour})` }), topic));
  body.append(chart, h("div", { className: "sandbox-timeline-legend" }, legend), details, differences.length ? compared(tracks, differences) : "");

  const scale = () => (width - GUTTER - 8) / (view[1] - view[0]);
  const x = (time) => GUTTER + (time - view[0]) * scale();
  const look = (from, length) => {
    length = Math.min(Math.max(length, 20), whole[1]);
    from = Math.min(Math.max(from, 0), whole[1] - length);
    view = [from, from + length];
    draw();
  };
  const zoom = (factor, around = chosen ? chosen.at + chosen.took / 2 : (view[0] + view[1]) / 2) =>
    look(around - (around - view[0]) / factor, (view[1] - view[0]) / factor);
  const pan = (part) => look(view[0] + (view[1] - view[0]) * part, view[1] - view[0]);
  const button = (label, says, does) => h("button", { type: "button", "aria-label": says, title: says, onclick: does }, label);
  controls.append(
    button("+", "zoom in (+)", () => zoom(1.6)),
    button("−", "zoom out (−)", () => zoom(1 / 1.6)),
    button("◂", "earlier (Shift ←)", () => pan(-0.4)),
    button("▸", "later (Shift →)", () => pan(0.4)),
    button("all", "see all (0)", () => look(...whole)),
  );

  const show = (item) => details.replaceChildren(...detailsOf(item));
  const choose = (item) => {
    if (!item) return;
    chosen = item;
    if (item.at < view[0] || item.at > view[1]) look(item.at - (view[1] - view[0]) / 3, view[1] - view[0]);
    mark(true);
    show(item);
  };
  const mark = (focus) => {
    for (const shape of chart.querySelectorAll("[data-item]")) {
      const mine = shape.dataset.item === String(items.indexOf(chosen ?? items[0]));
      shape.setAttribute("tabindex", mine ? 0 : -1);
      if (mine && focus) shape.focus({ preventScroll: true });
    }
  };
  const key = (event) => {
    const item = items[event.target.closest("[data-item]")?.dataset.item ?? -1];
    const mine = item && items.filter((other) => other.track === item.track && other.lane === item.lane);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (step && event.shiftKey) pan(step * 0.25);
    else if (event.key === "+" || event.key === "=") zoom(1.6);
    else if (event.key === "-") zoom(1 / 1.6);
    else if (event.key === "0") look(...whole);
    else if (step && item) choose(mine[mine.indexOf(item) + step]);
    else if (across && item) choose(nearest(items, item, across));
    else if (event.key === "Home" && item) choose(mine[0]);
    else if (event.key === "End" && item) choose(mine.at(-1));
    else return;
    event.preventDefault();
  };
  chart.addEventListener("keydown", key);
  chart.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey && !event.metaKey) return; // the page itself scrolls
    event.preventDefault();
    const time = view[0] + (event.clientX - chart.getBoundingClientRect().left - GUTTER) / scale();
    zoom((event.deltaY || event.deltaX) < 0 ? 1.25 : 0.8, time);
  }, { passive: false });

  function draw() {
    const focused = chart.contains(document.activeElement);
    chart.replaceChildren(...tracks.map((track, number) => drawn(track, items.filter((item) => item.track === number))));
    mark(focused);
  }

  function drawn(track, own) {
    const rows = Object.fromEntries(LANES.map((lane) => [lane, packed(own.filter((item) => item.lane === lane))]));
    const top = { outside: 20 + LEAN }, height = (lane) => Math.max(1, rows[lane]) * ROW;
    top.inside = top.outside + height("outside") + GAP;
    const bottom = top.inside + height("inside"), total = bottom + LEAN;
    const said = h("div", { className: "label" }, `${track.label}: ${time(track.length)} until the program runs`, track.note && h("small", {}, ` ${track.note}`));
    const picture = svg("svg", { width, height: total, role: "group", "aria-label": `${track.label}: steps of the two lanes, by time` });
    const clip = `timeline-${Math.random().toString(36).slice(2)}`;
    const inner = svg("g", { "clip-path": `url(#${clip})` });
    picture.append(
      svg("clipPath", { id: clip }, svg("rect", { x: GUTTER, y: 0, width: Math.max(width - GUTTER, 0), height: total })),
      svg("marker", { id: `${clip}-head`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", className: "arrow-head" })),
      svg("pattern", { id: `${clip}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 1.5, height: 6, className: "hatch" })),
    );
    for (const [lane, who] of Object.entries({ outside: track.outside, inside: "the new process" })) {
      picture.append(
        svg("rect", { x: GUTTER, y: top[lane], width: Math.max(width - GUTTER, 0), height: height(lane), className: "lane" }),
        svg("text", { x: 0, y: top[lane] + 12, className: "lane-name" }, lane),
        svg("text", { x: 0, y: top[lane] + 25, className: "faint" }, who),
      );
    }
    for (const tick of axis(view, width - GUTTER)) {
      inner.append(svg("line", { x1: x(tick), x2: x(tick), y1: 14, y2: bottom, className: "grid" }), svg("text", { x: x(tick) + 3, y: 12, className: "faint" }, time(tick)));
    }
    for (const item of own) inner.append(shape(item, top[item.lane] + item.row * ROW, `${clip}-hatch`));
    for (const lane of LANES) inner.append(names(own.filter((item) => item.lane === lane), lane === "outside" ? top.outside - 5 : bottom + 10, lane === "outside"));
    for (const [number, signal] of track.signals.entries()) {
      inner.append(
        svg("line", { x1: x(signal.at), y1: top.inside - GAP, x2: x(signal.arrives), y2: top.inside - 1, className: "arrow", "marker-end": `url(#${clip}-head)` }),
        svg("text", { x: x(signal.at) + 6, y: top.inside - GAP + 12 + number * 13, className: "faint halo" }, signal.what),
      );
    }
    const exec = track.bars.find((bar) => bar.kind === "exec");
    if (exec) {
      const at = x(exec.at + exec.took), right = at > GUTTER + 140;
      inner.append(svg("line", { x1: at, x2: at, y1: 16, y2: bottom + 14, className: "exec" }), svg("text", { x: right ? at - 4 : at + 4, y: 30, className: right ? "exec-name right halo" : "exec-name halo" }, "the program runs ▸"));
    }
    picture.append(inner);
    return h("div", {}, said, picture);
  }

  function shape(item, y, hatch) {
    const left = x(item.at), long = Math.max(item.took * scale(), 2);
    const waits = item.kind === "wait";
    const colour = waits ? `fill: url(#${hatch})` : `fill: var(--sandbox-${colours[item.topic]})`;
    const ticks = item.calls.map((call) => svg("rect", { x: x(call.at), y: y + 15, width: Math.max(call.took * scale(), 1), height: 8, className: call.result.startsWith("-1") ? "call failed" : "call" }));
    const label = `${item.lane}: ${item.name}, at ${time(item.at)}, took ${time(item.took)}${item.calls.length ? `, ${item.calls.length} system calls` : ""}`;
    return svg(
      "g",
      { "data-item": items.indexOf(item), tabindex: -1, role: "img", "aria-label": label, className: waits ? "wait" : "step",
        onmouseenter: () => show(item), onmouseleave: () => chosen && show(chosen), onfocus: () => ((chosen = item), show(item)), onclick: () => choose(item) },
      svg("rect", { x: left, y: y + 1, width: Math.max(long - 0.6, 1.4), height: ROW - 2, rx: 1.5, style: colour }),
      ticks,
      fits(item, long) && svg("text", { x: left + 4, y: y + (item.calls.length ? 12 : 17), className: "in-bar" }, item.name),
    );
  }

  /** The names that fit into no bar: they lean out of the lane, those of the longest bars first. */
  function names(own, y, up) {
    const taken = [];
    const group = svg("g", { className: "names", "aria-hidden": "true" });
    for (const item of own.filter((one) => one.kind !== "wait" || one.step).sort((a, b) => b.took - a.took)) {
      const middle = x(item.at + item.took / 2);
      if (middle < GUTTER || fits(item, item.took * scale()) || taken.some((other) => Math.abs(other - middle) < APART)) continue;
      taken.push(middle);
      group.append(svg("text", { x: middle, y, transform: `rotate(${up ? -42 : 42} ${middle} ${y})` }, item.name.length > LONG ? `${item.name.slice(0, LONG)}…` : item.name));
    }
    return group;
  }

  const fits = (item, long) => item.kind !== "wait" && item.name.length * LETTER + 8 < long;
  const room = new ResizeObserver(() => {
    if (chart.clientWidth && chart.clientWidth !== width) ((width = chart.clientWidth), draw());
  });
  room.observe(chart);
  ends.push(() => room.disconnect());
  details.append(h("p", {}, "Point at a step, or reach it with Tab and the arrow keys: it tells its system calls and what it is for."));
  return ending(ends);
}

/** Everything of a track that can be pointed at, by time: its steps, and the waiting that no step stands for. */
function itemsOf(track, number, tracks) {
  const steps = track.bars.map((bar) => {
    const twin = tracks.find((other) => other !== track)?.bars.find((other) => other.name === bar.name && other.lane === bar.lane);
    const wait = track.waits.find((other) => other.lane === bar.lane && other.at === bar.at);
    return { ...bar, track: number, why: wait?.why, twin: twin?.took };
  });
  const waits = track.waits
    .filter((wait) => wait.took && !steps.some((bar) => bar.lane === wait.lane && bar.at === wait.at))
    .map((wait) => ({ ...wait, track: number, name: "waits", kind: "wait", calls: [] }));
  return [...steps, ...waits].sort((a, b) => a.at - b.at);
}

/** Give each item the first row in which nothing overlaps it; returns how many rows there are. */
function packed(items) {
  const free = [];
  for (const item of items) {
    let row = free.findIndex((until) => until <= item.at + 0.5);
    if (row < 0) row = free.length;
    free[row] = item.at + item.took;
    item.row = row;
  }
  return free.length;
}

/** The item at about the same time in the lane below, or above; the runs follow one another. */
function nearest(items, item, across) {
  const lanes = [...new Set(items.map((other) => `${other.track} ${other.lane === "outside" ? 0 : 1}`))].sort();
  const wanted = lanes[lanes.indexOf(`${item.track} ${item.lane === "outside" ? 0 : 1}`) + across];
  const there = items.filter((other) => `${other.track} ${other.lane === "outside" ? 0 : 1}` === wanted);
  return there.sort((a, b) => Math.abs(a.at - item.at) - Math.abs(b.at - item.at))[0];
}

/** Round times in view, about one for each 90 pixels. */
function axis([from, to], pixels) {
  const rough = ((to - from) / Math.max(pixels, 90)) * 90, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(Math.floor(to / step) - first + 1, 0) }, (_, i) => (first + i) * step);
}

function time(micro) {
  return micro >= 1000 ? `${+(micro / 1000).toFixed(micro >= 1e4 ? 1 : 2)} ms` : `${+micro.toFixed(micro < 10 ? 1 : 0)} µs`;
}

function detailsOf(item) {
  const line = (name, value) => value && [h("dt", {}, name), h("dd", {}, value)];
  const calls = item.calls.map((call) => h("tr", {}, h("td", {}, h("code", {}, `${call.name}(${call.arguments}) = ${call.result}`)), h("td", {}, time(call.took))));
  return [
    h("p", {}, h("strong", {}, item.name), ` ${item.lane}, at ${time(item.at)}, took ${time(item.took)}`, item.twin !== undefined && `; in the other run ${time(item.twin)}`),
    h("dl", {}, line("what for", item.purpose), line("waiting", item.why), line("step", item.step && h("code", {}, item.step)), line("result", item.result),
      line("read", item.man), line("see it yourself", item.see && h("code", {}, item.see))),
    calls.length ? h("div", { className: "sandbox-timeline-calls", tabindex: 0, role: "region", "aria-label": "system calls" }, h("table", {}, calls)) : h("p", { className: "faint" }, item.step ? "Its system calls were not recorded: run it with --calls." : ""),
  ];
}

function compared([first, second], differences) {
  const most = Math.max(...differences.map((row) => Math.abs(row.more))) || 1;
  const rows = differences.map((row) => {
    const part = (Math.abs(row.more) / most) * 50;
    const drawn = h("div", { className: row.more > 0 ? "more" : "less", style: `width: ${part}%; margin-left: ${row.more > 0 ? 50 : 50 - part}%` });
    const cell = (value) => h("td", {}, value === null ? "not made" : value.toFixed(0));
    return h("tr", {}, h("th", { scope: "row" }, row.name), cell(row.first), cell(row.second), h("td", {}, `${row.more > 0 ? "+" : ""}${row.more.toFixed(0)}`), h("td", { className: "drawn" }, drawn));
  });
  const heads = ["step", `${first.label}, µs`, `${second.label}, µs`, "more", "less ◂ ▸ more"].map((text) => h("th", { scope: "col" }, text));
  return h("details", { open: true }, h("summary", {}, `What ${second.label} took more or less`),
    h("div", { className: "sandbox-timeline-difference", tabindex: 0, role: "region", "aria-label": "the difference step by step" },
      h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))));
}

export default { render };
