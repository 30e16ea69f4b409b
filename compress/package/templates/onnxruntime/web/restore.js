// Restores pictures of any size in a browser. tiles.js enlarges, cuts and blends; this file runs the model on a tile.
// Apache License 2.0, see licences/.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { enlarge, planes, restore, roundedUp } from "./tiles.js";

const LATENT = 8, CHANNELS = 16; // px of the output per sample of the noise, and its channels

// Browsers share memory between threads only on pages that are isolated from other origins.
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

const facts = await (await fetch("../compress.json")).json();
const session = await ort.InferenceSession.create(`../${facts.model}`, { executionProviders: ["wasm"] });
const takesBytes = facts.io === "uint8";

async function run(picture, noise) {
  const given = { lq: picture, image: picture, noise, seed: noise };
  const tensors = facts.inputs.map(({ name, shape, dtype }) => [name, new ort.Tensor(dtype, given[name], shape)]);
  const { data } = (await session.run(Object.fromEntries(tensors)))[facts.outputs[0].name];
  return takesBytes ? planes(data) : data;
}

// Samples of the noise for a picture: 16 channels, one per 8 x 8 px of the output, its sides rounded up to 32 px.
export const noiseSize = ({ width, height }) =>
  CHANNELS * (roundedUp(width * facts.scale) / LATENT) * (roundedUp(height * facts.scale) / LATENT);

// Standard normal, by Box and Muller.
export const drawNoise = (size) =>
  Float32Array.from({ length: size }, () =>
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));

// The seed of a model that holds its noise, else the noise itself.
const anyNoise = (picture) => facts.noise === "seed" ? 0 : drawNoise(noiseSize(picture));

// ImageData -> ImageData. The same noise, or seed, gives the same picture.
export async function restored(picture, noise = anyNoise(picture), onTile = () => {}) {
  const given = takesBytes ? rgb(picture) : enlarge(rgb(picture), facts.scale);
  const { tile, overlap, scale } = facts;
  return rgba(await restore(given, noise, { tile, overlap, scale, images: takesBytes }, run, onTile));
}

function rgb({ data, width, height }) {
  const out = new Uint8ClampedArray(3 * width * height);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) out[3 * i + c] = data[4 * i + c];
  return { data: out, width, height };
}

function rgba({ data, width, height }) {
  const out = new ImageData(width, height);
  out.data.fill(255);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) out.data[4 * i + c] = data[3 * i + c];
  return out;
}
