// Measures artifacts as job.json says; sends every result back. Each artifact is loaded in a worker of its own,
// then all are timed in one, interleaved: the protocol of compress/measure/latency.py.

const post = (name, body) => fetch(name, { method: "POST", body });
const tell = (text) => post("note", JSON.stringify(text));

function inWorker(work, onPart) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("bench_worker.js", { type: "module" });
    const end = (settle, value) => { worker.terminate(); settle(value); };
    worker.onerror = (event) => end(reject, new Error(event.message || "a worker could not start"));
    worker.onmessage = async ({ data }) => {
      if (data.part) await onPart(data);
      else if (data.error) end(reject, new Error(data.error));
      else end(resolve, data.result);
    };
    worker.postMessage(work);
  });
}

async function main() {
  const job = await (await fetch("job.json")).json();
  if (!self.crossOriginIsolated) throw new Error("the page has no shared memory, so no threads: use a newer browser");
  const result = { browser: navigator.userAgent, cold: {}, warm: null };
  const sent = [];
  for (const artifact of job.artifacts) {
    await tell(`load ${artifact.id}`);
    result.cold[artifact.id] = await inWorker({ ...job, artifacts: [artifact], kind: "cold" }, ({ part, body }) => {
      sent.push(post(part, body));
    });
  }
  await Promise.all(sent);
  await tell(`${job.protocol.name}, interleaved`);
  result.warm = await inWorker({ ...job, kind: "warm" });
  await post("result", JSON.stringify(result));
  await post("done", "");
}

main().catch((error) => post("failed", JSON.stringify(String(error.message || error))));
