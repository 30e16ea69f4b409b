// One device's trade-off as a plot: every artifact, and the line through those that none beats.
const PLOT = { width: 520, height: 360, left: 74, right: 22, top: 34, bottom: 48 };

// As `compress ledger pareto`: cheapest first, each better than all that are cheaper.
function frontier(points, higher) {
  const sign = higher ? 1 : -1, kept = [];
  let best = -Infinity;
  for (const point of [...points].sort((a, b) => a.x - b.x || sign * (b.y - a.y))) {
    if (sign * point.y > best) { best = sign * point.y; kept.push(point); }
  }
  return kept;
}

function roundStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw * 0.999);
}

// Ends on round steps around the values, at least ``least`` apart; place() and ticks are in px of the drawing.
function axis(values, start, end, fromZero, least = 0) {
  const known = [fromZero ? 0 : Math.min(...values), Math.max(...values)];
  const short = Math.max(0, least - (known[1] - known[0])) / 2, low = known[0] - short, high = known[1] + short;
  const span = high - low || Math.abs(high) * 0.02 || 1;
  const step = roundStep(span * 1.24 / 5);
  const first = fromZero ? 0 : Math.floor((low - span * 0.12) / step) * step;
  const last = Math.max(Math.ceil((high + span * 0.12) / step) * step, first + step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const place = (value) => start + (value - first) / (last - first) * (end - start);
  const ticks = Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => first + i * step)
    .map((value) => ({ at: place(value), text: value.toFixed(digits) }));
  return { place, ticks };
}

function mark(format, x, y) {
  const r = 7;
  if (format === "onnx") return el("rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8, rx: 2 });
  if (format === "executorch") return el("path", { d: `M ${x} ${y - r * 1.2} l ${r * 1.2} ${r * 2.1} h ${-r * 2.4} z` });
  return el("circle", { cx: x, cy: y, r });
}

function grid(x, y, titles) {
  const bottom = PLOT.height - PLOT.bottom, end = PLOT.width - PLOT.right, made = el("g", { class: "grid" });
  for (const tick of x.ticks) {
    made.append(el("line", { x1: tick.at, x2: tick.at, y1: PLOT.top, y2: bottom }),
      el("text", { x: tick.at, y: bottom + 18, "text-anchor": "middle" }, tick.text));
  }
  for (const tick of y.ticks) {
    made.append(el("line", { x1: PLOT.left, x2: end, y1: tick.at, y2: tick.at }),
      el("text", { x: PLOT.left - 7, y: tick.at + 4, "text-anchor": "end" }, tick.text));
  }
  made.append(el("text", { x: (PLOT.left + end) / 2, y: PLOT.height - 6, "text-anchor": "middle" }, titles[0]),
    el("text", { x: 2, y: PLOT.top - 14 }, titles[1]));
  return made;
}

// Differences from the best fp32 artifact that nobody sees: of PSNR, those under 0.1 dB.
function unseen(known, y) {
  const floats = known.filter((point) => point.row.of.precision === "fp32").map((point) => point.y);
  if (!y.unseen || !floats.length) return null;
  const top = Math.max(...floats);
  return { top, bottom: top - y.unseen, text: `not visible: under ${y.unseen} ${y.unit}` };
}

// The band, and its text where it covers no point: below the band, or above it.
function drawnBand(band, ys, placed) {
  const top = ys.place(band.top), bottom = ys.place(band.bottom), end = PLOT.width - PLOT.right;
  const rect = el("rect", { class: "band", x: PLOT.left, width: end - PLOT.left, y: top, height: bottom - top });
  const width = band.text.length * 7.2, boxes = [];
  for (const y of [bottom + 15, top - 7]) for (const x of [end - width - 4, PLOT.left + 4]) boxes.push([x, y - 13, x + width, y + 4]);
  const box = boxes.find(([a, b, c, d]) => !placed.some(({ cx, cy }) => a < cx + 8 && cx - 8 < c && b < cy + 8 && cy - 8 < d));
  const text = box && el("text", { class: "band", x: box[0], y: box[1] + 13 }, band.text);
  return { rect, text, box };
}

// Names beside the points, the frontier's first, where they cover nothing.
function names(best, placed, other) {
  const points = [...best, ...placed.filter((point) => !best.includes(point))];
  const taken = [...placed.map(({ cx, cy }) => [cx - 8, cy - 8, cx + 8, cy + 8]), ...other], made = [];
  const free = (box) => box[0] >= PLOT.left && box[2] <= PLOT.width - 4 && box[1] >= 2
    && box[3] <= PLOT.height - PLOT.bottom
    && !taken.some(([a, b, c, d]) => a < box[2] && box[0] < c && b < box[3] && box[1] < d);
  const distance = ([a, b, c, d], { cx, cy }) => Math.hypot(Math.max(a - cx, 0, cx - c), Math.max(b - cy, 0, cy - d));
  for (const point of points) {
    const { cx, cy, name } = point, kind = best.includes(point) ? "label" : "label beaten";
    const text = name.split(" · ")[0], width = text.length * 7.2;
    const spots = [[cx + 12, cy + 4], [cx - 12 - width, cy + 4], [cx - width / 2, cy - 13], [cx - width / 2, cy + 23],
      [cx + 9, cy - 10], [cx + 9, cy + 18], [cx - 9 - width, cy - 10], [cx - 9 - width, cy + 18]];
    // A name that is nearer to another's point would be read as its.
    const own = (box) => placed.every((other) => distance(box, point) <= distance(box, other));
    const spot = spots.map(([x, y]) => [x, y - 13, x + width, y + 4]).find((box) => free(box) && own(box));
    if (!spot) continue;
    taken.push(spot);
    made.push(el("text", { class: kind, x: spot[0], y: spot[1] + 13, "aria-hidden": "true" }, text));
  }
  return made;
}

// rows: of one group, each with its artifact; x, y: measures {key, title, unit, scale, digits, higher}.
function plot(group, rows, x, y, choose) {
  const known = rows.filter((row) => row[x.key] !== null && row[y.key] !== null)
    .map((row) => ({ row, x: row[x.key] / x.scale, y: row[y.key] / y.scale, name: row.of.name }));
  const absent = rows.filter((row) => row[x.key] === null || row[y.key] === null).map((row) => row.of.name);
  const figure = el("figure", { class: "plot" },
    el("h3", {}, group.device, el("small", {}, group.about)));
  if (!known.length) {
    figure.append(el("p", { class: "note" }, `Not measured here: ${[x, y].map((m) => m.title).join(" or ")} of ${absent.join(", ")}.`));
    return { figure, best: [] };
  }
  PLOT.width = Math.min(560, Math.max(300, byId("plots").clientWidth));
  const units = [x, y].map((m) => m.unit ? `${m.title}, ${m.unit}` : m.title);
  const xs = axis(known.map((p) => p.x), PLOT.left, PLOT.width - PLOT.right, true);
  const band = unseen(known, y), heights = [...known.map((p) => p.y), ...(band ? [band.top, band.bottom] : [])];
  const ys = axis(heights, PLOT.height - PLOT.bottom, PLOT.top, false, y.least);
  const best = frontier(known, y.higher);
  for (const point of known) Object.assign(point, { cx: xs.place(point.x), cy: ys.place(point.y) });
  const svg = el("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "group",
    "aria-label": `${group.device}, ${group.about}: ${units.join(" against ")}; arrow keys go from point to point` });
  const shade = band && drawnBand(band, ys, known);
  if (shade) svg.append(shade.rect);
  svg.append(grid(xs, ys, units),
    el("polyline", { class: "front", points: best.map((p) => `${p.cx},${p.cy}`).join(" ") }));
  const ordered = [...known].sort((a, b) => a.x - b.x);
  const marks = ordered.map((point) => pointMark(point, best.includes(point), x, y, choose));
  marks[0].setAttribute("tabindex", "0");
  // The frontier's marks lie on top.
  svg.append(...[...marks].sort((a, b) => a.classList.contains("best") - b.classList.contains("best")), 
    ...(shade?.text ? [shade.text] : []), ...names(best, known, shade?.box ? [shade.box] : []));
  roving(svg, marks);
  const beaten = known.length - best.length;
  figure.append(svg, el("figcaption", {}, `${best.length} on the frontier, ${beaten} beaten in both.`
    + (absent.length ? ` Not plotted, because not measured: ${absent.join(", ")}.` : "")));
  return { figure, best: best.map((point) => point.row) };
}

function pointMark(point, isBest, x, y, choose) {
  const values = [x, y].map((m, i) => `${m.title} ${[point.x, point.y][i].toFixed(m.digits)} ${m.unit}`.trim()).join(", ");
  const tip = `${point.name}: ${values}${isBest ? "; on the frontier" : ""}`;
  const precision = ["fp32", "fp16", "int8"].find((one) => one === point.row.of.precision) ?? "";
  const made = el("g", { class: `point ${precision} ${isBest ? "best" : "beaten"}`, tabindex: "-1", role: "button",
    "aria-label": tip, "data-tip": tip, "data-row": point.row.id, "data-cx": point.cx, "data-cy": point.cy },
  mark(point.row.of.format, point.cx, point.cy));
  made.addEventListener("click", () => choose(point.row.artifact));
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(point.row.artifact); }
  });
  return made;
}

// One stop of the tab key a plot; the arrow keys go from point to point.
function roving(svg, marks) {
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -marks.length, End: marks.length };
    const step = steps[event.key], at = marks.indexOf(event.target.closest(".point"));
    if (step === undefined || at < 0) return;
    event.preventDefault();
    const to = marks[Math.min(marks.length - 1, Math.max(0, at + step))];
    for (const one of marks) one.setAttribute("tabindex", one === to ? "0" : "-1");
    to.focus();
  });
}
