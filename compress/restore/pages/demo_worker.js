// Restores pictures away from the page's own thread.

import { bytes, externalData, floats, open, runtime } from "./runtime.js";
import { enlarge, planes, restore, roundedUp } from "./tiles.js";

const ready = (async () => {
  const facts = await (await fetch("facts.json")).json();
  // Browsers share memory between threads only on pages of this machine or of https.
  facts.threads = self.crossOriginIsolated ? Math.min(facts.threads, navigator.hardwareConcurrency) : 1;
  const ort = await runtime(facts.threads);
  const session = await open(ort, await bytes("model.onnx"), { externalData: await externalData(facts.external) });
  const run = async (picture, noise) => {
    const given = { lq: picture, image: picture, noise, seed: noise };
    const type = { image: "uint8", seed: "int64" };
    const tensor = (name) => new ort.Tensor(type[name] || "float32", given[name], facts.inputs[name]);
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensor(name)]));
    const { data } = (await session.run(feeds))[session.outputNames[0]];
    return facts.images ? planes(data) : data;
  };
  return { facts, run };
})();

const rgb = ({ data, width, height }) => {
  const out = new Uint8ClampedArray(3 * width * height);
  for (let i = 0, j = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) out[j++] = data[i + c];
  }
  return { data: out, width, height };
};

const rgba = ({ data, width, height }) => {
  const out = new ImageData(width, height);
  for (let i = 0, j = 0; i < data.length; j++) {
    for (let c = 0; c < 3; c++) out.data[4 * j + c] = data[i++];
    out.data[4 * j + 3] = 255;
  }
  return out;
};

self.onmessage = async ({ data: picture }) => {
  try {
    const { facts, run } = await ready;
    const small = rgb(picture), lq = enlarge(small, facts.scale);
    self.postMessage({ before: rgba(lq) });
    const drawn = () => floats(`noise.bin?height=${roundedUp(lq.height)}&width=${roundedUp(lq.width)}`);
    const noise = facts.inputs.seed ? 0 : await drawn();
    const started = performance.now();
    const hq = await restore(facts.images ? small : lq, noise, facts, run, (done, total) => self.postMessage({ done, total }));
    self.postMessage({ after: rgba(hq), seconds: (performance.now() - started) / 1000 });
  } catch (error) {
    self.postMessage({ error: String(error.message || error) });
  }
};

ready.then(({ facts }) => self.postMessage({ ready: facts }), (error) => self.postMessage({ error: String(error.message || error) }));
