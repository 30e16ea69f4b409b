// onnxruntime-web, from the files beside this one; WebAssembly only.

export async function runtime(threads) {
  const ort = await import("./ort.wasm.bundle.min.mjs");
  ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

export const bytes = async (name) => {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
};

export const floats = async (name) => new Float32Array((await bytes(name)).buffer);
export const longs = async (name) => new BigInt64Array((await bytes(name)).buffer);

// Weights that a model keeps in files of their own: {path: its name in the model, url: where it is}.
export const externalData = (files) =>
  Promise.all(files.map(async ({ path, url }) => ({ path, data: await bytes(url) })));

export const open = (ort, model, options = {}) =>
  ort.InferenceSession.create(model, { executionProviders: ["wasm"], ...options });
