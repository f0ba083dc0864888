// The plots of %cgroups. The kernel's half, kernel_ext/pictures/cgroups.py, sends what is new in frames; here it is drawn.

const KEEP = 6000; // moments of each container: ten minutes
const SPANS = { "30 s": 30, "2 min": 120, all: 600 };
function render({ model, el }) {
  const { bar, body, say, act, follow, ends, frames } = begin(model, el, "cgroups");
  const series = new Map(); // name → { at: […], cpu: […], … }
  let events = [], span = 30, opened = null, cursor = null, drawing = 0, drawn = 0;
  const cards = new Map();
  const data = () => model.get("data");

  // --- what comes ---

  function take({ series: fresh, events: told }) {
    const { columns } = data();
    for (const [name, rows] of Object.entries(fresh)) {
      const known = series.get(name) ?? Object.fromEntries(columns.map((column) => [column, []]));
      series.set(name, known);
      for (const row of rows) {
        if (row[0] > (known.at.at(-1) ?? 0)) columns.forEach((column, i) => known[column].push(row[i]));
      }
      for (const values of Object.values(known)) if (values.length > KEEP) values.splice(0, values.length - KEEP);
    }
    const latest = events.at(-1)?.[0] ?? 0;
    const news = told.filter(([at]) => at > latest);
    events = events.concat(news).slice(-500);
    for (const [, name, kind, text] of news) if (kind !== "unthrottled") say(`${name}: ${text}`);
    redraw();
  }
  function redraw() {
    if (drawing || document.hidden) return;
    const wait = still() ? Math.max(0, drawn + 1000 - performance.now()) : 0;
    drawing = setTimeout(() => requestAnimationFrame(() => ((drawing = 0), (drawn = performance.now()), draw())), wait);
  }
  frames(take);
  ends.push(() => clearTimeout(drawing));
  act({ do: "history" }).then((said) => said && take(said));

  // --- the bar ---

  const pause = h("button", { type: "button", onclick: () => act({ do: "pause", on: !data().paused }) }, "Pause");
  const zoom = Object.entries(SPANS).map(([label, seconds]) =>
    h("button", { type: "button", "aria-pressed": String(seconds === span), onclick: (event) => {
      span = seconds;
      for (const each of zoom) each.setAttribute("aria-pressed", String(each === event.currentTarget));
      redraw();
    } }, label),
  );
  const csv = h("button", { type: "button", onclick: async () => save(new Blob([await act({ do: "csv" })], { type: "text/csv" }), "cgroups.csv") }, "CSV");
  const png = h("button", { type: "button", onclick: picture }, "PNG");
  bar.append(pause, h("span", { className: "sandbox-controls", role: "group", "aria-label": "time that is shown" }, zoom), csv, png);

  function save(blob, name) {
    const address = URL.createObjectURL(blob);
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
  function picture() {
    const all = [...cards.values()].map(({ canvas }) => canvas).filter((canvas) => canvas.width);
    const whole = h("canvas", { width: Math.max(...all.map((c) => c.width)), height: all.reduce((sum, c) => sum + c.height + 44, 0) });
    const pen = whole.getContext("2d");
    pen.fillStyle = colours().paper;
    pen.fillRect(0, 0, whole.width, whole.height);
    let top = 0;
    for (const [name, { canvas }] of cards) {
      pen.fillStyle = colours().ink;
      pen.font = "bold 24px sans-serif";
      pen.fillText(name, 8, top + 30);
      pen.drawImage(canvas, 0, top + 44);
      top += canvas.height + 44;
    }
    whole.toBlob((blob) => save(blob, "cgroups.png"));
  }

  // --- a card for each container ---

  const grid = h("div", { className: "sandbox-grid" });
  const empty = h("p", { className: "sandbox-empty" }, "No container runs. Start one (%%container --bg): it appears here.");
  body.append(empty, grid);

  function card(name) {
    const title = h("button", { type: "button", className: "sandbox-name", title: "open it, with its controls", "aria-expanded": "false", onclick: () => open(opened === name ? null : name) }, name);
    const state = h("span", { className: "sandbox-state" });
    const canvas = h("canvas", { tabindex: 0, role: "img", title: "← → look back" });
    const words = h("div", { className: "sandbox-events" });
    const pressure = h("span", { className: "sandbox-state" });
    const made = { title, state, pressure, canvas, words, controls: controls(name), root: null };
    made.root = h("section", { className: "sandbox-card", "aria-label": name }, h("div", { className: "sandbox-head" }, title, state, pressure), canvas, made.controls.root, words);
    canvas.addEventListener("pointermove", ({ offsetX }) => ((cursor = offsetX / canvas.clientWidth), redraw()));
    canvas.addEventListener("pointerleave", () => ((cursor = null), redraw()));
    canvas.addEventListener("keydown", ({ key }) => {
      const way = { ArrowLeft: -0.01, ArrowRight: 0.01 }[key];
      if (way) cursor = Math.min(0.999, Math.max(0, (cursor ?? 0.999) + way));
      else if (key === "Escape") cursor = null;
      redraw();
    });
    return made;
  }
  function open(name) {
    opened = name;
    for (const [each, { root, title }] of cards) {
      root.classList.toggle("sandbox-open", each === name);
      title.setAttribute("aria-expanded", String(each === name));
    }
    act({ do: "detail", name: name ?? "" });
    redraw();
  }

  // --- its controls ---

  function controls(name) {
    const knob = (limit, label, unit, write, scale) => {
      const slider = h("input", { type: "range", min: 0, max: 1000, "aria-label": `${label} limit of ${name}` });
      const field = h("input", { type: "number", min: scale.least, step: scale.step, "aria-label": `${label} limit of ${name}, as a number` });
      const label_ = h("label", { className: "sandbox-knob", "data-limit": limit }, h("span", {}, label), slider, field, h("span", {}, unit));
      const set = async (value) => {
        made.pending = true;
        label_.classList.add("sandbox-pending");
        await act({ do: "limit", name, limit, value: write(value) });
        made.pending = false;
        label_.classList.remove("sandbox-pending");
      };
      const let_go = () => made.held && ((made.held = false), set(+field.value));
      slider.addEventListener("input", () => ((made.held = true), (field.value = scale.value(slider.value / 1000))));
      slider.addEventListener("change", let_go);
      slider.addEventListener("keydown", (event) => {
        const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (!way) return;
        event.preventDefault(); // the browser's step may be less than the limit's own: then rounding would take it back
        const old = field.value ? +field.value : scale.value(slider.value / 1000);
        const near = scale.value(scale.place(old) + way / 1000);
        made.held = true;
        field.value = Math.max(scale.least, +((near - old) * way > 0 ? near : old + way * scale.step).toFixed(2));
        slider.value = Math.round(1000 * scale.place(+field.value));
      });
      for (const end of ["keyup", "blur"]) slider.addEventListener(end, let_go);
      field.addEventListener("change", () => field.value && set(+field.value));
      const made = { root: label_, pending: false, held: false, show(value) {
        if (made.pending || made.held || document.activeElement === field || value === null || value === undefined) return;
        field.value = +value.toFixed(2);
        slider.value = Math.round(1000 * scale.place(value));
      } };
      return made;
    };
    const growing = (least, most, step) => ({ least, step, value: (x) => Math.round(least * (most / least) ** x), place: (v) => Math.log(Math.max(v, least) / least) / Math.log(most / least) });
    const cpus = data().cpus;
    const even = { least: 0.01, step: 0.01, value: (x) => Math.max(0.05, Math.round(x * cpus * 20) / 20), place: (v) => v / cpus };
    const knobs = {
      cpu_limit: knob("cpus", "CPU", "CPUs", (v) => v, even),
      memory_limit: knob("memory", "memory", "MiB", (v) => `${v}m`, growing(6, 4096, 1)),
      pids_limit: knob("pids", "processes", "", (v) => Math.round(v), growing(1, 4096, 1)),
    };
    const freeze = h("button", { type: "button", onclick: () => act({ do: "freeze", name, on: data().states[name] !== "FROZEN" }) }, "❄ freeze");
    const loads = Object.entries({ cpu: "burn CPU", memory: "allocate", fork: "fork", write: "write" }).map(([kind, label]) => {
      const [usual, most, unit] = data().kinds[kind];
      const much = h("input", { type: "number", min: 1, max: most, value: usual, "aria-label": `${label}: how much, ${unit}` });
      return h("span", { className: "sandbox-load" }, h("button", { type: "button", "data-load": kind, onclick: () => act({ do: "load", name, kind, amount: Math.round(+much.value) }) }, label), much, h("span", {}, unit === "processes" ? "" : unit));
    });
    const stop = h("button", { type: "button", disabled: true, onclick: () => act({ do: "unload", name }) }, "■ stop load");
    const root = h("div", { className: "sandbox-panel" }, h("fieldset", {}, h("legend", {}, "limits"), Object.values(knobs).map(({ root }) => root)), h("fieldset", {}, h("legend", {}, "load"), loads, stop), freeze);
    return { root, knobs, freeze, stop };
  }

  follow("data", () => {
    const { names, states, loads, paused } = data();
    for (const name of names) {
      if (cards.has(name)) continue;
      cards.set(name, card(name));
      grid.append(cards.get(name).root);
    }
    for (const [name, { root }] of cards) if (!names.includes(name)) root.remove(), cards.delete(name);
    empty.hidden = names.length > 0;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    if (names.length === 1 && opened === null && !cards.get(names[0]).seen) (cards.get(names[0]).seen = true), open(names[0]);
    for (const [name, each] of cards) {
      const running = states[name] !== "STOPPED";
      each.state.textContent = states[name] + (loads[name] ? ` · ${loads[name].join(", ")}` : "");
      each.state.dataset.state = states[name];
      each.controls.freeze.textContent = states[name] === "FROZEN" ? "▸ unfreeze" : "❄ freeze";
      each.controls.stop.disabled = !loads[name];
      each.controls.root.inert = !running;
      each.root.classList.toggle("sandbox-over", !running);
    }
    redraw();
  });

  // --- the drawing ---

  function colours() {
    const style = getComputedStyle(el);
    return Object.fromEntries(["blue", "orange", "green", "purple", "sky", "red", "grey", "ink", "faint", "line", "paper", "shade"].map((name) => [name, style.getPropertyValue(`--sandbox-${name}`).trim() || "#888"]));
  }
  function draw() {
    const colour = colours();
    const end = Math.max(0, ...[...series.values()].map(({ at }) => at.at(-1) ?? 0));
    for (const [name, each] of cards) {
      const known = series.get(name);
      if (!known) continue;
      const big = opened === name;
      paint(each.canvas, name, known, end, colour, big);
      const last = known.at.length - 1;
      for (const [column, knob] of Object.entries(each.controls.knobs)) {
        const value = known[column][last];
        knob.show(column === "memory_limit" && value !== null ? value / MIB : value ?? (column === "cpu_limit" ? data().cpus : null));
      }
      const waits = ["cpu", "memory", "io"].filter((what) => known[`${what}_stalled`][last] > 0.01);
      each.pressure.textContent = big || !waits.length ? "" : `waits for ${waits.map((what) => `${what} ${percent(known[`${what}_stalled`][last])}`).join(", ")}`;
      const mine = events.filter(([, whose]) => whose === name).slice(-4).reverse();
      const text = mine.map(([at, , kind, said]) => `${new Date(at * 1000).toLocaleTimeString()}  ${said}`).join("\n");
      if (each.words.textContent !== text) each.words.textContent = text;
    }
  }
  function paint(canvas, name, known, end, colour, big) {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `${big ? 12 : 11}px system-ui, sans-serif`;
    const shown = big ? PANELS : PANELS.slice(0, 4);
    const across = big ? 1 : 2, down = Math.ceil(shown.length / across), foot = big ? 48 : 4, gap = 10;
    const seconds = span === 600 ? Math.min(600, Math.max(30, end - (known.at[0] ?? end))) : span;
    const begun = end - seconds;
    const first = Math.max(0, known.at.findIndex((at) => at >= begun) - 1);
    const mine = events.filter(([at, whose]) => whose === name && at >= begun);
    const w = (width - gap * (across - 1)) / across, tall = (height - foot) / down;
    const x = (at, left) => left + (w * (at - begun)) / seconds;
    const pointed = cursor === null ? null : begun + seconds * ((cursor * width) % (w + gap)) / w;
    const moment = pointed === null ? known.at.length - 1 : Math.max(0, known.at.findLastIndex((at) => at <= pointed));
    const spoken = [];
    let taken = -1; // where the last sign ended
    shown.forEach((panel, place) => {
      const left = (place % across) * (w + gap), top = Math.floor(place / across) * tall + 17, high = tall - 24;
      spoken.push(plot(pen, panel, known, first, moment, { left, top, w, high, x: (at) => x(at, left) }, colour));
      for (const [at, , kind] of mine) {
        if (!SIGNS[kind]) continue;
        line(pen, [[x(at, left), top], [x(at, left), top + high]], LOUD.includes(kind) ? colour.red : colour.grey, [2, 2]);
        const sign = Math.min(x(at, left) + 2, left + w - 10);
        if (big || place > 0 || sign < taken) continue;
        pen.fillStyle = LOUD.includes(kind) ? colour.red : colour.ink;
        pen.fillText(SIGNS[kind][0], sign, top + high - 3);
        taken = sign + 13;
      }
      if (pointed !== null) line(pen, [[x(pointed, left), top], [x(pointed, left), top + high]], colour.ink, []);
    });
    if (big) {
      pen.fillStyle = colour.faint;
      for (let i = 0; i <= 6; i += 1) pen.fillText(i === 6 ? "now" : `−${Math.round(seconds * (1 - i / 6))} s`, Math.min((w * i) / 6, w - 26), height - 3);
      const free = [-1, -1]; // two rows of words; what finds no place in them is in the list below
      const written = {}; // where each word ends: it is not written twice side by side
      for (const [at, , kind] of mine.filter(([, , kind]) => SIGNS[kind])) {
        const long = pen.measureText(SIGNS[kind]).width;
        const from = Math.min(x(at, 0), w - long);
        const row = free.findIndex((place) => from >= place);
        if (row < 0 || from < (written[kind] ?? -1)) continue;
        pen.fillStyle = LOUD.includes(kind) ? colour.red : colour.ink;
        pen.fillText(SIGNS[kind], from, height - 33 + 14 * row);
        free[row] = written[kind] = from + long + 8;
      }
    }
    canvas.setAttribute("aria-label", `${name}: ${spoken.join("; ")}`);
  }
  return ending(ends);
}

export default { render };
