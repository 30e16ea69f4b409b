"""XNNPACK: every CPU, and the only one that runs here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from compress.artifacts.backends.base import Backend

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import GraphModule

# XNNPACK's pass -> parts of the names of the operators that it rewrites
_REWRITES = {
    "ConvertToUpsampleBilinear2d": ("bilinear", "index"),
    "ConvertToSDPAPass": ("softmax", "mm"),
}
_COPY = "a copy into another type or memory layout"
_APART = "its neighbour is not delegated in int8"


class Xnnpack(Backend):
    title = "XNNPACK"
    delegate = "XnnpackBackend"
    why: ClassVar = {
        "native_group_norm": "XNNPACK has no group normalisation",
        "upsample_nearest2d": "XNNPACK resizes bilinearly only",
        "_to_copy": _COPY,
        "_to_dim_order_copy": _COPY,
        "quantize_per_tensor": _APART,
        "dequantize_per_tensor": _APART,
    }

    def rewrite(self, model: "nn.Module", *, float16: bool) -> None:
        from compress.artifacts.export.delegated import delegate

        if not float16:  # the squares that DelegatedGroupNorm takes the mean of come near float16's largest number
            delegate(model)

    @contextmanager
    def passes(self) -> Iterator[None]:
        """Without what changes nothing: the program is the same to the byte."""
        with _that_apply(), _traced_when_changed(), _decomposed_when_needed():
            yield

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return XnnpackPartitioner()


@contextmanager
def _that_apply() -> Iterator[None]:
    """Leave out passes that look for a pattern of which a graph has no operator.

    Each exports the graphs of its patterns first: two seconds of every process.
    """
    from executorch.backends.xnnpack._passes import XNNPACKPassManager

    init = XNNPACKPassManager.__init__

    def chosen(self: Any, exported_program: Any, passes: Any = None) -> None:
        init(self, exported_program, passes)
        present = {name for node in exported_program.graph.nodes if (name := getattr(node.target, "__name__", ""))}
        self.passes = [
            one
            for one in self.passes
            if one.__name__ not in _REWRITES
            or any(part in name for name in present for part in _REWRITES[one.__name__])
        ]

    XNNPACKPassManager.__init__ = chosen
    try:
        yield
    finally:
        XNNPACKPassManager.__init__ = init


@contextmanager
def _traced_when_changed() -> Iterator[None]:
    """A pass that changed no node leaves the graph as it is.

    XNNPACK's passes each end by tracing the whole graph again, whether they have changed anything or not: a sixth of
    the time.
    """
    from executorch.exir.pass_base import ExportPass, PassResult

    trace = ExportPass.call
    hooks = [name for name in dir(ExportPass) if not name.startswith("_") and name != "call"]

    def call(self: Any, module: "GraphModule") -> Any:
        # A pass with a hook of its own changes the graph by tracing it.
        plain = all(getattr(type(self), name) is getattr(ExportPass, name) for name in hooks)
        if plain and getattr(module.graph, "traced", None) == _nodes(module):
            return PassResult(module, True)
        result = trace(self, module)
        result.graph_module.graph.traced = _nodes(result.graph_module)
        return result

    ExportPass.call = call
    try:
        yield
    finally:
        del ExportPass.call


def _nodes(module: "GraphModule") -> list[tuple[Any, ...]]:
    return [(node, node.target, node.args, node.kwargs) for node in module.graph.nodes]


@contextmanager
def _decomposed_when_needed() -> Iterator[None]:
    """A program in which a table has nothing to decompose, and no operator writes to its input, stays as it is.

    ExecuTorch decomposes by three tables, the first of them empty, and each time torch traces the program twice: a
    quarter of the time for the two that change nothing.
    """
    from torch.export import ExportedProgram

    decompose = ExportedProgram.run_decompositions

    def run(self: "ExportedProgram", decomp_table: Any = None, **options: Any) -> "ExportedProgram":
        operators = {node.target for node in self.graph.nodes if node.op == "call_function"}
        if decomp_table is None or any(operator in decomp_table or _writes(operator) for operator in operators):
            return decompose(self, decomp_table, **options)
        return self

    ExportedProgram.run_decompositions = run  # type: ignore[method-assign]
    try:
        yield
    finally:
        ExportedProgram.run_decompositions = decompose  # type: ignore[method-assign]


def _writes(operator: Any) -> bool:
    """Whether an operator changes its input, or runs a graph of its own, which may hold one that does."""
    from torch._ops import HigherOrderOperator, OpOverload

    return isinstance(operator, HigherOrderOperator) or (
        isinstance(operator, OpOverload) and operator._schema.is_mutable
    )
