"""torch -> ExecuTorch .pte, for one of its backends."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.graph import _PyTreeCodeGen
from torch.fx.traceback import NodeSource

from compress.artifacts.backends import BACKENDS, Backend
from compress.artifacts.export.around import NOTHING, Around
from compress.artifacts.export.deployed import exportable, without_stack_traces
from compress.files import whole_file
from compress.quiet import quiet
from compress.recipe.image_size import Shape

MOST_LATENT = 512
"""Largest side of a staged artifact's latent, of 4096 px: what it is given and gives is in memory from the start."""


class _Half(nn.Module):
    """float32 outside, float16 inside."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*(x.half() for x in inputs)).float()


def to_executorch(
    model: nn.Module,
    shape: Shape,
    baked_seed: int | None = None,
    *,
    float16: bool = False,
    around: Around = NOTHING,
    stage: str = "",
    backend: Backend = BACKENDS["xnnpack"],
) -> bytes:
    """.pte bytes of ``model`` ((lq, noise) -> hq), or of one ``stage`` of it, for pictures of ``shape``, delegated to
    ``backend`` where it can be.
    """
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    model = _unshared(model)
    backend.rewrite(model, float16=float16)
    graph_of = exportable(model, shape, baked_seed, stage)
    module, inputs = backend.graph(graph_of.module), tuple(graph_of.inputs.values())
    sides = graph_of.free_sides(MOST_LATENT)
    if float16 and not backend.own_float16:
        module = _Half(module)
        sides = None if sides is None else (sides,)  # type: ignore[assignment]
    module, inputs = around.module(module, shape, inputs)
    with quiet(), without_stack_traces(), _shared_provenance(), backend.passes(), _compiled_on_demand():
        exported = torch.export.export(module, inputs, dynamic_shapes=sides, strict=False)
        edge = to_edge_transform_and_lower(
            exported,
            partitioner=[backend.partitioner(float16=float16)],
            compile_config=EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True),
        )
        return edge.to_executorch().buffer


@contextmanager
def _shared_provenance() -> Iterator[None]:
    """Where a node came from is shared by the nodes made of it.

    torch copies it, with all that came before, for every node in each of some sixty passes: a sixth of the time.
    Nothing in the program depends on it.
    """
    NodeSource.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del NodeSource.__deepcopy__  # type: ignore[attr-defined]


@contextmanager
def _compiled_on_demand() -> Iterator[None]:
    """A graph's Python code is written when somebody calls or reads it.

    torch writes and compiles it for every one of some 270 graphs, of which six are called: a fifth of the time.
    """
    recompile, read = GraphModule.recompile, nn.Module.__getattr__
    written = ("_code", "_lineno_map", "_prologue_start")

    def forward(self: GraphModule, *args: Any, **kwargs: Any) -> Any:
        recompile(self)
        return self(*args, **kwargs)

    def postpone(self: GraphModule) -> None:
        codegen = self.graph._codegen
        if isinstance(codegen, _PyTreeCodeGen):
            self._in_spec, self._out_spec = codegen.pytree_info.in_spec, codegen.pytree_info.out_spec
        for name in written:
            self.__dict__.pop(name, None)
        type(self).forward = forward

    def read_code(self: GraphModule, name: str) -> Any:
        if name not in written:
            return read(self, name)
        recompile(self)
        return self.__dict__[name]

    GraphModule.recompile = postpone  # type: ignore[method-assign, assignment]
    GraphModule.__getattr__ = read_code  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        GraphModule.recompile = recompile  # type: ignore[method-assign]
        del GraphModule.__getattr__


def _unshared(model: nn.Module) -> nn.Module:
    """A copy in which every Euler step has integer weights of its own, and no weights are in torch's ``channels_last``
    layout, which XNNPACK's passes refuse.

    A constant with several users outside one partition stays in the program beside the partitions' copies; one that
    a single partition owns goes to the named data, where equal bytes are stored once: the flow's weights once, not K
    times and once more.
    """
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())
    return model


def save_executorch(buffer: bytes, path: Path) -> None:
    """Write a .pte whole."""
    with whole_file(path) as part:
        part.write_bytes(buffer)
