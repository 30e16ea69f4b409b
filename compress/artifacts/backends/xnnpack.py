"""XNNPACK: every CPU, and the only one that runs here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from compress.artifacts.backends.base import Backend

if TYPE_CHECKING:
    from torch import nn

# XNNPACK's pass -> parts of the names of the operators that it rewrites
_REWRITES = {
    "ConvertToUpsampleBilinear2d": ("bilinear", "index"),
    "ConvertToLinearPass": ("mm", "linear"),
    "ConvertToSDPAPass": ("softmax", "mm"),
    "FuseBatchNormPass": ("batch_norm",),
    "DecomposeBatchNorm": ("batch_norm",),
    "PReLUReshapePass": ("prelu",),
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
        """Without those that rewrite operators which a graph does not have.

        Each pass traces the whole graph again, whether it has changed anything or not: a seventh of the time for these.
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

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return XnnpackPartitioner()
