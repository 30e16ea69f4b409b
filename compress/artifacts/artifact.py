"""Which artifacts a recipe asks for: format, precision, files."""

from dataclasses import dataclass

from compress.errors import InputError, VerificationError
from compress.recipe.schema import MADE_BY, PRECISIONS, QUANTIZED, Format, KernelPrecision, Precision, Recipe

ENTRY: dict[Format, str] = {"openvino": "model.xml", "onnx": "model.onnx", "executorch": "model.pte"}

FORMATS = tuple(ENTRY)


@dataclass(frozen=True)
class Artifact:
    """One artifact of a bundle; ``entry`` is relative to the bundle. ``variant``: "" or "tensorrt"."""

    format: Format
    precision: Precision
    variant: str = ""

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.format, self.precision, self.variant)))

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
        name = ENTRY[self.format]
        if self.variant:
            stem, _, suffix = name.partition(".")
            name = f"{stem}_{self.variant}.{suffix}"
        return f"{self.precision}/{self.format}/{name}"

    @property
    def files(self) -> tuple[str, ...]:
        """Every file, relative to the bundle."""
        stem = self.entry.rpartition(".")[0]
        beside = {"openvino": (f"{stem}.bin",), "executorch": (f"{stem}.json",)}  # weights; what a .pte says of itself
        return (self.entry, *beside.get(self.format, ()))


def artifact_of(id_: str, format: Format, precision: Precision) -> Artifact:
    """An artifact as a manifest tells it. Raises VerificationError for an id of another format or precision."""
    artifact = Artifact(format, precision, id_.removeprefix(f"{format}-{precision}").removeprefix("-"))
    if artifact.id != id_:
        raise VerificationError(f"artifact {id_}: its id does not begin with {format}-{precision}: do not use it")
    return artifact


def plan_artifacts(recipe: Recipe) -> list[Artifact]:
    """Every artifact of ``recipe``, floats first. int8 needs ptq, weights the pass weights."""
    ours = recipe.ptq is not None and recipe.ptq.engine == "elir"
    made = [MADE_BY[item.name] for item in recipe.passes if item.name in MADE_BY]
    planned = []
    for format in FORMATS:
        options = getattr(recipe.export, format)
        if options is None:
            continue
        precisions = options.precisions or ["fp32", "fp16", *(made or ["int8"])]
        for precision in precisions:
            if precision in QUANTIZED and precision not in made:
                raise InputError(_not_made(format, precision))
            planned.append(Artifact(format, precision))
        # Only our own engine knows TensorRT's rules; the others' graphs are written for x86.
        if format == "onnx" and options.tensorrt and "int8" in precisions and ours:
            planned.append(Artifact("onnx", "int8", "tensorrt"))
    return sorted(planned, key=lambda a: PRECISIONS.index(a.precision))


def _not_made(format: str, precision: str) -> str:
    kind, pass_ = ("a quantizing pass", "ptq") if precision == "int8" else ("the pass weights", "weights")
    return f"export.{format}: {precision} needs {kind}: add {pass_} to passes or remove {precision}"
