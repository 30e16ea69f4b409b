"""ONNX Runtime, OpenVINO and ExecuTorch behind one interface."""

import contextlib
import ctypes
import functools
import importlib
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, Dict, Optional, Tuple

from compress.artifacts.runtime.executorch_import import without_compiler
from compress.targets.runner.accuracy import output_form
from compress.targets.runner.failure import DAMAGED, INPUT, Failure
from compress.targets.runner.state import Job
from compress.targets.runner.tensorrt import TensorRt

LEVEL = "graph_optimization_level"
LEVELS = {"all": "ENABLE_ALL", "extended": "ENABLE_EXTENDED", "basic": "ENABLE_BASIC", "disable": "DISABLE_ALL"}


def damaged(path: str, kind: str, error: Exception) -> Failure:
    """The error for a file that its runtime refuses, with the runtime's words on one line."""
    # OpenVINO's messages begin with places in its own source code.
    places = r"(?:Exception from|Check '[^']*' failed at) \S+?\.[ch]pp:\d+:?\s*"
    why = re.sub(places, "", " ".join(str(error).split()))[:200]
    return Failure(f"{path}: refused, not a readable {kind} ({why}): export it again", DAMAGED)


PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "qnn": ("QNNExecutionProvider", "onnxruntime-qnn"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime, on macOS"),
}
"""Execution providers of ONNX Runtime, each with the package that brings it."""
CPU: Dict[str, Any] = {"providers": ["CPUExecutionProvider"]}
REFUSED = "refuses it"
OF_PROVIDER = "provider."
"""How the keys of options begin that are handed to the execution provider."""
ASSIGNMENT = "session.record_ep_graph_assignment_info"


class Onnx:
    """ONNX Runtime, sequential, by one execution provider; what that does not take, the CPU runs."""

    def __init__(self, path: str, job: Job) -> None:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = job["threads"], 1
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        settings.log_severity_level = 3
        self.provider, package = PROVIDERS[job.get("provider", "cpu")]
        options = dict(job["options"])
        given = {key: options.pop(key) for key in list(options) if key.startswith(OF_PROVIDER)}
        level = options.pop(LEVEL, "all")
        if level not in LEVELS:
            raise Failure(f"option {LEVEL} must be one of {', '.join(LEVELS)}, got {level}: correct it", INPUT)
        settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, "ORT_" + LEVELS[level])
        for key, value in options.items():
            if not key.startswith("session."):
                known = f"{LEVEL}, session.* or {OF_PROVIDER}* entries"
                raise Failure(f"option {key}: unknown to ONNX Runtime: give {known}", INPUT)
            settings.add_session_config_entry(key, str(int(value) if isinstance(value, bool) else value))
        where = self._places(ort, settings, {key[len(OF_PROVIDER) :]: str(value) for key, value in given.items()})
        if where is None:
            has = ", ".join(ort.get_available_providers())
            raise Failure(f"ONNX Runtime here has no {self.provider} (it has {has}): install {package}")
        try:
            self.session = ort.InferenceSession(path, settings, **where)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            if where == CPU:
                raise damaged(path, "ONNX model", error) from None
            why = " ".join(str(error).split())[:300]
            raise Failure(f"{path}: {self.provider} {REFUSED} ({why})", DAMAGED) from None
        self.shapes = {port.name: tuple(port.shape) for port in self.session.get_inputs()}
        self.facts = {"threads": job["threads"], LEVEL: level, **options, **given, **self._assigned()}

    def _places(self, ort: Any, settings: Any, options: Dict[str, str]) -> Optional[Dict[str, Any]]:
        """What tells a session to use the provider; None where this ONNX Runtime does not have it."""
        if self.provider in CPU["providers"]:
            return CPU
        if hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
            settings.add_session_config_entry(ASSIGNMENT, "1")
        if self.provider in ort.get_available_providers():
            return {"providers": [(self.provider, options), "CPUExecutionProvider"]}
        with contextlib.suppress(ImportError, AttributeError):
            plugin = importlib.import_module("onnxruntime_qnn" if self.provider.startswith("QNN") else "none")
            ort.register_execution_provider_library(self.provider, plugin.get_library_path())
            devices = [device for device in ort.get_ep_devices() if device.ep_name == self.provider]
            settings.add_provider_for_devices(devices, options)
            return {}
        return None

    def _assigned(self) -> Dict[str, Any]:
        """How many of the model's nodes the provider runs, and which types of others are left to the CPU."""
        if self.provider in CPU["providers"]:
            return {}
        facts: Dict[str, Any] = {"provider": self.provider}
        if hasattr(self.session, "get_provider_graph_assignment_info"):
            parts = self.session.get_provider_graph_assignment_info()
            nodes = [(part.ep_name, node.op_type) for part in parts for node in part.get_nodes()]
            outside = [kind for name, kind in nodes if name != self.provider]
            facts.update(provider_nodes=len(nodes) - len(outside), outside_nodes=len(outside))
            facts["outside_types"] = sorted(set(outside))
        return facts

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.session.run(None, {name: inputs[name] for name in self.shapes})[0]


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
            devices = ", ".join(core.available_devices) or "none"
            raise Failure(f"OpenVINO finds no {device} (it finds: {devices}): install the device's driver")
        settings: Dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "CPU":
            settings.update(INFERENCE_NUM_THREADS=job["threads"], NUM_STREAMS=1, INFERENCE_PRECISION_HINT="f32")
        else:  # an NPU's compiler takes seconds to minutes: once
            settings["CACHE_DIR"] = os.path.join(job["folder"], "compiled")
        settings.update(job["options"])
        try:
            model = core.read_model(path)
            self.request = core.compile_model(model, device, settings).create_infer_request()
        except (RuntimeError, UnicodeDecodeError) as error:  # its messages quote the file, whose bytes may be any
            unknown = [key for key in job["options"] if key in str(error)]
            if unknown:
                message = f"option {unknown[0]}={job['options'][unknown[0]]}: refused by OpenVINO: correct it"
                raise Failure(message, INPUT) from None
            raise damaged(path, "OpenVINO IR", error) from None
        shapes = {port.any_name: port.partial_shape for port in model.inputs}
        self.shapes = {key: tuple(d.get_length() if d.is_static else -1 for d in s) for key, s in shapes.items()}
        self.facts = {"device": device, **settings}

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.request.infer({name: inputs[name] for name in self.shapes}, share_inputs=True)[0]


class ExecuTorch:
    """ExecuTorch's Python runtime, on the kernels that its wheel links."""

    def __init__(self, path: str, job: Job) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        if job["options"]:
            raise Failure(f"option {next(iter(job['options']))}: ExecuTorch takes none: remove it", INPUT)
        if library := job.get("backend_library"):
            try:
                ctypes.CDLL(library)  # registers itself with the core that portable_lib has loaded
            except OSError as error:
                raise Failure(f"{library} cannot be loaded ({error}): set it up again") from None
        if portable_lib._threadpool_get_thread_count() != job["threads"]:
            portable_lib._unsafe_reset_threadpool(job["threads"])
        try:
            self.program = Runtime.get().load_program(path)
            self.method = self.program.load_method("forward")
        except (RuntimeError, KeyError) as error:
            raise damaged(path, "ExecuTorch program", error) from None
        about, stem = self.method.metadata, os.path.splitext(os.path.basename(path))[0]
        sizes = [tuple(about.input_tensor_meta(i).sizes()) for i in range(about.num_inputs())]
        eight = about.num_inputs() and about.input_tensor_meta(0).dtype() == 0  # torch's number of uint8
        seeded = about.num_inputs() > 1 and about.input_tensor_meta(1).dtype() == 4  # of int64
        names = ["image" if eight else "lq", "seed" if seeded else "noise"]
        self.shapes = dict(zip(STAGES.get(stem) or names, sizes))
        self.tensor = torch.from_numpy
        self.facts = {"threads": portable_lib._threadpool_get_thread_count()}

    def run(self, inputs: Dict[str, Any]) -> Any:
        return self.method.execute([self.tensor(inputs[name]) for name in self.shapes])[0].numpy()


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
        self.shapes: Dict[str, Tuple[int, ...]] = {}  # it tells none
        self.facts = {"threads": int(self._answer()), "runner": "native"}
        self.pid = self.process.pid

    def _answer(self) -> str:
        assert self.process.stdout is not None
        kind, _, text = self.process.stdout.readline().strip().partition(" ")
        if kind != "ok":
            raise Failure("ExecuTorch's native runner ended there ({})".format(text or f"{self.process.wait()}"))
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
            self.given = inputs
        self._tell("run")

    def run(self, inputs: Dict[str, Any]) -> Any:
        import numpy as np

        self.infer(inputs)
        path = os.path.join(self.files, "hq")
        self._tell("out " + path)
        assert self.given is not None
        shape, dtype = output_form(self.given, os.path.getsize(path))
        return np.fromfile(path, dtype).reshape(shape)


# compress.artifacts.stages, by the stems of the files' names: what each graph is given, by place.
STAGES = {"encode": ["lq"], "flow": ["latent", "noise"], "decode": ["restored_latent", "lq"]}
MADE = ("latent", "restored_latent", "hq")


class Staged:
    """The three graphs of a staged artifact, each given what those before it make; ``kind`` runs one."""

    def __init__(self, kind: Any, path: str, job: Job) -> None:
        folder, suffix = os.path.dirname(path), os.path.splitext(path)[1]
        self.graphs = [kind(os.path.join(folder, stage + suffix), job) for stage in STAGES]
        self.shapes = self.graphs[0].shapes
        self.facts = self.graphs[0].facts

    def run(self, inputs: Dict[str, Any]) -> Any:
        values = dict(inputs)
        for graph, made in zip(self.graphs, MADE):
            values[made] = graph.run(values)
        return values[made]


RUNTIMES: Dict[str, Any] = {
    "onnxruntime": Onnx,
    "openvino": OpenVino,
    "executorch": ExecuTorch,
    "tensorrt": TensorRt,
}


MODULES: Dict[str, Tuple[str, ...]] = {
    # Without the kernels, quantize and dequantize outside XNNPACK's partitions cannot run.
    "executorch": ("executorch.runtime", "executorch.kernels.quantized"),
}


def version(job: Job) -> str:
    """Version of the installed package, which it imports, or of the native runner that was sent. Raises Failure for
    one that is missing, or older than the target asks for."""
    installed, least = _installed(job), job.get("runtime_min")
    if least and numbers(installed) < numbers(least):
        raise Failure("has {} {}, {} or newer is needed: upgrade it".format(job["runtime"], installed, least))
    return installed


def _installed(job: Job) -> str:
    runtime: str = job["runtime"]
    native = job.get("native")
    try:
        with without_compiler() if runtime == "executorch" and not native else contextlib.nullcontext():
            for name in ("numpy", *([] if native else MODULES.get(runtime, (runtime,)))):
                importlib.import_module(name)
    except ImportError as error:
        raise Failure(f"{runtime} cannot be imported ({error}): install numpy and {runtime}") from None
    if native:
        return str(native["version"])
    number = getattr(sys.modules[runtime], "__version__", None)
    if number is None:  # executorch; what this imports would count as the artifact's memory otherwise
        from importlib import metadata

        with contextlib.suppress(metadata.PackageNotFoundError):
            number = metadata.version(runtime)
    return str(number or "unknown")


def numbers(text: str) -> Tuple[int, ...]:
    """ "1.18.0rc1" -> (1, 18, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", text)[0]))


def load(folder: str, job: Job, name: str, inputs: Dict[str, Any]) -> Any:
    """An artifact, ready for ``inputs``. Raises Failure for a damaged one, and for one that takes other inputs."""
    kind = ExecuTorchNative if job.get("native") else RUNTIMES[job["runtime"]]
    artifact = job["artifacts"][name]
    options = {**job["options"], **artifact.get("options", {})}
    path, own = os.path.join(folder, artifact["entry"]), {**job, "folder": folder, "options": options}
    runner = Staged(kind, path, own) if os.path.splitext(os.path.basename(path))[0] in STAGES else kind(path, own)
    for key, shape in runner.shapes.items():
        given = inputs[key].shape if key in inputs else None
        if given != shape:
            why = f"takes {key} {shape}, the pictures have {given or 'none'}"
            raise Failure(f"{name} is not an ELIR artifact of this size ({why}): do not use it", DAMAGED)
    return runner
