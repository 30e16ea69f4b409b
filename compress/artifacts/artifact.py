"""Which artifacts a recipe asks for: format, precision, files."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from compress.artifacts.backends import BACKENDS
from compress.artifacts.stages import STAGES, stage_files
from compress.errors import InputError, VerificationError
from compress.recipe.backends import TAKES, Backend, backend_of
from compress.recipe.image_size import Shape, exact_text
from compress.recipe.passes import check_format
from compress.recipe.schema import (
    MADE_BY,
    PRECISIONS,
    QUANTIZED,
    ExecutorchExport,
    Format,
    KernelPrecision,
    Layout,
    OnnxExport,
    Precision,
    Recipe,
)

ENTRY: dict[Format, str] = {"openvino": "model.xml", "onnx": "model.onnx", "executorch": "model.pte"}

FORMATS = tuple(ENTRY)

ONNX_VARIANTS = ("tensorrt", "htp")
"""int8 files by the rules of TensorRT, and of Qualcomm's Hexagon NPUs."""


@dataclass(frozen=True)
class Artifact:
    """One artifact of a bundle; ``entry`` is relative to the bundle. ``variant``: "", one of ``ONNX_VARIANTS``, or the
    backend of an ExecuTorch program that is not XNNPACK.

    ``shape``: height and width, where they are not the recipe's first. ``shares``: it keeps its weights in a file that
    artifacts of other shapes read, too, where its format can.
    """

    format: Format
    precision: Precision
    variant: str = ""
    shape: Shape | None = None
    shares: bool = False
    layout: Layout = "single"

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.format, self.precision, self.variant, self.shape_text)))

    @property
    def backend(self) -> Backend:
        """What an ExecuTorch program is lowered for; XNNPACK of what is none."""
        return backend_of(self.variant) if self.format == "executorch" else "xnnpack"

    @property
    def not_run(self) -> str:
        """Why it does not run on this machine, whatever is installed; "" where it does."""
        return BACKENDS[self.backend].not_run

    @property
    def fp32(self) -> "Artifact":
        """The fp32 artifact that it is compared with: of the same backend, by no rules of TensorRT's."""
        return replace(self, precision="fp32", variant="" if self.backend == "xnnpack" else self.variant)

    @property
    def shape_text(self) -> str:
        """384x640; "" for the recipe's first shape."""
        return exact_text(self.shape)

    @property
    def first(self) -> "Artifact":
        """The same for the recipe's first shape."""
        return replace(self, shape=None)

    @property
    def is_float(self) -> bool:
        """Whether nothing in it is quantized."""
        return self.precision not in QUANTIZED

    @property
    def kernels(self) -> KernelPrecision:
        """What it is computed in: where only weights are rounded, fp32."""
        return "fp32" if self.precision == "weights" else self.precision

    @property
    def entry(self) -> str:
        stem, _, suffix = ENTRY[self.format].partition(".")
        if self.layout == "staged":
            stem = STAGES[0]
        name = "_".join(filter(None, (stem, self.variant, self.shape_text)))
        return f"{self.precision}/{self.format}/{name}.{suffix}"

    @property
    def graphs(self) -> dict[str, str]:
        """The file of each graph by its stage, relative to the bundle; of one graph of the whole model, by ""."""
        return stage_files(self.entry) if self.layout == "staged" else {"": self.entry}

    @property
    def files(self) -> tuple[str, ...]:
        """Every file, relative to the bundle, the entry first."""
        return tuple(file for graph in self.graphs.values() for file in (graph, *self._beside(graph)))

    def graphs_at(self, entry: Path) -> list[Path]:
        """Its graphs' files, where its entry lies at ``entry``."""
        others = [entry.with_name(Path(graph).name) for graph in self.graphs.values()]
        return others if len(others) > 1 else [entry]

    def _beside(self, graph: str) -> tuple[str, ...]:
        """Weights; what a .pte says of itself."""
        stem = graph.rpartition(".")[0]
        first = stem if self.layout == "staged" else self.first.entry.rpartition(".")[0]
        beside = {
            "openvino": (f"{first}.bin",),
            "onnx": (f"{first}.data",) if self.shares else (),
            "executorch": (f"{stem}.json",),
        }
        return beside[self.format]


_REST = re.compile(r"(.*?)-?(?:(?<![^-])(\d{1,5})x(\d{1,5}))?", re.DOTALL)


def artifact_of(id_: str, format: Format, precision: Precision, layout: Layout = "single") -> Artifact:
    """An artifact as a manifest tells it. Raises VerificationError for an id of another format or precision."""
    rest = id_.removeprefix(f"{format}-{precision}").removeprefix("-")
    variant, height, width = _REST.fullmatch(rest).groups()  # type: ignore[union-attr]
    shape = (int(height), int(width)) if height else None
    artifact = Artifact(format, precision, variant or "", shape, layout=layout)
    if artifact.id != id_:
        raise VerificationError(f"artifact {id_}: its id does not begin with {format}-{precision}: do not use it")
    return artifact


def not_run(id_: str) -> str:
    """``Artifact.not_run`` of the artifact with this id."""
    # Of other formats, a variant that is called as a backend is a stranger's: it is run, and compared.
    return BACKENDS[backend_of(_variant(id_))].not_run if id_.startswith("executorch-") else ""


def by_own_rules(id_: str) -> bool:
    """Whether the artifact with this id is a file for one runtime, beside the one that others read."""
    return _variant(id_) in ONNX_VARIANTS


def _variant(id_: str) -> str:
    return "".join(id_.split("-")[2:3])


def plan_artifacts(recipe: Recipe) -> list[Artifact]:
    """Every artifact of ``recipe``, by shape, of each floats first. int8 needs ptq, weights the pass weights."""
    ours = recipe.ptq is not None and recipe.ptq.engine == "elir"
    made, layout = [MADE_BY[item.name] for item in recipe.passes if item.name in MADE_BY], recipe.export.layout
    makers = {MADE_BY[item.name]: item.settings for item in recipe.passes if item.name in MADE_BY}
    shapes = [None, *recipe.model.shapes[1:]]
    if len(shapes) > 1 and recipe.ptq is not None and not ours:
        raise InputError(
            f"model.image_sizes: ptq's engine {recipe.ptq.engine} makes graphs of one shape: use engine elir, or "
            "image_size"
        )
    planned = []
    for format in FORMATS:
        options = getattr(recipe.export, format)
        if options is None:
            continue
        variant, precisions = "", options.precisions or ["fp32", "fp16", *(made or ["int8"])]
        if isinstance(options, ExecutorchExport) and options.backend != "xnnpack":
            variant = options.variant
            precisions = [precision for precision in precisions if precision in TAKES[options.backend]]
        for precision in precisions:
            if precision in QUANTIZED and precision not in made:
                raise InputError(_not_made(format, precision))
            if precision in QUANTIZED:
                check_format(makers[precision], format)
            planned += [Artifact(format, precision, variant, shape, len(shapes) > 1, layout) for shape in shapes]
        # Only our own engine knows these rules; the others' graphs are written for x86.
        if isinstance(options, OnnxExport) and "int8" in precisions and ours:
            asked = [name for name in ONNX_VARIANTS if getattr(options, name)]
            planned += [Artifact("onnx", "int8", name, shape, len(shapes) > 1) for name in asked for shape in shapes]
    return sorted(planned, key=lambda a: (shapes.index(a.shape), PRECISIONS.index(a.precision)))


def _not_made(format: str, precision: str) -> str:
    kind, pass_ = ("a quantizing pass", "ptq") if precision == "int8" else ("the pass weights", "weights")
    return f"export.{format}: {precision} needs {kind}: add {pass_} to passes or remove {precision}"
