// The browser's half of a terminal: xterm.js in an anywidget. Its other half, kernel_ext/terminal_view.py, has the container's
// terminal; between them go messages, never anything that is evaluated.
//
//   to the kernel    hello (a page has opened: show me everything) · type · resize · leave · again · screen (as text)
//   from the kernel  show: bytes, and their place in all that was ever shown

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import "./terminal.css";

const PAUSE = 700; // milliseconds without output after which the screen is copied into the notebook

function render({ model, el }) {
  const view = crypto.getRandomValues(new Uint32Array(1))[0];
  const send = (what, more = {}) => model.send({ do: what, view, ...more });
  const make = (name, tag = "span") => Object.assign(document.createElement(tag), { className: `sandbox-terminal-${name}` });

  el.classList.add("sandbox-terminal");
  // JupyterLab's shortcuts stay out while somebody types here: "dd" must not delete a cell. (Lumino looks for this mark.)
  el.dataset.lmSuppressShortcuts = "true";
  for (const kind of ["keydown", "keypress", "keyup"]) el.addEventListener(kind, (event) => event.stopPropagation());

  const [bar, title, state, button] = [make("bar", "div"), make("title"), make("state"), make("button", "button")];
  const [screen, hint] = [make("screen", "div"), make("hint", "div")];
  state.setAttribute("role", "status");
  button.type = "button";
  bar.append(title, state, button);
  el.append(bar, screen, hint);

  const terminal = new Terminal({
    cursorBlink: true,
    fontFamily: getComputedStyle(el).getPropertyValue("--jp-code-font-family").trim() || "monospace", // it takes no var()
    fontSize: 13,
    linkHandler: { activate() {} }, // a link's text and its target are the container's: neither is to be trusted
    minimumContrastRatio: 4.5,
    scrollback: 5000,
    theme: { background: "#16181d", foreground: "#e6e6e6" },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);

  // A selection is copied with ^C, and ^V pastes, as everywhere in a browser; without a selection ^C interrupts.
  terminal.attachCustomKeyEventHandler((event) => {
    const plain = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    return !(plain && (event.key === "v" || (event.key === "c" && terminal.hasSelection())));
  });

  // --- what is shown ---

  let shown = -1; // the place up to which this page has shown everything; -1 before the kernel has answered to hello
  let replaying = 0;
  let pause;
  const still = () => send("screen", { text: visible(terminal) });

  const onMessage = (message, buffers) => {
    const { at, to, size } = message;
    if (message.do !== "show" || (to === undefined ? at !== shown : to !== view)) return;
    if (to !== undefined) terminal.reset();
    shown = at + size;
    // What was shown long ago may hold questions to the terminal; answered now, the answers would be typed into a shell.
    replaying += to !== undefined;
    terminal.write(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, size), () => (replaying -= to !== undefined));
    clearTimeout(pause);
    pause = setTimeout(still, PAUSE);
  };
  model.on("msg:custom", onMessage);
  terminal.onData((text) => replaying || send("type", { text }));

  // --- its size ---

  let size = "";
  const resize = () => {
    if (!screen.clientWidth || !fit.proposeDimensions()?.cols) return; // hidden just now
    fit.fit();
    if (size !== (size = `${terminal.rows} ${terminal.cols}`)) send("resize", { rows: terminal.rows, columns: terminal.cols });
  };
  const observer = new ResizeObserver(() => requestAnimationFrame(resize));
  observer.observe(screen);

  // --- whether it is attached ---

  const attach = () => {
    const attached = model.get("attached");
    title.textContent = model.get("title");
    state.textContent = model.get("state");
    hint.replaceChildren(...model.get("hint").split("`").map((text, odd) => (odd % 2 ? code(text) : text)));
    button.textContent = !attached ? "attach again" : model.get("returns") ? "leave" : "end it";
    button.hidden = !attached && !model.get("returns");
    button.onclick = () => (attached ? send("leave") : send("again"));
    terminal.options.disableStdin = !attached;
    terminal.options.cursorBlink = attached;
    size = "";
    resize();
    if (!attached) still();
  };
  const code = (text) => Object.assign(document.createElement("code"), { textContent: text });
  model.on("change:attached change:state", attach);
  attach();
  send("hello");

  return () => {
    clearTimeout(pause);
    observer.disconnect();
    model.off("msg:custom", onMessage);
    model.off("change:attached change:state", attach);
    terminal.dispose();
  };
}

function visible(terminal) {
  const { active } = terminal.buffer;
  const lines = Array.from({ length: terminal.rows }, (_, row) =>
    active.getLine(active.viewportY + row)?.translateToString(true) ?? "");
  return lines.join("\n").trimEnd();
}

export default { render };
