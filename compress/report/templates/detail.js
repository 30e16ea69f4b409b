// One artifact: its figures, errors, shares, hashes, and what was not measured.
const NONE = () => [el("span", { "aria-hidden": "true" }, "–"), el("span", { class: "unseen" }, "not measured")];

function fixed(value, digits, scale = 1) {
  return value === null ? NONE() : [(value / scale).toFixed(digits)];
}

// headings: texts; rows: arrays of cells, each an array of nodes; the first names the row.
function sheet(label, headings, rows, kind = "") {
  const head = el("tr", {}, ...headings.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell, i) =>
    (i ? el("td", {}, ...cell) : el("th", { scope: "row" }, ...cell)))));
  const table = el("table", { class: kind }, el("thead", {}, head), el("tbody", {}, ...body));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

function bar(value, most, digits, unit, kind) {
  if (value === null) return NONE();
  const style = `--length: ${Math.max(0, 7 * value / most)}rem`;
  return [el("span", { class: `bar ${kind}`, style }), el("span", { class: "figure" }, `${value.toFixed(digits)}${unit}`)];
}

function figures(data, index) {
  const against = (value, digits) => (value === null && data.artifacts[index].precision === "fp32" ? ["ref."] : fixed(value, digits));
  const rows = data.rows.filter((row) => row.artifact === index).map((row) => [
    [data.groups[row.group].target ?? "not timed", el("small", {}, row.dataset ?? "no data set")],
    fixed(row.latency_p50_ms, 1), fixed(row.latency_p90_ms, 1), against(row.speedup_vs_fp32, 2), fixed(row.peak_rss_mb, 0),
    fixed(row.psnr_db, 3), against(row.psnr_drop_db, 3), fixed(row.ssim, 4), fixed(row.lpips, 4), against(row.fidelity_db, 1),
    fixed(row.color_shift, 2), [row.evidence], row.protocol ? [row.protocol] : NONE(),
  ]);
  const headings = ["Target", "p50, ms", "p90, ms", "× fp32", "Peak, MB", "PSNR, dB", "Drop, dB", "SSIM", "LPIPS",
    "Fidelity, dB", "Colour shift", "Evidence", "Protocol"];
  return sheet("Figures of this artifact", headings, rows);
}

// Pictures restored whole, of the rows that have them (`compress bench --throughput`); nothing where none has.
function wholePictures(data, index) {
  const rows = data.rows.filter((row) => row.artifact === index && row.picture_megapixels_per_s !== null).map((row) => [
    [data.groups[row.group].target ?? "not timed", el("small", {}, `picture of ${row.picture_megapixels.toFixed(1)} MP`)],
    ...["picture", "clip"].flatMap((kind) => [
      fixed(row[`${kind}_megapixels_per_s`], 3), fixed(row[`${kind}_peak_rss_mb`], 0),
      fixed(row[`${kind}_joules_per_megapixel`], 1),
    ]),
    [row.evidence],
  ]);
  const headings = ["Target", ...["Picture", "Clip"].flatMap((kind) => [`${kind}, MP/s`, "peak, MB", "J/MP"]), "Evidence"];
  return rows.length ? [sheet("Whole pictures, in megapixels of the restored picture", headings, rows)] : [];
}

function stages(artifact) {
  const modes = [...new Set(artifact.stages.map((entry) => entry[1]))];
  const names = [...new Set(artifact.stages.map((entry) => entry[0]))];
  const most = Math.max(1, ...artifact.stages.map((entry) => entry[2] ?? 0));
  const rows = names.map((name) => [[name], ...modes.map((mode, i) => {
    const stage = artifact.stages.find((entry) => entry[0] === name && entry[1] === mode);
    return bar(stage?.[2] ?? null, most, 1, "", i ? "second" : "first");
  })]);
  const headings = ["Stage or step", ...modes.map((mode) => `${mode.replace("_", "-")}, dB`)];
  return sheet("Error by stage and Euler step", headings, rows, "barred");
}

function layers(artifact) {
  const known = [...artifact.layers].sort((a, b) => (a[2] ?? Infinity) - (b[2] ?? Infinity));
  const most = Math.max(1, ...known.map((entry) => entry[2] ?? 0));
  const rows = known.map(([layer, stage, sqnr]) => [[layer], [stage], bar(sqnr, most, 1, "", "first")]);
  const made = sheet("Error by layer, the worst first", ["Layer", "Stage", "SQNR, dB"], rows, "barred sortable");
  sortable(made.querySelector("table"));
  return el("div", { class: "tall" }, made);
}

function shares(artifact) {
  const most = [1, 2].map((i) => Math.max(1e-9, ...artifact.shares.map((entry) => entry[i] ?? 0)));
  const total = [1, 2].map((i) => artifact.shares.reduce((sum, entry) => sum + (entry[i] ?? 0), 0));
  const cell = (entry, i, scale, digits, unit) => (entry[i] === null ? [el("span", { class: "none" }, "none of its own")] : [
    ...bar(entry[i] / scale, most[i - 1] / scale, digits, unit, i === 1 ? "first" : "second"),
    el("small", {}, ` ${(100 * entry[i] / total[i - 1]).toFixed(0)} %`)]);
  const rows = artifact.shares.map((entry) => [[entry[0]], cell(entry, 1, 1e6, 2, " MB"), cell(entry, 2, 1, 1, " ms")]);
  return sheet("Bytes and milliseconds by stage", ["Stage", "Bytes", "Milliseconds"], rows, "barred");
}

function listing(facts) {
  return el("dl", { class: "hashes" }, ...Object.entries(facts).map(([key, value]) =>
    el("div", {}, el("dt", {}, key), el("dd", {}, value))));
}

function gaps(artifact) {
  if (!artifact.gaps.length) return el("p", { class: "note" }, "Everything was measured.");
  return el("ul", { class: "gaps" }, ...artifact.gaps.map(([what, why]) => el("li", {}, el("strong", {}, what), `: ${why}`)));
}

// Fills the panel with artifact number ``index``.
function detail(panel, data, index) {
  const artifact = data.artifacts[index];
  const part = (title, note, ...nodes) => [el("h3", {}, title), ...nodes, ...(note ? [el("p", { class: "note" }, note)] : [])];
  const bundle = artifact.bundle === null ? "" : `, bundle ${artifact.bundle}`;
  const drawn = [el("p", { class: "note" },
    `Recipe ${artifact.recipe}, task ${artifact.task}, measured ${artifact.created.slice(0, 16).replace("T", " ")} UTC${bundle}.`),
  figures(data, index), ...wholePictures(data, index)];
  if (artifact.shares.length) {
    drawn.push(...part("Where bytes and milliseconds go", artifact.shares.some((entry) => entry[2] !== null)
      ? "Milliseconds come from the runtime's own profiler, which slows it down a little: read them as shares." : "", shares(artifact)));
  }
  if (artifact.stages.length) {
    drawn.push(...part("Error by stage and Euler step", "Signal-to-quantization-noise ratio; longer bars are better. "
      + "Free-running: errors add up from stage to stage. Teacher-forced: each stage's own error only.", stages(artifact)));
  }
  if (artifact.layers.length) drawn.push(...part("Error by layer", "", layers(artifact)));
  drawn.push(...part("Not measured, and why", "", gaps(artifact)));
  drawn.push(el("details", {}, el("summary", {}, "Versions and hashes"), listing(artifact.facts)));
  panel.replaceChildren(...drawn);
}
