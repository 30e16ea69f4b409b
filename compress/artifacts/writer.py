"""Writes artifacts: a float or quantized model in the files of each format."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.about import about, stage_about
from compress.artifacts.artifact import Artifact
from compress.artifacts.backends import BACKENDS
from compress.artifacts.backends.ethos_u import EthosU, vela_summary
from compress.artifacts.inspect.vela import VELA
from compress.files import temporary_folder, write_text
from compress.passes.quantize.schemes import BOTH_X86, SCHEME_OF
from compress.recipe.image_size import Shape
from compress.recipe.schema import QUANTIZED, Recipe
from compress.recipe.task import task_enlargement, task_scale

if TYPE_CHECKING:
    from torch import nn

    from compress.artifacts.export.around import Around
    from compress.artifacts.export.executorch_worker import LoweringWorker
    from compress.passes.quantize.engines import QuantizedModel


def simulated(quantized: "QuantizedModel", artifact: Artifact) -> "nn.Module | None":
    """The torch module that ``artifact`` was written from; None for a Hexagon NPU's file, and for an engine that
    works on the runtime's own graph."""
    if artifact.format == "executorch":
        return quantized.modules.get(BACKENDS[artifact.backend].scheme)
    if artifact.variant:
        return quantized.modules.get(artifact.variant)
    shared = quantized.modules.get(BOTH_X86)
    return quantized.modules.get(SCHEME_OF[artifact.format], shared)


class Writer:
    """Writes artifacts below ``folder``; a model's fp32 ONNX graphs are made once and serve three files each.

    ``facts``: what an artifact says of itself beyond the recipe (``about.about``).
    """

    def __init__(
        self, recipe: Recipe, folder: Path, facts: Callable[[Artifact], Mapping[str, str]] = lambda artifact: {}
    ) -> None:
        self.recipe, self.folder, self.facts = recipe, folder, facts
        self.baked_seed = recipe.model.seed if recipe.export.noise == "baked" else None
        # By shape, stage and the model, which it keeps: an id can be another's later.
        self._float_graphs: dict[tuple[Shape, str, nn.Module], Any] = {}
        self._lowering: LoweringWorker | None = None
        self._vela: dict[Artifact, str] = {}

    def traced(self, model: "nn.Module", stage: str = "") -> bool:
        """Whether ``float_graph`` has this model's graph of the first shape already."""
        return (self.recipe.model.shape, stage, model) in self._float_graphs

    def float_graph(self, model: "nn.Module", format: str, shape: Shape | None = None, stage: str = "") -> Any:
        """The fp32 model, or one stage of it, in a runtime's own form: ov.Model or ONNX ModelProto; for ``shape``, or
        the first one."""
        key = shape or self.recipe.model.shape, stage, model
        if key not in self._float_graphs:
            self._float_graphs[key] = self._onnx(model, shape, stage)
        graph = self._float_graphs[key]
        if format == "onnx":
            return graph
        from compress.artifacts.export.to_openvino import to_openvino

        return to_openvino(graph)

    def write_float(self, model: "nn.Module", artifact: Artifact) -> None:
        """Write an fp32 or fp16 OpenVINO or ONNX artifact of ``model``."""
        half = artifact.precision == "fp16"
        if artifact.format == "onnx" and half:
            _check_half(model, artifact)
        for stage in artifact.graphs:
            graph = self.float_graph(model, artifact.format, artifact.shape, stage)
            if artifact.format == "onnx" and half:
                from compress.artifacts.export.to_onnx import to_float16

                graph = to_float16(graph)
            self._save(graph, artifact, stage, half=half)

    def lower(self, model: "nn.Module", artifact: Artifact) -> None:
        """Have an ExecuTorch artifact of ``model`` written in a process of its own; ``lowered`` waits for it."""
        half = artifact.precision == "fp16"
        if half:
            _check_half(model, artifact)
        for stage, path in artifact.graphs.items():
            self._worker().submit(self.folder / path, model, float16=half, stage=stage, **self._program(artifact))

    def lowered(self, artifact: Artifact) -> None:
        """Return when the files of an ExecuTorch artifact are there; errors are the lowering's."""
        for stage, file in artifact.graphs.items():
            path = self.folder / file
            if self._lowering is not None and path in self._lowering.submitted:
                self._lowering.wait(path)
            facts = self._about(artifact, stage)
            if artifact in self._vela:
                facts[VELA] = self._vela[artifact]
            write_text(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")

    def close(self) -> None:
        """End what still runs."""
        if self._lowering is not None:
            self._lowering.stop()

    @property
    def _around(self) -> "Around":
        from compress.artifacts.export.around import Around
        from compress.artifacts.export.enlargement import Enlargement
        from compress.elir.noise_torus import noise_torus

        model, export = self.recipe.model, self.recipe.export
        pictures = Enlargement(task_scale(model.task), task_enlargement(model.task))
        return Around(
            torus=noise_torus(model.seed) if export.noise == "seed" else None,
            enlargement=pictures if export.io == "uint8" else None,
        )

    def _shape(self, artifact: Artifact) -> Shape:
        return artifact.shape or self.recipe.model.shape

    def _program(self, artifact: Artifact) -> dict[str, Any]:
        """What an ExecuTorch program is made by beside the model: arguments of ``to_executorch``."""
        return {
            "shape": self._shape(artifact),
            "baked_seed": self.baked_seed,
            "around": self._around,
            "backend": BACKENDS[artifact.backend],
        }

    def _worker(self) -> "LoweringWorker":
        if self._lowering is None:
            from compress.artifacts.export.executorch_worker import LoweringWorker

            self._lowering = LoweringWorker()
        return self._lowering

    def write_weights(self, quantized: "QuantizedModel", artifact: Artifact) -> None:
        """Write an artifact of the rounded float model, its weights stored as they were rounded."""
        from compress.artifacts.export.to_openvino import to_openvino
        from compress.artifacts.export.weight_storage import store_rounded

        module = simulated(quantized, artifact)
        assert module is not None  # weights.requires refuses what it cannot write
        graphs = {s: copy.deepcopy(self.float_graph(module, "onnx", artifact.shape, s)) for s in artifact.graphs}
        store_rounded(list(graphs.values()), quantized.weights)
        for stage, graph in graphs.items():
            made = to_openvino(graph, half_weights=True) if artifact.format == "openvino" else graph
            self._save(made, artifact, stage)

    def write_int8(self, quantized: "QuantizedModel", artifact: Artifact) -> None:
        """Write an int8 artifact, from the engine's own graph where there is one; ExecuTorch's by ``lower``."""
        graph = None if artifact.variant else quantized.graphs.get(artifact.format)
        if graph is None and artifact.format == "openvino" and "onnx" in quantized.graphs:
            from compress.artifacts.export.to_openvino import to_openvino

            graph = to_openvino(quantized.graphs["onnx"])
        if graph is not None:
            self._save(graph, artifact, "")
            return
        if artifact.variant == "htp":
            from compress.artifacts.export.htp_graph import htp_graph

            graph = self.float_graph(quantized.model, "onnx", artifact.shape)
            self._save(htp_graph(graph, quantized.model, quantized.layers, quantized.ranges), artifact, "")
            return
        module = simulated(quantized, artifact)
        assert module is not None, f"{quantized.engine} leaves nothing for {artifact.id}"  # ptq.requires refuses it
        if artifact.format == "executorch":
            if quantized.engine == "elir":
                self.lower(module, artifact)
            else:  # PT2E's graphs cannot be pickled for another process
                self._lower_here(module, artifact)
            return
        for stage in artifact.graphs:
            graph = self._quantized_onnx(quantized, module, artifact.shape, stage)
            if artifact.format == "openvino":
                from compress.artifacts.export.to_openvino import to_openvino

                graph = to_openvino(graph)
            elif not artifact.variant:  # TensorRT takes no opset 21
                from compress.artifacts.export.four_bits import pack_onnx

                pack_onnx(graph)
            self._save(graph, artifact, stage)

    def _lower_here(self, module: "nn.Module", artifact: Artifact) -> None:
        from compress.artifacts.export.to_executorch import save_executorch, to_executorch

        program = self._program(artifact)
        with temporary_folder() as folder:
            if artifact.backend == "ethos_u":
                program["backend"] = EthosU(artifact.variant.replace("_", "-"), Path(folder))
            save_executorch(to_executorch(module, **program), self.folder / artifact.entry)
            if summary := vela_summary(Path(folder)):
                self._vela[artifact] = json.dumps(summary)

    def _quantized_onnx(self, quantized: "QuantizedModel", module: "nn.Module", shape: Shape | None, stage: str) -> Any:
        if quantized.model is None:
            return self._onnx(module, shape)
        from compress.artifacts.export.quantized_graph import quantized_graph

        graph = self.float_graph(quantized.model, "onnx", shape, stage)
        return quantized_graph(graph, quantized.model, module, stage)

    def _onnx(self, model: "nn.Module", shape: Shape | None, stage: str = "") -> Any:
        from compress.artifacts.export.to_onnx import to_onnx

        opset = self.recipe.export.onnx.opset if self.recipe.export.onnx else 20
        return to_onnx(model, shape or self.recipe.model.shape, opset, self.baked_seed, stage)

    def _about(self, artifact: Artifact, stage: str) -> dict[str, str]:
        task, export, facts = self.recipe.model.task, self.recipe.export, self.facts(artifact)
        if stage:
            return stage_about(task, stage, **facts)
        return about(task, export.noise, export.io, padded=self.recipe.model.padding == "inside", **facts)

    def _save(self, graph: Any, artifact: Artifact, stage: str, *, half: bool = False) -> None:
        path, facts = self.folder / artifact.graphs[stage], self._about(artifact, stage)
        graph = self._around.graph(graph, artifact.format, self._shape(artifact))
        if artifact.format == "openvino":
            from compress.artifacts.export.to_openvino import save_openvino

            save_openvino(graph, path, float16=half, compact=artifact.precision in QUANTIZED, about=facts)
        else:
            from compress.artifacts.export.to_onnx import save_onnx

            save_onnx(graph, path, facts)


def _check_half(model: "nn.Module", artifact: Artifact) -> None:
    """Raise InputError for weights that float16 cannot hold: converters cut them off, or make them infinite."""
    import torch

    from compress.errors import InputError
    from compress.tensors import too_large

    if problem := too_large(model.state_dict(), torch.float16):
        raise InputError(f"{artifact.id}: {problem}: leave fp16 out of export.{artifact.format}.precisions")
