// The page of several bundles: the controls, and what they change.
const data = JSON.parse(byId("data").textContent);
const measures = Object.fromEntries(Object.entries(data.measures).map(([key, measure]) => [key, { key, ...measure }]));
const [device, dataset, x, y, words, only] = ["device", "dataset", "x", "y", "words", "only"].map(byId);
const lines = [...document.querySelectorAll("#rows tbody tr")];
data.rows.forEach((row, i) => {
  Object.assign(row, { of: data.artifacts[row.artifact], text: lines[i].textContent.toLowerCase() });
});
let best = new Set(), pictureViewer = null;

function chosen(row) {
  const group = data.groups[row.group];
  return (!device.value || group.device === device.value) && (!dataset.value || (group.dataset ?? "") === dataset.value)
    && words.value.toLowerCase().split(/\s+/).every((word) => row.text.includes(word));
}

function plots() {
  const focused = document.activeElement?.closest?.(".plots");
  const byGroup = new Map();
  for (const row of data.rows.filter(chosen)) byGroup.set(row.group, [...(byGroup.get(row.group) ?? []), row]);
  const drawn = [...byGroup].sort((a, b) => a[0] - b[0])
    .map(([group, rows]) => plot(data.groups[group], rows, measures[x.value], measures[y.value], open))
    .sort((a, b) => !a.best.length - !b.best.length);  // what has no plot comes last
  best = new Set(drawn.flatMap((one) => one.best.map((row) => row.id)));
  byId("plots").replaceChildren(...(drawn.length ? drawn.map((one) => one.figure)
    : [el("p", { class: "note" }, "No artifact matches these choices.")]));
  if (focused) byId("plots").querySelector(".point")?.focus();
}

function table() {
  let shown = 0;
  for (const line of lines) {
    const row = data.rows[Number(line.dataset.row)], front = best.has(row.id);
    line.hidden = !chosen(row) || (only.checked && !front);
    line.cells[1].textContent = front ? "✓ frontier" : "";
    line.cells[1].dataset.value = front ? "1" : "2";
    shown += line.hidden ? 0 : 1;
  }
  byId("count").textContent = `${shown} of ${lines.length} rows`;
}

function update() { plots(); table(); }

// Shows an artifact; ``moves``: goes there too.
function open(index, moves = true) {
  byId("which").value = index;
  detail(byId("detail"), data, Number(index));
  pictures(Number(index));
  history.replaceState(null, "", `#artifact-${data.artifacts[index].file.slice(0, 12)}`);
  if (!moves) return;
  byId("artifact").scrollIntoView();
  byId("artifact-heading").focus({ preventScroll: true });
}

async function decoded(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  return image;
}

function canvasOf(image) {
  const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { canvas, context, pixels: context.getImageData(0, 0, canvas.width, canvas.height) };
}

// A picture that is stored as its difference from another, modulo 256, is put together again.
async function load({ image, base }) {
  const stored = canvasOf(await decoded(data.images[image]));
  if (base === null) return stored.canvas;
  const under = canvasOf(await decoded(data.images[base])).pixels.data, sum = stored.pixels.data;
  for (let i = 0; i < sum.length; i += 1) if (i % 4 !== 3) sum[i] = (sum[i] + under[i] + 128) % 256;
  stored.context.putImageData(stored.pixels, 0, 0);
  return stored.canvas;
}

const labelOf = (picture) => (picture.artifact === null ? picture.label : data.artifacts[picture.artifact].name);

function pictures(index) {
  const has = data.samples.map((sample) => sample.pictures.some((picture) => picture.artifact === index));
  const here = has.includes(true);
  for (const viewerRoot of document.querySelectorAll(".viewer")) viewerRoot.hidden = !here;
  byId("no-pictures").hidden = here;
  if (!here) return;
  const select = byId("sample");
  [...select.options].forEach((option, i) => { option.hidden = option.disabled = !has[i]; });
  if (!has[select.value]) select.value = has.indexOf(true);
  pictureViewer ??= viewer(document.querySelector(".viewer"), data.samples.map((sample) => ({
    pictures: sample.pictures.map((picture) => ({ label: labelOf(picture), load: () => load(picture) })),
  })));
  pictureViewer.show(["degraded"], [data.artifacts[index].name]);
}

function linked() {
  const start = location.hash.match(/^#artifact-([0-9a-f]+)$/)?.[1];
  return start ? data.artifacts.findIndex((artifact) => artifact.file.startsWith(start)) : -1;
}

tooltips();
sortable(byId("rows").querySelector("table"));
for (const control of [device, dataset, x, y]) control.addEventListener("change", update);
words.addEventListener("input", update);
only.addEventListener("change", table);
byId("which").addEventListener("change", () => open(byId("which").value, false));
byId("rows").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-artifact]");
  if (button) open(Number(button.dataset.artifact));
});
addEventListener("hashchange", () => { if (linked() >= 0) open(linked()); });
addEventListener("resize", plots);
update();
if (data.artifacts.length) open(Math.max(0, linked()), false);
