// The demo's page: takes a picture, has it restored by demo_worker.js, shows before and after.

const $ = (id) => document.getElementById(id);
const LARGEST = 16e6;  // pixels of the output: what a browser holds without trouble
let facts = null, busy = "", name = "restored";  // busy: the name of the picture that is being restored

const say = (text, wrong = false) => {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
};

// What was not taken, and what to do: an alert, beside the status that the work keeps changing.
const notice = (text) => { $("notice").textContent = text; };

function ready(of) {
  facts = of;
  $("about").textContent = `${facts.name} ${facts.what}: ${facts.artifact}, ${(facts.bytes / 1e6).toFixed(1)} MB, ` +
    `${facts.threads} thread${facts.threads > 1 ? "s" : ""}.`;
  $("sample").hidden = !facts.sample;
  $("file").disabled = false;
  $("drop").classList.remove("waiting");
}

function draw(canvas, image) {
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

async function finish({ after, seconds }) {
  draw($("after"), after);
  $("stage").style.setProperty("--ratio", after.width / after.height);
  $("result").hidden = false;
  divide();
  say(`Restored: ${after.width} x ${after.height} px in ${seconds.toFixed(1)} s.`);
  const blob = await new Promise((done) => $("after").toBlob(done));
  URL.revokeObjectURL($("save").href);
  $("save").href = URL.createObjectURL(blob);
  $("save").download = `${name}_restored.png`;
  rest();
}

function rest() {
  busy = "";
  $("sample").disabled = false;
  $("progress").hidden = true;
}

const worker = new Worker("demo_worker.js", { type: "module" });
worker.onerror = (event) => { rest(); say(event.message || "the model could not be started", true); };
worker.onmessage = ({ data }) => {
  if (data.ready) ready(data.ready);
  if (data.before) draw($("before"), data.before);
  if (data.total) {
    [$("progress").value, $("progress").max] = [data.done, data.total];
    say(`Restoring: ${data.done} of ${data.total} tiles.`);
  }
  if (data.after) finish(data);
  if (data.error) { rest(); say(data.error, true); }
};

async function pixels(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name || "that"}: no picture that this browser reads: choose a PNG, JPEG or WebP`);
  }
  const { width, height } = bitmap, out = width * height * facts.scale ** 2;
  if (out > LARGEST) {
    throw new Error(`${width} x ${height} px would give ${(out / 1e6).toFixed(0)} megapixels, at most ${LARGEST / 1e6} ` +
      "are shown here: cut it, or use compress restore");
  }
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

function refusal(file) {
  if (!facts) return `${file.name || "The picture"} was not taken: the model is still being loaded. Give it again in a moment.`;
  return busy && `${file.name || "The picture"} was not taken: ${busy} is being restored. Give it again when that is done.`;
}

async function take([file, ...others]) {
  if (!file) return;
  const refused = refusal(file);
  notice(refused || (others.length ? `${file.name} was taken, ${others.length} more not: give one picture at a time.` : ""));
  if (refused) return;
  busy = file.name || "a picture";
  $("sample").disabled = true;
  try {
    name = (file.name || "picture").replace(/\.[^.]*$/, "");
    const picture = await pixels(file);
    $("result").hidden = true;
    $("progress").hidden = false;
    $("progress").removeAttribute("value");
    say(`Restoring ${picture.width} x ${picture.height} px.`);
    worker.postMessage({ data: picture.data, width: picture.width, height: picture.height });
  } catch (error) {
    rest();
    say(error.message, true);
  }
}

async function sample() {
  const answer = await fetch("sample.png");
  take([new File([await answer.blob()], `${facts.sample}.png`)]);
}

// The divider stands over the middle of the handle, whatever part of the picture is in view.
function divide() {
  const frame = $("frame"), share = Number($("divider").value) / 100;
  const at = frame.scrollLeft + share * frame.clientWidth;
  $("rail").style.width = `${frame.clientWidth}px`;
  $("after").style.clipPath = `inset(0 0 0 ${at}px)`;
  $("line").style.left = `${at - 1}px`;
  $("line").style.height = `${$("before").clientHeight}px`;
  $("divider").setAttribute("aria-valuetext", `${Math.round(100 * share)} % before`);
}

function drag(event) {
  if (!event.buttons) return;
  const box = $("frame").getBoundingClientRect();
  $("divider").value = (100 * (event.clientX - box.left)) / $("frame").clientWidth;
  divide();
}

$("drop").classList.add("waiting");
$("file").addEventListener("change", () => { take([...$("file").files]); $("file").value = ""; });
$("sample").addEventListener("click", sample);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
$("divider").addEventListener("input", divide);
$("actual").addEventListener("change", () => { $("stage").classList.toggle("actual", $("actual").checked); divide(); });
addEventListener("resize", divide);
$("frame").addEventListener("scroll", divide, { passive: true });
for (const kind of ["pointerdown", "pointermove"]) $("frame").addEventListener(kind, drag);
