"use strict";
const byId = (id) => document.getElementById(id);

// Tooltips of the plots: hover, focus or tap.
function tooltips() {
  const tip = byId("tip");
  const hide = () => { tip.hidden = true; };
  const show = (point) => {
    const box = point.getBoundingClientRect();
    tip.textContent = point.dataset.tip;
    tip.hidden = false;
    const left = Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  };
  for (const point of document.querySelectorAll(".point")) {
    for (const name of ["pointerenter", "focus", "click"]) point.addEventListener(name, () => show(point));
    for (const name of ["pointerleave", "blur"]) point.addEventListener(name, hide);
  }
  addEventListener("scroll", hide, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}

// Sortable tables: each heading becomes a button.
function sortable(table) {
  const body = table.tBodies[0];
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim();
    return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true }));
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      body.append(...[...body.rows].sort((a, b) => sign * compare(key(a, column), key(b, column))));
    });
  });
}

// The pictures: two of one sample on one canvas, either side by side at the divider, or their difference.
function viewer(root) {
  const canvas = byId("canvas"), pane = root.querySelector(".pane"), context = canvas.getContext("2d");
  const [sample, left, right, mode, zoom, split] =
    ["sample", "left", "right", "mode", "zoom", "split"].map(byId);
  const pictures = () => [...document.querySelectorAll(`[data-sample="${sample.value}"] img`)];
  let told = null;
  const picture = (select) => pictures().find((image) => image.dataset.label === select.value);

  function choices() {
    const labels = pictures().map((image) => image.dataset.label);
    const wanted = [
      [left, [left.value, ...labels.filter((label) => label.includes("fp32")), "degraded"]],
      [right, [right.value, ...labels.filter((label) => label.includes("int8")), "clean"]],
    ];
    for (const [select, preferred] of wanted) {
      select.replaceChildren(...labels.map((label) => new Option(label, label)));
      select.value = preferred.find((label) => labels.includes(label)) ?? labels[0];
    }
  }

  function pixels(image) {
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  function compared(a, b, gain) {
    const out = new ImageData(a.width, a.height);
    let total = 0, squared = 0, largest = 0;
    for (let i = 0; i < a.data.length; i += 1) {
      if (i % 4 === 3) { out.data[i] = 255; continue; }
      const gap = Math.abs(a.data[i] - b.data[i]);
      out.data[i] = gap * gain;
      total += gap; squared += gap * gap; largest = Math.max(largest, gap);
    }
    const n = a.data.length * 3 / 4;
    return { out, mean: total / n, largest, psnr: 10 * Math.log10(255 * 255 * n / squared) };
  }

  function draw() {
    const a = picture(left), b = picture(right), gain = Number(mode.value);
    if (!a?.naturalWidth || !b?.naturalWidth) return;
    const size = pictures().at(-1);
    if (canvas.width !== size.naturalWidth || canvas.height !== size.naturalHeight) {
      canvas.width = size.naturalWidth;
      canvas.height = size.naturalHeight;
    }
    const share = pane.clientWidth / Math.max(1, canvas.clientWidth);
    const from = pane.scrollLeft / Math.max(1, canvas.clientWidth);
    const edge = Math.round(canvas.width * (from + share * split.value / 100));
    if (told?.a !== a || told.b !== b || told.gain !== gain) told = { a, b, gain, ...compared(pixels(a), pixels(b), gain) };
    if (gain) {
      context.putImageData(told.out, 0, 0);
    } else {
      context.drawImage(a, 0, 0, canvas.width, canvas.height);
      context.save();
      context.beginPath();
      context.rect(edge, 0, canvas.width - edge, canvas.height);
      context.clip();
      context.drawImage(b, 0, 0, canvas.width, canvas.height);
      context.restore();
    }
    labels(gain);
  }

  function labels(gain) {
    for (const id of ["divider", "tag-right"]) byId(id).hidden = gain > 0;
    split.disabled = gain > 0;
    byId("divider").style.left = `${split.value}%`;
    byId("tag-left").textContent = gain ? `|${left.value} − ${right.value}| × ${gain}` : left.value;
    byId("tag-right").textContent = right.value;
    canvas.setAttribute("aria-label", gain
      ? `Difference of ${left.value} and ${right.value}, ${gain} times enlarged`
      : `${left.value} on the left ${split.value} %, ${right.value} on the right`);
    const figures = told.largest === 0 ? "the two are equal"
      : `PSNR ${told.psnr.toFixed(1)} dB, mean difference ${told.mean.toFixed(2)}, largest ${told.largest} of 255`;
    byId("measure").textContent = root.dataset.lossless === "yes"
      ? `${left.value} against ${right.value}, this picture: ${figures}.` : "";
  }

  function drag(event) {
    if (!event.buttons || Number(mode.value)) return;
    const box = pane.getBoundingClientRect();
    split.value = 100 * (event.clientX - box.left) / pane.clientWidth;
    draw();
  }

  root.hidden = false;
  choices();
  sample.addEventListener("change", () => { choices(); draw(); });
  for (const select of [left, right, mode]) select.addEventListener("change", draw);
  zoom.addEventListener("change", () => {
    const centre = [pane.scrollLeft + pane.clientWidth / 2, pane.scrollTop + pane.clientHeight / 2];
    const before = canvas.clientWidth;
    canvas.style.width = `${100 * zoom.value}%`;
    const grown = canvas.clientWidth / before;
    pane.scrollTo(centre[0] * grown - pane.clientWidth / 2, centre[1] * grown - pane.clientHeight / 2);
    draw();
  });
  split.addEventListener("input", draw);
  pane.addEventListener("scroll", draw, { passive: true });
  canvas.addEventListener("pointerdown", drag);
  canvas.addEventListener("pointermove", drag);
  addEventListener("resize", draw);
  Promise.all([...document.querySelectorAll(".thumbs img")].map((image) => image.decode().catch(() => null))).then(draw);
}

tooltips();
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".viewer").forEach(viewer);
