"""TensorRT, by its Python package and CUDA's runtime library."""

import glob
import os
import sys
import time
from typing import Any, Dict, List, Tuple

from compress.targets.runner.failure import Failure
from compress.targets.runner.state import Job, read_json, write_json


class Cuda:
    """What TensorRT needs of CUDA's runtime library, which every JetPack has, and the wheels of tensorrt bring."""

    TO_DEVICE, TO_HOST = 1, 2
    PLACES = (
        "/usr/local/cuda*/lib64/libcudart.so*",
        "/usr/lib/*-linux-gnu/libcudart.so*",
        *(folder + "/nvidia/*/lib/libcudart.so*" for folder in sys.path if os.path.isabs(folder)),
    )

    def __init__(self) -> None:
        import ctypes
        from ctypes.util import find_library

        libraries = [find_library("cudart"), *(path for place in self.PLACES for path in sorted(glob.glob(place)))]
        name = next((path for path in libraries if path), None)
        if name is None:
            raise Failure(
                "CUDA's runtime (libcudart.so) is not found there: install JetPack's CUDA, or by pip "
                "nvidia-cuda-runtime"
            )
        self.library, self.pointer = ctypes.CDLL(name), ctypes.c_void_p
        self.reference = ctypes.byref
        self.stream = self.pointer()
        self.call("cudaStreamCreate", self.reference(self.stream))

    def call(self, name: str, *arguments: Any) -> None:
        code = getattr(self.library, name)(*arguments)
        if code == 2:
            raise Failure("out of memory on the GPU there: use a smaller picture")
        if code:
            raise Failure(f"CUDA's {name} failed there with error {code}")

    def device_name(self) -> str:
        """The GPU, as it calls itself."""
        import ctypes

        # cudaDeviceProp grows from release to release, by less than this; the name is its first field in all of them.
        properties = ctypes.create_string_buffer(1 << 14)
        self.call("cudaGetDeviceProperties", properties, 0)
        return properties.raw[:256].split(b"\0")[0].decode("utf-8", "replace")

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

    A run copies the inputs to the GPU and the output back. The engine lies in the job's folder, since the ONNX file may
    be a bundle's own; so does the timing cache: what one artifact's layers took to choose, the next one's need not
    measure again.
    """

    TIMINGS = "timing.cache"

    def __init__(self, path: str, job: Job) -> None:
        import numpy as np
        import tensorrt as trt

        facts = self.prepare(path, job)
        self.cuda = Cuda()
        self.runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        with open(self.engine_path(path, job), "rb") as file:
            self.engine = self.runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            raise Failure("TensorRT cannot load the engine that it built there: out of memory?")
        self.context = self.engine.create_execution_context()
        self.arrays: Dict[str, Any] = {}
        self.places: Dict[str, Any] = {}
        self.inputs: List[str] = []
        self.shapes: Dict[str, Tuple[int, ...]] = {}
        for i in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(i)
            shape, kind = tuple(self.engine.get_tensor_shape(name)), trt.nptype(self.engine.get_tensor_dtype(name))
            self.arrays[name] = np.empty(shape, kind)
            self.places[name] = self.cuda.allocate(self.arrays[name].nbytes)
            self.context.set_tensor_address(name, self.places[name].value)
            if self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self.inputs.append(name)
                self.shapes[name] = shape
        (self.output,) = [name for name in self.arrays if name not in self.inputs]
        self.facts = {"gpu": self.cuda.device_name(), **facts}

    def run(self, inputs: Dict[str, Any]) -> Any:
        import numpy as np

        for name in self.inputs:
            np.copyto(self.arrays[name], inputs[name])
            self._copy(name, Cuda.TO_DEVICE)
        if not self.context.execute_async_v3(self.cuda.stream.value):
            raise Failure("TensorRT's inference failed there")
        self._copy(self.output, Cuda.TO_HOST)
        self.cuda.wait()
        output = self.arrays[self.output]
        return output.copy() if output.dtype == np.uint8 else output.astype(np.float32)

    def _copy(self, name: str, kind: int) -> None:
        array, place = self.arrays[name], self.places[name]
        address = self.cuda.pointer(array.ctypes.data)
        to, source = (place, address) if kind == Cuda.TO_DEVICE else (address, place)
        self.cuda.copy(to, source, array.nbytes, kind)

    @classmethod
    def prepare(cls, path: str, job: Job) -> Dict[str, Any]:
        """Build the engine unless it is there; what was built."""
        engine = cls.engine_path(path, job)
        if not os.path.exists(engine + ".json"):
            started = time.perf_counter()
            plan, flags = cls.build(path, job)
            with open(engine, "wb") as file:
                file.write(plan)
            facts = {"flags": flags, "engine_bytes": len(plan), "build_s": round(time.perf_counter() - started, 2)}
            write_json(engine + ".json", facts)
        facts = read_json(engine + ".json")
        return dict(facts)

    @classmethod
    def engine_path(cls, path: str, job: Job) -> str:
        """Where the engine of the ONNX file ``path`` lies."""
        return os.path.join(job["folder"], cls._artifact(path, job) + ".engine")

    @staticmethod
    def _artifact(path: str, job: Job) -> str:
        return next(name for name, item in job["artifacts"].items() if path.endswith(item["entry"]))

    @classmethod
    def build(cls, path: str, job: Job) -> Tuple[bytes, List[str]]:
        """(engine, builder flags). Q/DQ tell what is int8; float layers of an int8 file may run in fp16."""
        import tensorrt as trt

        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        precision = job["artifacts"][cls._artifact(path, job)]["precision"]
        wanted = {"fp32": [], "fp16": ["FP16"], "int8": ["INT8", "FP16"]}[precision]
        flags = [flag for flag in wanted if hasattr(trt.BuilderFlag, flag)]
        # Without these flags (newer releases) the file's own types are taken as they are.
        strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None) if flags != wanted else None
        network = builder.create_network(0 if strongly is None else 1 << int(strongly))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(path):
            why = " ".join(str(parser.get_error(0)).split())[:300] if parser.num_errors else "no message"
            raise Failure("TensorRT there refuses the ONNX file: " + why)
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
            raise Failure("TensorRT cannot build the engine there: short of memory, or a layer it does not run")
        if cache is not None:
            with open(cache_path, "wb") as file:
                file.write(bytes(config.get_timing_cache().serialize()))
        return bytes(plan), flags if strongly is None else ["STRONGLY_TYPED"]
