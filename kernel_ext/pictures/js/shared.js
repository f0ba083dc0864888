// What all pictures share in the page. The browser gets each picture as one text: this one first, then the picture's own,
// which ends with `export default { render }`. Nothing here is evaluated from text: what a container says stays text.

/** An HTML element: h("button", { className: "x", onclick: f, "aria-label": "…" }, "text", element, …). */
function h(tag, properties = {}, ...children) {
  return furnish(document.createElement(tag), properties, children);
}

/** An SVG element, in the same way. */
function svg(tag, properties = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function furnish(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "className") element.setAttribute("class", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Colours that people with colour blindness tell apart (Okabe and Ito), as the style sheet has them for each theme. */
const COLOURS = ["blue", "orange", "green", "purple", "sky", "red", "yellow", "grey"].map((name) => `var(--sandbox-${name})`);

/** Whether things should not move by themselves more than they must. */
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const SAY_EVERY = 5000; // milliseconds: a screen reader needs time to read
const PATIENCE = 400; // milliseconds after which a control says that it waits

/**
 * Begin a picture in `el`: a bar with its title, a place for its controls and its notice, and an empty body.
 *
 *   bar, body    elements to put things into
 *   say(text)    have a screen reader say it, not too often
 *   act(message) tell the kernel; resolves with its answer. Until then the picture says that it waits.
 *   frames(draw) call draw(content) for each frame that comes; the kernel hears that it was seen
 *   ends         functions to be called when the picture goes
 */
function begin(model, el, name) {
  el.classList.add("sandbox-picture", `sandbox-${name}`);
  // JupyterLab's shortcuts stay out while somebody works here: "dd" must not delete a cell. (Lumino looks for this mark.)
  el.dataset.lmSuppressShortcuts = "true";
  for (const kind of ["keydown", "keypress", "keyup"]) el.addEventListener(kind, (event) => event.stopPropagation());
  el.setAttribute("role", "group");

  const title = h("span", { className: "sandbox-title" });
  const controls = h("span", { className: "sandbox-controls" });
  const notice = h("div", { className: "sandbox-notice", role: "alert", hidden: true });
  const voice = h("div", { className: "sandbox-voice", "aria-live": "polite" });
  const body = h("div", { className: "sandbox-body" });
  const waits = h("span", { className: "sandbox-waits", role: "status" });
  el.append(h("div", { className: "sandbox-bar" }, title, controls, waits), notice, body, voice);

  const ends = [];
  const follow = (trait, change) => {
    model.on(`change:${trait}`, change);
    ends.push(() => model.off(`change:${trait}`, change));
    change();
  };
  follow("title", () => {
    title.textContent = model.get("title");
    el.setAttribute("aria-label", model.get("title"));
  });
  follow("notice", () => {
    notice.textContent = model.get("notice");
    notice.hidden = !model.get("notice");
  });

  let said = -Infinity, last = "", timer;
  const say = (text) => {
    last = text;
    clearTimeout(timer);
    timer = setTimeout(() => ((said = performance.now()), (voice.textContent = last)), Math.max(0, said + SAY_EVERY - performance.now()));
  };
  ends.push(() => clearTimeout(timer));

  const page = crypto.getRandomValues(new Uint32Array(1))[0];
  const open = new Map(); // what was asked for and is not done yet
  let asked = 0;
  const act = (message) =>
    new Promise((resolve) => {
      const number = `${page}-${(asked += 1)}`;
      open.set(number, { resolve, taken: false });
      model.send({ ...message, number });
      setTimeout(tell, PATIENCE);
    });
  const tell = () => {
    el.setAttribute("aria-busy", String(open.size > 0));
    waits.textContent = !open.size ? "" : [...open.values()].every(({ taken }) => taken) ? "waiting …"
      : "queued: applies when the running cell ends";
  };
  let draw = () => {};
  const heard = (message) => {
    if (message.do === "frame") {
      draw(message);
      model.send({ do: "seen" });
    } else if (message.do === "taken" && open.has(message.number)) {
      open.get(message.number).taken = true;
      if (waits.textContent) tell();
    } else if (message.do === "done" && open.has(message.number)) {
      open.get(message.number).resolve(message.said);
      open.delete(message.number);
      tell();
    }
  };
  model.on("msg:custom", heard);
  ends.push(() => model.off("msg:custom", heard));
  return { bar: controls, body, say, act, follow, ends, frames: (how) => (draw = how) };
}

/** What `render` returns: everything that was begun is ended. */
const ending = (ends) => () => ends.forEach((end) => end());
