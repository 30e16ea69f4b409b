// The page of one bundle.
function pictures(root) {
  const samples = [...document.querySelectorAll(".thumbs")].map((thumbs) => ({
    pictures: [...thumbs.querySelectorAll("img")].map((image) => ({
      label: image.dataset.label,
      load: () => image.decode().then(() => image),
    })),
  }));
  const labels = samples[0].pictures.map((picture) => picture.label);
  viewer(root, samples).show([...labels.filter((label) => label.includes("fp32")), "degraded"],
    [...labels.filter((label) => label.includes("int8")), "clean"]);
}

// The showcase's pictures are those of the samples below: embedded once.
function copied(image) {
  const sample = document.querySelectorAll(".thumbs")[image.closest("[data-sample]").dataset.sample];
  const found = [...sample.querySelectorAll("img")].find((one) => one.dataset.label === image.dataset.copy);
  Object.assign(image, { src: found.src, width: found.width, height: found.height });
}

tooltips();
document.querySelectorAll("img[data-copy]").forEach(copied);
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".viewer").forEach(pictures);
