"""torch -> ONNX: one file, weights stored once, nothing of this machine in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.artifacts.about import ABOUT
from compress.artifacts.export.deployed import exportable, without_stack_traces
from compress.artifacts.export.retrace import without_retrace
from compress.files import whole_file
from compress.quiet import quiet
from compress.recipe.image_size import Shape

FLOAT16_MAX = 65504.0
"""Without it, the converter cuts weights off at 10,000."""


def to_onnx(model: nn.Module, shape: Shape, opset: int = 20, baked_seed: int | None = None, stage: str = "") -> Any:
    """ONNX ModelProto of ``model`` ((lq, noise) -> hq), or of one ``stage`` of it, for pictures of ``shape``.

    The K unrolled steps share their weights; quantize/dequantize pairs become QuantizeLinear/DequantizeLinear.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import DeduplicateInitializersPass, RemoveUnusedNodesPass

    graph_of = exportable(model, shape, baked_seed, stage)
    with quiet(), without_stack_traces(), without_retrace(), _slices_split_at_slices():
        program = torch.onnx.export(
            graph_of.module,
            tuple(graph_of.inputs.values()),
            dynamo=True,
            opset_version=opset,
            input_names=list(graph_of.inputs),
            output_names=[graph_of.output],
            dynamic_shapes=graph_of.free_sides(),
            optimize=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model
    DeduplicateInitializersPass(size_limit=2**31)(graph)
    RemoveUnusedNodesPass()(graph)
    _strip(graph)
    return ir.to_proto(graph)


@contextmanager
def _slices_split_at_slices() -> Iterator[None]:
    """Let onnxscript's optimizer try its rule for pairs of slices at slices alone.

    It walks the whole graph each time before it compares the node: tried at every node, that is a seventh of the export
    of the smallest network, and grows with the square of the graph.
    """
    from onnxscript.rewriter.rules.common import slice_split_rule

    try_rewrite = slice_split_rule.try_rewrite

    def at_slices(model: Any, graph: Any, node: Any, **options: Any) -> Any:
        return try_rewrite(model, graph, node, **options) if node.op_type == "Slice" else None

    slice_split_rule.try_rewrite = at_slices
    try:
        yield
    finally:
        del slice_split_rule.try_rewrite


def save_onnx(proto: Any, path: Path, about: Mapping[str, str] | None = None) -> None:
    """Write a ModelProto whole; the same model gives the same bytes. ``about``: what the file says of itself."""
    if about:
        from onnx.helper import set_model_props

        set_model_props(proto, {f"{ABOUT}.{key}": value for key, value in sorted(about.items())})
    with whole_file(path) as part:
        part.write_bytes(proto.SerializeToString(deterministic=True))


def to_float16(proto: Any) -> Any:
    """A copy in float16 with float32 inputs and outputs."""
    import copy

    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        return convert_float_to_float16(copy.deepcopy(proto), keep_io_types=True, max_finite_val=FLOAT16_MAX)


def _strip(graph: Any) -> None:
    """Drop stack traces and long scoped names: they hold paths of the machine, and a tenth of an int8 file."""
    graph.metadata_props.clear()
    graph.producer_name, graph.producer_version = "elir-compress", None
    graph.graph.metadata_props.clear()
    for i, node in enumerate(graph.graph):
        node.metadata_props.clear()
        node.name = f"n{i}"
        for output in node.outputs:
            output.metadata_props.clear()
            if not output.is_graph_output():
                output.name = f"v{i}" if len(node.outputs) == 1 else f"v{i}_{output.index()}"
                output.shape, output.type = None, None
    for value in graph.graph.initializers.values():
        value.metadata_props.clear()
