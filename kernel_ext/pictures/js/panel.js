// One plot over time: its lines or layers, its limit, and its numbers in words. Drawn on a canvas.

const MIB = 1 << 20;
const SIGNS = { oom: "✗ out of memory", refused: "⊘ fork refused", throttled: "≋ throttled", unthrottled: "", frozen: "❄ frozen", thawed: "▸ thawed", limit: "⇅ limit", started: "▸ started", ended: "■ ended" };
const LOUD = ["oom", "refused", "ended"];

const size = (bytes) => (bytes === null || bytes === undefined ? "–" : bytes < 1024 ? `${Math.round(bytes)} B` : bytes < MIB ? `${(bytes / 1024).toFixed(0)} KiB` : bytes < 1024 * MIB ? `${(bytes / MIB).toFixed(1)} MiB` : `${(bytes / MIB / 1024).toFixed(2)} GiB`);
const percent = (share) => `${Math.round(100 * Math.min(share ?? 0, 1))} %`;
const number = (value) => (value === null || value === undefined ? "–" : String(+value.toFixed(2)));

// What a panel shows: its lines or layers, the line of its limit, and how its numbers are written.
const PANELS = [
  { title: "CPU", lines: [["cpu", "blue"]], limit: "cpu_limit", write: number, unit: "CPUs", least: 0.1, shade: "throttled" },
  { title: "memory", layers: [["anon", "blue"], ["file", "green"], ["kernel", "purple"]], lines: [["memory", "ink"]], limit: "memory_limit", write: size, unit: "", least: MIB },
  { title: "processes", lines: [["pids", "green"]], limit: "pids_limit", write: (n) => (n === null || n === undefined ? "–" : String(Math.round(n))), unit: "", least: 4 },
  { title: "disk", lines: [["io_read", "green"], ["io_written", "orange", [4, 3]]], write: (n) => `${size(n)}/s`, unit: "", least: 1024, names: ["read", "written"] },
  { title: "pressure", lines: [["cpu_stalled", "blue"], ["memory_stalled", "purple", [4, 3]], ["io_stalled", "orange", [1, 2]]], write: percent, unit: "", least: 0.05, names: ["cpu", "memory", "io"] },
];

function line(pen, points, style, dash) {
  pen.strokeStyle = style;
  pen.setLineDash(dash ?? []);
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  pen.setLineDash([]);
}
/** Draw one panel; returns what it says. `moment` is the row whose numbers are told, `first` the first that is seen. */
function plot(pen, panel, known, first, moment, { left, top, w, high, x }, colour) {
  const count = known.at.length, stride = Math.max(1, Math.floor((count - first) / (2 * w)));
  const places = [];
  for (let i = first; i < count; i += stride) places.push(i);
  const drawn = panel.lines.map(([column]) => column);
  const most = Math.max(panel.least, ...places.flatMap((i) => drawn.map((column) => known[column][i] ?? 0)));
  const limit = panel.limit ? known[panel.limit][count - 1] ?? null : null;
  // A limit that is far away would press all to the ground: then it is only named.
  const near = limit !== null && limit < 4 * most;
  const scale = 1.12 * (near ? Math.max(most, limit) : most);
  const y = (value) => top + high - (high * Math.min(value, scale)) / scale;
  const inside = (i) => Math.max(left, x(known.at[i]));
  pen.fillStyle = colour.shade;
  pen.fillRect(left, top, w, high);
  pen.lineWidth = 1;
  if (panel.shade) {
    pen.fillStyle = colour.orange;
    pen.globalAlpha = 0.35;
    places.forEach((i, k) => (known[panel.shade][i] ?? 0) > 0 && k && pen.fillRect(inside(places[k - 1]), top, inside(i) - inside(places[k - 1]) + 0.5, high));
    pen.globalAlpha = 1;
  }
  let below = places.map(() => 0);
  for (const [column, name] of panel.layers ?? []) {
    const above = places.map((i, k) => below[k] + (known[column][i] ?? 0));
    pen.fillStyle = colour[name];
    pen.globalAlpha = 0.75;
    pen.beginPath();
    places.forEach((i, k) => pen.lineTo(inside(i), y(above[k])));
    [...places.keys()].reverse().forEach((k) => pen.lineTo(inside(places[k]), y(below[k])));
    pen.fill();
    pen.globalAlpha = 1;
    below = above;
  }
  pen.lineWidth = 1.6;
  for (const [column, name, dash] of panel.lines) {
    line(pen, places.filter((i) => known[column][i] !== null).map((i) => [inside(i), y(known[column][i])]), colour[name], dash);
  }
  if (near) {
    const steps = places.filter((i) => known[panel.limit][i] !== null).flatMap((i, k, all) => (k ? [[inside(i), y(known[panel.limit][all[k - 1]])]] : []).concat([[inside(i), y(known[panel.limit][i])]]));
    line(pen, steps, colour.red, [6, 3]);
  }
  const at = (column) => known[column][moment];
  const now = panel.names ? panel.lines.map(([column], i) => `${panel.names[i]} ${panel.write(at(column))}`).join("  ") : panel.write(at(drawn[0]));
  const allowed = panel.limit && at(panel.limit) !== null && at(panel.limit) !== undefined ? ` of ${panel.write(at(panel.limit))}` : "";
  const more = panel.shade && at(panel.shade) > 0 ? `  ≋ throttled ${percent(at(panel.shade))}` : "";
  const said = `${panel.title} ${now}${allowed}${panel.unit ? ` ${panel.unit}` : ""}${more}`;
  pen.fillStyle = colour.ink;
  pen.fillText(said, left + 1, top - 5, w);
  let right = left + w;
  for (const [column, name] of [...(panel.layers ?? []), ...(panel.limit ? [["limit", "red"]] : []), ...(panel.shade ? [["throttled", "orange"]] : []), ...(panel.names ? panel.lines.map(([, name], i) => [panel.names[i], name]) : [])].reverse()) {
    if (w < 500) break; // the legend: only where there is room
    right -= pen.measureText(column).width + 18;
    pen.fillStyle = colour[name];
    pen.fillRect(right, top - 13, 9, 9);
    pen.fillStyle = colour.ink;
    pen.fillText(column, right + 12, top - 5);
  }
  if (!near && w >= 500) {
    pen.fillStyle = colour.faint;
    pen.fillText(`↑ ${panel.write(scale)}`, left + 3, top + 12);
  }
  return said;
}
