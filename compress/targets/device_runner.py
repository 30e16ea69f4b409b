"""Measures artifacts on the device that it was sent to. One file: Python 3.8, numpy and the runtime are all it needs.

    python3 device_runner.py VERB FOLDER [...]

``start`` (the job, JSON, on stdin) begins a worker that outlives the connection: it holds the device's lock, waits for
the files, checks their hashes, measures and writes ``result.json``. ``put NAME OFFSET`` (bytes on stdin) delivers a
file, or the rest of one. ``status SECONDS SEEN`` waits for news, ``result`` prints the result, ``remove`` ends the
worker and deletes the folder. Each verb prints one JSON document. ``work``, ``version``, ``cold`` and ``warm`` are the
worker and its own children; ``count`` is for emulators. Errors: ``{"error": {"message", "exit_code"}}``.
"""

import sys

if __name__ == "__main__":
    # Python puts the script's folder and, by an empty entry of PYTHONPATH, the current one in front of the standard
    # library: a numpy.py there would be executed. -I is no way out: it hides packages that only this user has.
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    import os

    sys.path[:] = [path for path in sys.path if os.path.isabs(path) and path != os.getcwd()]

import contextlib
import fcntl
import functools
import gc
import glob
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

Job = Dict[str, Any]

UNAVAILABLE, DAMAGED = 4, 5
SYS, PROC = "/sys", "/proc"
BLOCK, STEADY, WINDOW = 5, 0.02, 3  # as compress.measure.latency
START_S, LOAD_S, TICK_S, CHUNK = 180, 900, 0.3, 1 << 20
FINAL = ("done", "failed")


class Failed(Exception):
    """What ends a job, in one line, with the exit code that it gives compress."""

    def __init__(self, message: str, exit_code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


# --- files and state ------------------------------------------------------------------------------------------


def read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path: str, value: Any) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def read_state(folder: str) -> Dict[str, Any]:
    """{state: starting, receiving, measuring, done, failed; seq, note, error}."""
    with contextlib.suppress(OSError):
        state = read_json(os.path.join(folder, "state.json"))
        if state["state"] in FINAL or is_locked(os.path.join(folder, "alive")):
            return state
        # It may have ended between the two looks.
        state = read_json(os.path.join(folder, "state.json"))
        if state["state"] not in FINAL:
            last = (read_text(os.path.join(folder, "worker.err")).splitlines() or ["killed; short of memory?"])[-1]
            error = {"message": f"the runner ended there ({last}): try again", "exit_code": UNAVAILABLE}
            state.update(state="failed", error=error, seq=state["seq"] + 1)
        return state
    return {"state": "none", "seq": 0}


def tell(folder: str, state: str, note: str = "", error: Optional[Dict[str, Any]] = None) -> None:
    seq = int(time.monotonic() * 1e6)
    write_json(os.path.join(folder, "state.json"), {"state": state, "seq": seq, "note": note, "error": error})


def listed(job: Job) -> List[Dict[str, Any]]:
    native = (job.get("native") or {}).get("files", [])
    return [job["inputs"]] + native + [file for item in job["artifacts"].values() for file in item["files"]]


def received(folder: str, job: Job) -> Dict[str, int]:
    """Bytes that have arrived of every file."""
    paths = {file["name"]: os.path.join(folder, file["name"]) for file in listed(job)}
    return {name: os.path.getsize(path) if os.path.exists(path) else 0 for name, path in paths.items()}


def check_hashes(folder: str, job: Job) -> None:
    for file in listed(job):
        digest = hashlib.sha256()
        with open(os.path.join(folder, file["name"]), "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
        if digest.hexdigest() != file["sha256"]:
            raise Failed(file["name"] + " arrived changed: its hash differs from the manifest's", DAMAGED)


# --- locks ----------------------------------------------------------------------------------------------------


def open_lock(path: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)  # another user's: /tmp may refuse O_CREAT on it
    except FileNotFoundError:
        old = os.umask(0)
        try:
            return os.open(path, flags | os.O_CREAT, 0o666)
        finally:
            os.umask(old)


def is_locked(path: str) -> bool:
    handle = open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def lock_handle(path: str, wait: bool) -> int:
    """Of the locked file that now has this name: its last holder deletes it."""
    while True:
        handle = open_lock(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            who = os.read(handle, 200).decode("utf-8", "replace").strip() or "by another job"
            os.close(handle)
            raise Failed(f"is in use ({who}, lock {path}): try again when that is done") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


@contextlib.contextmanager
def lock(path: str, holder: str, wait: bool = False) -> Iterator[None]:
    """Hold ``path`` while this process lives. Raises Failed when another one does and ``wait`` is not set."""
    try:
        handle = lock_handle(path, wait)
    except OSError as error:
        raise Failed(f"lock {path} cannot be opened there ({error}): give another in the target's ssh.lock") from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, holder.encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.unlink(path)
        os.close(handle)


# --- runtimes -------------------------------------------------------------------------------------------------


LEVELS = {"all": "ENABLE_ALL", "extended": "ENABLE_EXTENDED", "basic": "ENABLE_BASIC", "disable": "DISABLE_ALL"}


class Onnx:
    """ONNX Runtime, sequential."""

    def __init__(self, path: str, job: Job) -> None:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = job["threads"], 1
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        settings.log_severity_level = 3
        options = dict(job["options"])
        level = options.pop("graph_optimization_level", "all")
        settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, "ORT_" + LEVELS[level])
        for key, value in options.items():
            settings.add_session_config_entry(key, str(int(value) if isinstance(value, bool) else value))
        self.session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.names = [port.name for port in self.session.get_inputs()]
        self.facts = {"threads": job["threads"], "graph_optimization_level": level, **options}

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.session.run(None, {name: inputs[name] for name in self.names})[0]


@functools.lru_cache(maxsize=None)
def openvino_core() -> Any:
    """One for all artifacts: a Core that ends before an older one leaves the thread an unmapped stack for signals."""
    import openvino as ov

    return ov.Core()


class OpenVino:
    """OpenVINO, one stream, on the CPU, GPU or NPU."""

    def __init__(self, path: str, job: Job) -> None:
        core, device = openvino_core(), job["device"]
        if not any(name.split(".")[0] == device for name in core.available_devices):
            found = ", ".join(core.available_devices) or "none"
            raise Failed(f"OpenVINO finds no {device} there (it finds: {found}): install the device's driver")
        settings: Dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "CPU":
            settings.update(INFERENCE_NUM_THREADS=job["threads"], NUM_STREAMS=1, INFERENCE_PRECISION_HINT="f32")
        else:  # an NPU's compiler takes seconds to minutes: once
            settings["CACHE_DIR"] = os.path.join(job["folder"], "compiled")
        settings.update(job["options"])
        model = core.read_model(path)
        self.names = [port.any_name for port in model.inputs]
        self.request = core.compile_model(model, device, settings).create_infer_request()
        self.facts = {"device": device, **settings}

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.request.infer({name: inputs[name] for name in self.names}, share_inputs=True)[0]


class ExecuTorch:
    """ExecuTorch's Python runtime, on the kernels that its wheel links."""

    def __init__(self, path: str, job: Job) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        importlib.import_module("executorch.kernels.quantized")
        if portable_lib._threadpool_get_thread_count() != job["threads"]:
            portable_lib._unsafe_reset_threadpool(job["threads"])
        self.program = Runtime.get().load_program(path)
        self.method = self.program.load_method("forward")
        self.names = ["lq", "noise"][: self.method.metadata.num_inputs()]
        self.tensor = torch.from_numpy
        self.facts = {"threads": portable_lib._threadpool_get_thread_count()}

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.method.execute([self.tensor(inputs[name]) for name in self.names])[0].numpy()


class ExecuTorchNative:
    """ExecuTorch's own program, sent with the job: needs no torch. Inputs and outputs go through files."""

    def __init__(self, path: str, job: Job) -> None:
        program, pipe = os.path.join(job["folder"], "native", "et_runner"), subprocess.PIPE
        os.chmod(program, 0o700)
        command = [program, path, str(job["threads"])]
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, universal_newlines=True)
        self.files = tempfile.mkdtemp(dir=job["folder"])
        self.given: Optional[Dict[str, Any]] = None
        self.facts = {"threads": int(self._answer()), "runner": "native"}
        self.pid = self.process.pid

    def _answer(self) -> str:
        assert self.process.stdout is not None
        kind, _, text = self.process.stdout.readline().strip().partition(" ")
        if kind != "ok":
            raise Failed("ExecuTorch's native runner ended there ({})".format(text or f"{self.process.wait()}"))
        return text

    def _tell(self, command: str) -> str:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: the answer tells
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        return self._answer()

    def infer(self, inputs: Dict[str, Any]) -> None:
        """One inference; inputs that it has already are not read again."""
        if inputs is not self.given:
            paths = [os.path.join(self.files, name) for name in inputs]
            for path, values in zip(paths, inputs.values()):
                values.tofile(path)
            self._tell("in " + " ".join(paths))
            self.given, self.shape = inputs, inputs["lq"].shape
        self._tell("run")

    def run(self, inputs: Dict[str, Any]) -> Any:
        import numpy as np

        self.infer(inputs)
        path = os.path.join(self.files, "hq")
        self._tell("out " + path)
        return np.fromfile(path, np.float32).reshape(self.shape)


class Cuda:
    """What TensorRT needs of CUDA's runtime library, which every JetPack has."""

    TO_DEVICE, TO_HOST = 1, 2
    PLACES = ("/usr/local/cuda*/lib64/libcudart.so*", "/usr/lib/*-linux-gnu/libcudart.so*")

    def __init__(self) -> None:
        import ctypes
        from ctypes.util import find_library

        found = [find_library("cudart"), *(path for place in self.PLACES for path in sorted(glob.glob(place)))]
        name = next((path for path in found if path), None)
        if name is None:
            raise Failed("CUDA's runtime (libcudart.so) is not found there: install JetPack's CUDA")
        self.library, self.pointer = ctypes.CDLL(name), ctypes.c_void_p
        self.reference = ctypes.byref
        self.stream = self.pointer()
        self.call("cudaStreamCreate", self.reference(self.stream))

    def call(self, name: str, *arguments: Any) -> None:
        code = getattr(self.library, name)(*arguments)
        if code == 2:
            raise Failed("out of memory on the GPU there: use a smaller picture")
        if code:
            raise Failed(f"CUDA's {name} failed there with error {code}")

    def allocate(self, size: int) -> Any:
        import ctypes

        place = self.pointer()
        self.call("cudaMalloc", self.reference(place), ctypes.c_size_t(size))
        return place

    def copy(self, to: Any, source: Any, size: int, kind: int) -> None:
        import ctypes

        self.call("cudaMemcpyAsync", to, source, ctypes.c_size_t(size), kind, self.stream)

    def wait(self) -> None:
        self.call("cudaStreamSynchronize", self.stream)


class TensorRt:
    """TensorRT, by its Python package: the engine is built on the device that runs it, from our ONNX file.

    A run copies the inputs to the GPU and the output back. The engine lies beside the ONNX file, the timing cache in
    the job's folder: what one artifact's layers took to choose, the next one's need not measure again.
    """

    TIMINGS = "timing.cache"

    def __init__(self, path: str, job: Job) -> None:
        import numpy as np
        import tensorrt as trt

        facts = self.prepare(path, job)
        self.cuda = Cuda()
        self.runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        with open(path + ".engine", "rb") as file:
            self.engine = self.runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            raise Failed("TensorRT cannot load the engine that it built there: out of memory?")
        self.context = self.engine.create_execution_context()
        self.arrays: Dict[str, Any] = {}
        self.places: Dict[str, Any] = {}
        self.inputs: List[str] = []
        for i in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(i)
            shape, kind = tuple(self.engine.get_tensor_shape(name)), trt.nptype(self.engine.get_tensor_dtype(name))
            self.arrays[name] = np.empty(shape, kind)
            self.places[name] = self.cuda.allocate(self.arrays[name].nbytes)
            self.context.set_tensor_address(name, self.places[name].value)
            if self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self.inputs.append(name)
        (self.output,) = [name for name in self.arrays if name not in self.inputs]
        self.facts = facts

    def run(self, inputs: Dict[str, Any]) -> Any:
        import numpy as np

        for name in self.inputs:
            np.copyto(self.arrays[name], inputs[name])
            self._copy(name, Cuda.TO_DEVICE)
        if not self.context.execute_async_v3(self.cuda.stream.value):
            raise Failed("TensorRT's inference failed there")
        self._copy(self.output, Cuda.TO_HOST)
        self.cuda.wait()
        return self.arrays[self.output].astype(np.float32)

    def _copy(self, name: str, kind: int) -> None:
        array, place = self.arrays[name], self.places[name]
        address = self.cuda.pointer(array.ctypes.data)
        to, source = (place, address) if kind == Cuda.TO_DEVICE else (address, place)
        self.cuda.copy(to, source, array.nbytes, kind)

    @classmethod
    def prepare(cls, path: str, job: Job) -> Dict[str, Any]:
        """Build the engine unless it is there; what was built."""
        if not os.path.exists(path + ".engine.json"):
            started = time.perf_counter()
            plan, flags = cls.build(path, job)
            with open(path + ".engine", "wb") as file:
                file.write(plan)
            facts = {"flags": flags, "engine_bytes": len(plan), "build_s": round(time.perf_counter() - started, 2)}
            write_json(path + ".engine.json", facts)
        facts = read_json(path + ".engine.json")
        return dict(facts)

    @classmethod
    def build(cls, path: str, job: Job) -> Tuple[bytes, List[str]]:
        """(engine, builder flags). Q/DQ tell what is int8; float layers of an int8 file may run in fp16."""
        import tensorrt as trt

        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        precision = next(item["precision"] for item in job["artifacts"].values() if path.endswith(item["entry"]))
        wanted = {"fp32": [], "fp16": ["FP16"], "int8": ["INT8", "FP16"]}[precision]
        flags = [flag for flag in wanted if hasattr(trt.BuilderFlag, flag)]
        # Without these flags (newer releases) the file's own types are taken as they are.
        strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None) if flags != wanted else None
        network = builder.create_network(0 if strongly is None else 1 << int(strongly))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(path):
            why = " ".join(str(parser.get_error(0)).split())[:300] if parser.num_errors else "no message"
            raise Failed("TensorRT there refuses the ONNX file: " + why)
        config = builder.create_builder_config()
        for flag in flags if strongly is None else []:
            config.set_flag(getattr(trt.BuilderFlag, flag))
        if hasattr(trt.BuilderFlag, "TF32"):
            config.clear_flag(trt.BuilderFlag.TF32)
        if job["memory_mb"]:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job["memory_mb"] << 19)
        cache_path = os.path.join(job["folder"], cls.TIMINGS)
        cache = None
        if hasattr(config, "create_timing_cache"):
            stored = b""
            if os.path.exists(cache_path):
                with open(cache_path, "rb") as file:
                    stored = file.read()
            cache = config.create_timing_cache(stored)
            config.set_timing_cache(cache, False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise Failed("TensorRT cannot build the engine there: short of memory, or a layer it does not run")
        if cache is not None:
            with open(cache_path, "wb") as file:
                file.write(bytes(config.get_timing_cache().serialize()))
        return bytes(plan), flags if strongly is None else ["STRONGLY_TYPED"]


RUNTIMES: Dict[str, Any] = {
    "onnxruntime": Onnx,
    "openvino": OpenVino,
    "executorch": ExecuTorch,
    "tensorrt": TensorRt,
}


def version(job: Job) -> str:
    """Of the installed package, which it imports, or of the native runner that was sent."""
    from importlib import metadata

    runtime: str = job["runtime"]
    importlib.import_module("numpy")
    if job.get("native"):
        return str(job["native"]["version"])
    importlib.import_module("executorch.runtime" if runtime == "executorch" else runtime)
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(runtime)
    return str(getattr(sys.modules[runtime], "__version__", "unknown"))


def numbers(text: str) -> Tuple[int, ...]:
    """ "1.18.0rc1" -> (1, 18, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", text)[0]))


# --- facts and samples ----------------------------------------------------------------------------------------


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip().strip("\0")
    except OSError:
        return ""


def values(pattern: str, unit: float) -> List[float]:
    texts = [read_text(path) for path in sorted(glob.glob(SYS + pattern))]
    return [int(text) / unit for text in texts if re.match(r"-?\d+$", text)]


def cores() -> int:
    usable = len(os.sched_getaffinity(0))
    pairs = re.findall(r"physical id\s*:\s*(\d+).*?core id\s*:\s*(\d+)", read_text(PROC + "/cpuinfo"), re.DOTALL)
    return max(1, min(len(set(pairs)) or usable, usable))


def machine() -> Dict[str, Any]:
    """The device, as ``machine`` of results.json has it, and ``model``, the name that it gives itself."""
    info = read_text(PROC + "/cpuinfo")

    def field(name: str, text: str = info) -> str:
        match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
        return match.group(1).strip() if match else ""

    model = read_text(PROC + "/device-tree/model") or read_text(SYS + "/devices/virtual/dmi/id/product_name")
    total = field("MemTotal", read_text(PROC + "/meminfo"))
    return {
        "cpu": field("model name") or model or platform.machine(),
        "model": model or None,
        "cores": cores(),
        "logical_cores": len(os.sched_getaffinity(0)),
        "features": (field("flags") or field("Features")).split(),
        "memory_gb": round(int(total.split()[0]) / 2**20, 1) if total else None,
        "load_average": round(os.getloadavg()[0], 2),
        "governor": read_text(SYS + "/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "os": platform.platform(),
        "python": platform.python_version(),
    }


COMMANDS = {
    "nvpmodel": ["nvpmodel", "-q"],
    "jetson_clocks": ["jetson_clocks", "--show"],
    "get_throttled": ["vcgencmd", "get_throttled"],
}
PATHS = {
    "governor": "/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "platform_profile": "/firmware/acpi/platform_profile",
}


def recorded(names: List[str]) -> Dict[str, Optional[str]]:
    """Power and clock settings by name; None for what the system does not tell."""
    found: Dict[str, Optional[str]] = {}
    for name in names:
        text = read_text(SYS + PATHS[name]) if name in PATHS else ""
        if name in COMMANDS and shutil.which(COMMANDS[name][0]):
            done = subprocess.run(COMMANDS[name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
            text = " ".join(done.stdout.decode("utf-8", "replace").split()) if done.returncode == 0 else ""
        found[name] = text or None
    return found


class Sampler:
    """Clock, temperature and power while something runs: hwmon, thermal zones, powercap (RAPL), tegrastats."""

    def __init__(self) -> None:
        self.series: Dict[str, List[float]] = {"clock_mhz": [], "temperature_c": [], "power_w": []}
        self.sources: Dict[str, str] = {}
        self.energy: Optional[Tuple[float, float]] = None
        self.tegra: Optional[subprocess.Popen[str]] = None
        if shutil.which("tegrastats"):
            pipe = subprocess.PIPE
            self.tegra = subprocess.Popen(["tegrastats", "--interval", "1000"], stdout=pipe, universal_newlines=True)
            threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> None:
        """One sample of each."""
        clocks = values("/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq", 1e3)
        self._add("clock_mhz", max(clocks, default=None), "cpufreq")
        heat = values("/class/thermal/thermal_zone*/temp", 1e3) or values("/class/hwmon/hwmon*/temp*_input", 1e3)
        self._add("temperature_c", max(heat, default=None), "thermal zones, the hottest")
        self._energy()
        if self.tegra is None and self.energy is None:
            watts = values("/class/hwmon/hwmon*/power*_input", 1e6)
            self._add("power_w", sum(watts) if watts else None, "hwmon, all sensors")

    def _energy(self) -> None:
        packages = values("/class/powercap/intel-rapl:[0-9]/energy_uj", 1e6)
        now = time.monotonic()
        if packages and self.energy and sum(packages) >= self.energy[1] and now > self.energy[0]:
            watts = (sum(packages) - self.energy[1]) / (now - self.energy[0])
            self._add("power_w", watts, "RAPL, all packages")
        self.energy = (now, sum(packages)) if packages else None

    def _listen(self) -> None:
        assert self.tegra is not None and self.tegra.stdout is not None
        for line in self.tegra.stdout:
            self.tegra_line(line)

    def tegra_line(self, line: str) -> None:
        """``... cpu@45.5C ... VDD_IN 4940mW/4940mW ...``: the board's input rail, or the sum of the rails."""
        rails = re.findall(r"(V\w+) (\d+)(?:mW)?/\d+", line)
        whole = [float(value) for name, value in rails if name in ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN", "VIN")]
        watts = whole or [float(value) for _, value in rails]
        self._add("power_w", sum(watts) / 1000 if watts else None, "tegrastats" + (", input rail" if whole else ""))
        heat = [float(value) for value in re.findall(r"\w+@(\d+(?:\.\d+)?)C", line)]
        self._add("temperature_c", max(heat, default=None), "tegrastats, the hottest")

    def _add(self, name: str, value: Optional[float], source: str) -> None:
        if value is not None:
            self.series[name].append(value)
            self.sources[name] = source

    def stop(self) -> Dict[str, Any]:
        """{min, median, max, n, source} of each; None for what the system does not offer."""
        if self.tegra is not None:
            self.tegra.kill()
            self.tegra.wait()
        return {name: self._summary(name) for name in self.series}

    def _summary(self, name: str) -> Optional[Dict[str, Any]]:
        series = list(self.series[name])
        if not series:
            return None
        spread = {"min": min(series), "median": statistics.median(series), "max": max(series)}
        return {**{k: round(v, 2) for k, v in spread.items()}, "n": len(series), "source": self.sources[name]}


# --- measuring ------------------------------------------------------------------------------------------------


def timed(run: Callable[[], Any], clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """One run, ms."""
    started = clock()
    run()
    elapsed = clock() - started
    if elapsed <= 0:
        raise Failed("the clock there stood still or went backwards: nothing that it timed is used")
    return elapsed / 1e6


def warm_up(run: Callable[[], Any], limit_s: float) -> int:
    times: List[float] = []
    while True:
        times.append(timed(run))
        old, new = times[-2 * WINDOW : -WINDOW], times[-WINDOW:]
        steady = len(old) == WINDOW and abs(statistics.median(new) / statistics.median(old) - 1) <= STEADY
        if steady or sum(times) >= 1000 * limit_s:
            return len(times)


def interleaved(runs: Dict[str, Callable[[], Any]], protocol: Dict[str, float], seed: int) -> Dict[str, Any]:
    """Samples (ms) and warm-up runs by name: blocks of each in random order until the protocol is satisfied."""
    import numpy as np

    gc.disable()
    warmup = {name: warm_up(run, protocol["warmup_s"]) for name, run in runs.items()}
    samples: Dict[str, List[float]] = {name: [] for name in runs}
    rng, unfinished = np.random.default_rng(seed), list(runs)
    while unfinished:
        for i in rng.permutation(len(unfinished)):
            run = runs[unfinished[i]]
            run()
            samples[unfinished[i]] += [timed(run) for _ in range(BLOCK)]
        unfinished = [name for name in unfinished if not enough(samples[name], protocol)]
    return {name: {"samples": samples[name], "warmup": warmup[name]} for name in runs}


def enough(samples: List[float], protocol: Dict[str, float]) -> bool:
    seconds = sum(samples) / 1000
    return seconds >= protocol["max_s"] or (len(samples) >= protocol["min_runs"] and seconds >= protocol["min_s"])


def load(folder: str, job: Job, name: str) -> Any:
    kind = ExecuTorchNative if job.get("native") else RUNTIMES[job["runtime"]]
    return kind(os.path.join(folder, job["artifacts"][name]["entry"]), {**job, "folder": folder})


def picture(stored: Any, i: int) -> Dict[str, Any]:
    """Picture ``i`` (H, W, 3) uint8 and its noise -> lq (1, 3, H, W) in [0, 1], noise (1, 16, H/8, W/8), float32."""
    import numpy as np

    lq = stored["lq"][i].transpose(2, 0, 1)[None].astype(np.float32) / 255
    return {"lq": np.ascontiguousarray(lq), "noise": np.ascontiguousarray(stored["noise"][i : i + 1], np.float32)}


def cold(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Load time, first inference, memory; then every picture's output, kept beside the artifacts."""
    import numpy as np

    found = version(job)
    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    first = picture(stored, 0)
    if job["runtime"] == "tensorrt":  # building an engine takes minutes, and is no part of loading it
        TensorRt.prepare(os.path.join(folder, job["artifacts"][name]["entry"]), {**job, "folder": folder})
    opened: List[Any] = []
    load_ms = timed(lambda: opened.append(load(folder, job, name)))
    runner = opened[0]
    first_ms = timed(lambda: runner.run(first))
    rss = re.search(r"VmHWM:\s*(\d+) kB", read_text("{}/{}/status".format(PROC, getattr(runner, "pid", "self"))))
    outputs = [runner.run(picture(stored, i))[0] for i in range(len(stored["lq"]))]
    bytes_ = [(hq.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0) for hq in outputs]
    np.save(os.path.join(folder, f"output-{name}.npy"), np.stack(bytes_))
    return {
        "load_ms": round(load_ms, 2),
        "first_inference_ms": round(first_ms, 2),
        "peak_rss_mb": round(int(rss.group(1)) / 1024, 1) if rss else None,
        "facts": {job["runtime"]: found, **runner.facts},
    }


def warm(folder: str, job: Job) -> Dict[str, Any]:
    """Samples of every artifact on the first picture, interleaved."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        inputs = picture(dict(file), 0)
    runners = {name: load(folder, job, name) for name in job["artifacts"]}
    runs: Dict[str, Callable[[], Any]] = {
        name: partial(getattr(runner, "infer", runner.run), inputs) for name, runner in runners.items()
    }
    return interleaved(runs, job["protocol"], job["seed"])


def mark(tag: int) -> None:
    """Where an emulator's instruction counter begins or ends a region; elsewhere nothing."""
    with contextlib.suppress(OSError):
        os.getpriority(0x5150, tag)


def count(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Under an emulator: the outputs, float32, of the first pictures, each run between two marks."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    runner, outputs = load(folder, job, name), []
    for i in range(len(stored["lq"])):
        inputs = picture(stored, i)
        mark(1)
        outputs.append(runner.run(inputs)[0])
        mark(2)
    np.save(os.path.join(folder, f"output-{name}.npy"), np.stack(outputs))
    return dict(runner.facts)


def psnr_db(a: Any, b: Any) -> float:
    """PSNR over all values of uint8 arrays, peak 255, dB; at most 100."""
    import numpy as np

    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 100.0 if mse == 0 else min(100.0, float(10 * np.log10(255**2 / mse)))


def accuracy(folder: str, job: Job) -> Dict[str, Dict[str, Any]]:
    """Mean PSNR of each artifact's outputs: against the clean pictures (psnr_db), against the fp32 artifact's outputs
    on this device (fidelity_db), and against its own outputs where it was made (parity_db); of the first pictures,
    against those of the torch model that simulates an int8 one (simulated_db)."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    outputs = {name: np.load(os.path.join(folder, f"output-{name}.npy")) for name in job["artifacts"]}
    fp32 = next((outputs[name] for name, item in job["artifacts"].items() if item["precision"] == "fp32"), None)
    found: Dict[str, Dict[str, Any]] = {}
    for name, own in outputs.items():
        others = {"psnr_db": stored.get("clean"), "fidelity_db": fp32, "parity_db": stored.get("output-" + name)}
        if fp32 is own:
            others["fidelity_db"] = None
        if "simulated-" + name in stored:
            others["simulated_db"] = stored["simulated-" + name]
        found[name] = {"n": len(own)}
        for key, other in others.items():
            fits = other is not None and other.shape[1:] == own.shape[1:]
            scores = [psnr_db(a, b) for a, b in zip(own, other)] if fits and other is not None else []
            found[name][key] = round(statistics.mean(scores), 4) if scores else None
    return found


# --- the worker -----------------------------------------------------------------------------------------------


def child(folder: str, arguments: List[str], what: str, limit_s: float, each: Callable[[], None]) -> Any:
    """What a process of its own printed; ``each`` is called about once a second while it runs."""
    paths = [os.path.join(folder, name) for name in ("child.out", "child.err")]
    command = [sys.executable, os.path.abspath(__file__), arguments[0], folder, *arguments[1:]]
    with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    ends = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
            break
        each()
        if time.monotonic() > ends:
            process.kill()
            process.wait()
            raise Failed(f"{what}: not done after {limit_s:.0f} s there, ended")
    last = (read_text(paths[1]).splitlines() or ["no message"])[-1].strip()[:200]
    if process.returncode == -signal.SIGKILL:
        raise Failed(f"{what}: killed there: the device is short of memory, or somebody ended it")
    if process.returncode:
        raise Failed(f"{what}: ended with {process.returncode} there ({last})")
    result = read_json(paths[0])
    if "error" in result:
        raise Failed(what + ": " + result["error"]["message"], result["error"]["exit_code"])
    return result


def check_device(folder: str, job: Job) -> str:
    """The runtime's version. Raises Failed when this is not the device that the target means, or it lacks something."""
    facts = machine()
    if platform.machine() != job["arch"]:
        raise Failed("is {}, the target is {}: correct arch or the host".format(platform.machine(), job["arch"]))
    if job["model"] and job["model"].lower() not in (facts["model"] or "").lower():
        raise Failed(
            "calls itself {}, not {}: correct model or the host".format(facts["model"] or "nothing", job["model"])
        )
    if job["runtime"] not in RUNTIMES:
        raise Failed("runtime {} cannot be run by this release: nothing was measured".format(job["runtime"]))
    need = sum(file["bytes"] for file in listed(job)) * 5 // 4
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Failed(f"its disk has {free >> 20} MB free, {need >> 20} are needed: free some")
    try:
        found = child(folder, ["version"], "import", START_S, lambda: None)["version"]
    except Failed as error:
        runtime = job["runtime"]
        raise Failed(f"{runtime} does not import there ({error}): install numpy and {runtime}") from None
    if job["runtime_min"] and numbers(found) < numbers(job["runtime_min"]):
        raise Failed("has {} {}, {} or newer is needed: upgrade it".format(job["runtime"], found, job["runtime_min"]))
    return str(found)


def await_files(folder: str, job: Job) -> None:
    """Return when all have arrived. When the sender is gone for long the folder is deleted."""
    wanted = {file["name"]: file["bytes"] for file in listed(job)}
    seen: Dict[str, int] = {}
    since = time.monotonic()
    while seen != wanted:
        now = received(folder, job)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > job["idle_s"]:
            shutil.rmtree(folder, ignore_errors=True)
            sys.exit(1)
        time.sleep(TICK_S)


def measure(folder: str, job: Job) -> Dict[str, Any]:
    """The result: facts, cold and warm figures, accuracy."""
    check_hashes(folder, job)
    job["threads"] = job["threads"] or cores()
    write_json(os.path.join(folder, "job.json"), job)
    facts, first = machine(), {}
    for name in job["artifacts"]:
        tell(folder, "measuring", "load " + name)
        first[name] = child(folder, ["cold", name], name, LOAD_S, lambda: None)
        rss = first[name]["peak_rss_mb"]
        if job["memory_mb"] and rss and rss > job["memory_mb"]:
            raise Failed(
                f"{name} takes {rss:.0f} MB there, the target grants {job['memory_mb']}: use a smaller picture"
            )
    scores = accuracy(folder, job)
    tell(folder, "measuring", "rest, then timed runs, interleaved")
    time.sleep(job["cooldown_s"])
    sampler = Sampler()
    limit_s = LOAD_S + len(first) * 3 * (job["protocol"]["max_s"] + job["protocol"]["warmup_s"])
    try:
        sampler.take()
        times = child(folder, ["warm"], "timed runs", limit_s, sampler.take)
    finally:
        sampled = sampler.stop()
    sampled["settings"] = recorded(job["record"])
    entries = {name: {**first[name], **times[name], "accuracy": scores[name]} for name in first}
    return {"machine": facts, "threads": job["threads"], "sampled": sampled, "artifacts": entries}


def work(folder: str) -> None:
    """Do the job; every way that it can end is written to state.json."""
    job = read_json(os.path.join(folder, "job.json"))
    # Those who look whether it is locked lock it for an instant.
    with lock(os.path.join(folder, "alive"), "", wait=True):
        tell(folder, "starting")
        try:
            with lock(job["lock"], job["holder"]):
                check_device(folder, job)
                tell(folder, "receiving")
                await_files(folder, job)
                write_json(os.path.join(folder, "result.json"), measure(folder, job))
            tell(folder, "done")
        except Failed as error:
            tell(folder, "failed", error={"message": str(error), "exit_code": error.exit_code})
        except OSError as error:
            what = f"{error.strerror} there ({error.filename or folder})"
            tell(folder, "failed", error={"message": what, "exit_code": UNAVAILABLE})


# --- verbs ----------------------------------------------------------------------------------------------------


def start(folder: str, job: Job) -> Dict[str, Any]:
    """Begin the worker, unless this very job is at work or done already; the status once it is past its checks."""
    if read_state(folder)["state"] in ("none", "failed"):
        write_json(os.path.join(folder, "job.json"), job)
        write_json(os.path.join(folder, "state.json"), {"state": "starting", "seq": 0})
        null, command = subprocess.DEVNULL, [sys.executable, os.path.abspath(__file__), "work", folder]
        with open(os.path.join(folder, "worker.err"), "wb") as err:
            process = subprocess.Popen(command, stdin=null, stdout=null, stderr=err, start_new_session=True)
        with open(os.path.join(folder, "pid"), "w") as file:
            file.write(str(process.pid))
        while process.poll() is None and not is_locked(os.path.join(folder, "alive")):
            time.sleep(0.02)
    return status(folder, START_S, lambda state: state["state"] != "starting")


def status(folder: str, seconds: float, ready: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
    """The state as soon as it is ``ready``, or after ``seconds``; with the bytes received of every file."""
    ends = time.monotonic() + seconds
    state = read_state(folder)
    while not (ready(state) or state["state"] in FINAL or time.monotonic() > ends):
        time.sleep(TICK_S)
        state = read_state(folder)
    if state["state"] == "none":
        return state
    return {**state, "received": received(folder, read_json(os.path.join(folder, "job.json")))}


def put(folder: str, name: str, offset: int, stream: Any) -> Dict[str, Any]:
    """Write ``stream`` into a file of the job, from ``offset`` on."""
    if name not in {file["name"] for file in listed(read_json(os.path.join(folder, "job.json")))}:
        raise Failed(name + " is no file of this job")
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.seek(offset)
        for chunk in iter(lambda: stream.read1(CHUNK), b""):
            file.write(chunk)
            file.flush()
        return {"bytes": file.tell()}


def remove(folder: str) -> Dict[str, Any]:
    """End the worker and its children, delete the folder, and its parent when nothing else is in it."""
    if os.path.isdir(folder):
        pid = read_text(os.path.join(folder, "pid"))
        if pid and is_locked(os.path.join(folder, "alive")):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
            while is_locked(os.path.join(folder, "alive")):
                time.sleep(0.02)
        with contextlib.suppress(OSError, Failed):
            path = read_json(os.path.join(folder, "job.json"))["lock"]
            # A worker that was killed left its lock's file: who locks it deletes it.
            if os.path.exists(path):
                with lock(path, ""):
                    pass
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(folder))
    return {"removed": not os.path.exists(folder)}


def verb(name: str, folder: str, rest: List[str]) -> Any:
    """Do what the command line says."""
    if name == "start":
        return start(folder, json.load(sys.stdin))
    if name == "put":
        return put(folder, rest[0], int(rest[1]), sys.stdin.buffer)
    if name == "status":
        return status(folder, float(rest[0]), lambda state: state["seq"] != int(rest[1]))
    if name == "result":
        return read_json(os.path.join(folder, "result.json"))
    if name == "remove":
        return remove(folder)
    job = read_json(os.path.join(folder, "job.json"))
    if name == "version":
        return {"version": version(job)}
    if name == "count":
        return count(folder, job, rest[0])
    return cold(folder, job, rest[0]) if name == "cold" else warm(folder, job)


def main() -> None:
    """One verb; its answer is one JSON document on stdout."""
    name, folder = sys.argv[1], os.path.abspath(os.path.expanduser(sys.argv[2]))
    if name == "work":
        return work(folder)
    # Runtimes print to stdout, from C too: keep the real one for the answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        try:
            answer = verb(name, folder, sys.argv[3:])
        except Failed as error:
            answer = {"error": {"message": str(error), "exit_code": error.exit_code}}
        except MemoryError:
            answer = {"error": {"message": "out of memory there: use a smaller model", "exit_code": UNAVAILABLE}}
        except OSError as error:
            message = f"{error.strerror or error} there ({error.filename or folder})"
            answer = {"error": {"message": message, "exit_code": UNAVAILABLE}}
        json.dump(answer, answers)


if __name__ == "__main__":
    main()
