"""Arm Ethos-U: the micro-NPU beside a Cortex-M or Cortex-A, by TOSA and Arm's compiler Vela.

It computes with integers alone, so that every operator is quantized. What it has no operator for, Arm's passes write as
what it has before anything is quantized: GroupNorm as means, sums and products, and SiLU, tanh and sigmoid as tables.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from compress.artifacts.backends.base import Backend

if TYPE_CHECKING:
    from torch import nn

SETUP = "compress targets setup ethos-u-vela"


class EthosU(Backend):
    title = "Arm Ethos-U"
    delegate = "EthosUBackend"
    scheme = "ethos_u"
    packages: ClassVar = {"tosa_serializer": SETUP, "ethosu": SETUP}
    why: ClassVar = {
        "quantize_per_tensor": "a picture is given in float, and an Ethos-U has none",
        "dequantize_per_tensor": "the result is given in float, and an Ethos-U has none",
    }

    def __init__(self, accelerator: str = "ethos-u55-256", folder: Path | None = None) -> None:
        """``accelerator``: as Vela names it. ``folder``: where Vela leaves what it says of the graph."""
        self.accelerator, self.folder = accelerator, folder

    @property
    def not_run(self) -> str:
        return "its commands run on the device only: Arm's compiler Vela estimates what it takes there"

    def graph(self, module: "nn.Module") -> "nn.Module":
        """The quantized graph itself, which clips, too: inside of another module an export loses what Arm's quantizer
        marks on its nodes, and Arm's partitioner takes none of them."""
        return module.model.graph  # type: ignore[union-attr, return-value]

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

        spec = EthosUCompileSpec(self.accelerator)
        if self.folder is not None:
            spec.dump_intermediate_artifacts_to(str(self.folder))
        return EthosUPartitioner(spec)


def vela_summary(folder: Path) -> dict[str, str]:
    """What Vela wrote of the one graph that it compiled below ``folder``, by its own names; nothing where there were
    none or several, of which it keeps the last."""
    graphs, summaries = list(folder.glob("output_tag*.tosa")), list(folder.rglob("*_summary_*.csv"))
    if len(graphs) != 1 or not summaries:
        return {}
    with summaries[0].open(newline="") as file:
        return next(csv.DictReader(file), {})
