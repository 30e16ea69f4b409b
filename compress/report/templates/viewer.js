// The pictures: two of one sample on one canvas, either side by side at the divider, or their difference.
// samples: [{pictures: [{label, load}]}]; load gives a promise of what a canvas can draw.
function viewer(root, samples) {
  const canvas = byId("canvas"), pane = root.querySelector(".pane");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [sample, left, right, mode, zoom, split] =
    ["sample", "left", "right", "mode", "zoom", "split"].map(byId);
  const pictures = () => samples[sample.value].pictures;
  const loaded = new Map();
  let difference = null, shown = null;

  function choices(wanted) {
    const labels = pictures().map((picture) => picture.label);
    for (const [select, preferred] of [[left, wanted[0]], [right, wanted[1]]]) {
      const before = select.value;
      select.replaceChildren(...labels.map((label) => new Option(label, label)));
      select.value = [...preferred, before].find((label) => labels.includes(label)) ?? labels[0];
    }
  }

  async function source(select) {
    const picture = pictures().find((one) => one.label === select.value);
    if (!loaded.has(picture)) loaded.set(picture, await picture.load());
    return loaded.get(picture);
  }

  // Loads what is chosen, then draws it, unless something else was chosen meanwhile.
  async function refresh() {
    const wanted = [sample, left, right].map((select) => select.value).join("\n");
    const both = await Promise.all([source(left), source(right)]);
    if (wanted !== [sample, left, right].map((select) => select.value).join("\n")) return;
    shown = both;
    draw();
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
    if (!shown) return;
    const [a, b] = shown, gain = Number(mode.value);
    const width = Math.max(...shown.map((image) => image.naturalWidth ?? image.width));
    const height = Math.max(...shown.map((image) => image.naturalHeight ?? image.height));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const share = pane.clientWidth / Math.max(1, canvas.clientWidth);
    const from = pane.scrollLeft / Math.max(1, canvas.clientWidth);
    const edge = Math.round(canvas.width * (from + share * split.value / 100));
    if (difference?.a !== a || difference.b !== b || difference.gain !== gain) difference = { a, b, gain, ...compared(pixels(a), pixels(b), gain) };
    if (gain) {
      context.putImageData(difference.out, 0, 0);
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
      ? `Difference between ${left.value} and ${right.value}, amplified ${gain} times`
      : `${left.value} on the left ${split.value} %, ${right.value} on the right`);
    const figures = difference.largest === 0 ? "the two pictures are equal"
      : `PSNR ${difference.psnr.toFixed(1)} dB, mean difference ${difference.mean.toFixed(2)}, largest ${difference.largest} of 255`;
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
  sample.addEventListener("change", () => { choices([[left.value], [right.value]]); refresh(); });
  for (const select of [left, right]) select.addEventListener("change", refresh);
  mode.addEventListener("change", draw);
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
  return {
    // Takes, of each side's labels, the first that the sample has.
    show(lefts, rights) {
      choices([lefts, rights]);
      return refresh();
    },
  };
}
