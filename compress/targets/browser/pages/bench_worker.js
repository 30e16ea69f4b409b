// One worker of bench.js: {kind: "cold"} loads one artifact, runs it once, then on every picture;
// {kind: "warm"} times all artifacts, interleaved.

import { bytes, externalData, floats, longs, open, runtime } from "./runtime.js";

const heaps = [];
const Memory = WebAssembly.Memory;
// WebAssembly's memory only grows: its size afterwards is the most that was needed.
WebAssembly.Memory = class extends Memory {
  constructor(size) { super(size); heaps.push(this); }
};

const count = (shape) => shape.reduce((a, b) => a * b, 1);

async function load(ort, job, artifact) {
  const model = await bytes(artifact.url);
  const options = { ...job.options, externalData: await externalData(artifact.external) };
  const started = performance.now();
  const session = await open(ort, model, options);
  return { session, ms: performance.now() - started };
}

const READ = { uint8: bytes, float32: floats, int64: longs };

async function inputs(ort, job, index) {
  const feeds = {};
  for (const [name, { shape, type }] of Object.entries(job.inputs)) {
    const all = await READ[type](`${name}.bin`);
    feeds[name] = new ort.Tensor(type, all.slice(index * count(shape), (index + 1) * count(shape)), shape);
  }
  return feeds;
}

const run = async (session, feeds) => {
  const own = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]]));
  return (await session.run(own))[session.outputNames[0]];
};

async function cold(ort, job) {
  const [artifact] = job.artifacts;
  const { session, ms } = await load(ort, job, artifact);
  const feeds = await inputs(ort, job, 0);
  const started = performance.now();
  await run(session, feeds);
  const first = performance.now() - started;
  const megabytes = heaps.reduce((sum, heap) => sum + heap.buffer.byteLength, 0) / 2 ** 20;
  for (let i = 0; i < job.pictures; i++) {
    const output = await run(session, await inputs(ort, job, i));
    self.postMessage({ part: `output/${artifact.id}/${i}`, body: output.data.slice().buffer });
  }
  return { load_ms: ms, first_inference_ms: first, wasm_memory_mb: megabytes, version: ort.env.versions.web };
}

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

const timed = async (call) => {
  const started = performance.now();
  await call();
  return performance.now() - started;
};

async function warmUp(call, p) {
  const times = [];
  for (;;) {
    times.push(await timed(call));
    const old = times.slice(-2 * p.window, -p.window), recent = times.slice(-p.window);
    const steady = old.length === p.window && Math.abs(median(recent) / median(old) - 1) <= p.steady;
    if (steady || times.reduce((a, b) => a + b) >= 1000 * p.warmup_s) return times.length;
  }
}

const enough = (samples, p) => {
  const seconds = samples.reduce((a, b) => a + b, 0) / 1000;
  return seconds >= p.max_s || (samples.length >= p.min_runs && seconds >= p.min_s);
};

function shuffled(names, random) {
  const order = [...names];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function generator(seed) {  // mulberry32
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function warm(ort, job) {
  const p = job.protocol, feeds = await inputs(ort, job, 0), calls = {}, results = {};
  for (const artifact of job.artifacts) {
    const { session } = await load(ort, job, artifact);
    calls[artifact.id] = () => run(session, feeds);
  }
  for (const [name, call] of Object.entries(calls)) results[name] = { warmup: await warmUp(call, p), samples: [] };
  await new Promise((done) => setTimeout(done, 1000 * job.cooldown_s));
  const random = generator(job.seed);
  let left = Object.keys(calls);
  while (left.length) {
    for (const name of shuffled(left, random)) {
      await calls[name]();  // finds the caches of the block before: not counted
      for (let i = 0; i < p.block; i++) results[name].samples.push(await timed(calls[name]));
    }
    left = left.filter((name) => !enough(results[name].samples, p));
  }
  return results;
}

self.onmessage = async ({ data: job }) => {
  try {
    const ort = await runtime(job.threads);
    // The runtime's own start is the same for every artifact and no part of loading one.
    await (await open(ort, await bytes("nothing.onnx"))).release();
    self.postMessage({ result: await { cold, warm }[job.kind](ort, job) });
  } catch (error) {
    self.postMessage({ error: `${job.artifacts.map((a) => a.id).join(", ")}: ${error.message || error}` });
  }
};
