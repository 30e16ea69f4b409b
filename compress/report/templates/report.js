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

tooltips();
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".viewer").forEach(pictures);
