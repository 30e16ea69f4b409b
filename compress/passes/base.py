"""What every pass shares: requires, call, ensures."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.elir.finite import first_not_finite
from compress.elir.latent import noise_shape
from compress.elir.model import Elir
from compress.errors import InputError, VerificationError
from compress.recipe.image_size import Shape
from compress.recipe.strict import Strict
from compress.recipe.task import Task

PROBE_SIZE = 64  # px
EXACT = 1e-4  # largest difference of an exact pass, relative to the output's largest value


def _no_float_graph(format_: str) -> Any:
    raise RuntimeError(f"this subject has no float {format_} graph: set Subject.float_graph")


@dataclass
class Subject:
    """What passes work on.

    ``model`` is the float model, kept exact by exact passes. ``calibration`` yields (lq, noise), each of one picture:
    (1, 3, H, W) in [0, 1] and (1, 16, H/8, W/8), H and W those of ``shape``, made on every call and never held
    together. ``quantized`` is what
    a quantizing pass leaves for export. ``float_graph`` gives ``model`` as a runtime's own graph, by format
    (openvino: ov.Model, onnx: ModelProto; inputs lq and noise, static), for engines that work on such graphs.
    ``keep(name, make)`` gives what ``make`` gives, tensors by name, or what it gave before the run was interrupted;
    ``underway(name)`` names the file in which a pass that takes long keeps how far it is; None: it keeps nothing.
    ``accelerator``: the Ethos-U that ExecuTorch's program is for, if it is for one. ``htp``: an ONNX file for Hexagon
    NPUs is asked for.
    ``sparse``: weights of the model are 0 on purpose, and stay so.
    ``reference`` is the model before the first pass that changes what it computes; None: no pass did.
    A pass that trains does so for ``task``, below ``folder``, on no picture of ``held_back`` (hash -> its origin), and
    says in its checkpoint's metadata what it was ``made_by``.
    """

    model: Elir
    calibration: Callable[[], Iterator[tuple[Tensor, Tensor]]]
    calibration_count: int
    shape: Shape
    formats: tuple[str, ...]
    quantized: Any = None
    notes: list[str] = field(default_factory=list)
    advance: Callable[[str, int, int], None] = lambda stage, done, total: None
    float_graph: Callable[[str], Any] = _no_float_graph
    keep: Callable[[str, Callable[[], dict[str, Tensor]]], dict[str, Tensor]] = lambda name, make: make()
    underway: Callable[[str], Path | None] = lambda name: None
    accelerator: str = ""
    htp: bool = False
    sparse: bool = False
    reference: Elir | None = None
    task: Task = "sr_x4"
    folder: Path = Path("distill")
    held_back: Mapping[str, str] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)

    def keep_reference(self) -> None:
        """Remember the model as it is, once, before a pass changes what it computes."""
        if self.reference is None:
            self.reference = copy.deepcopy(self.model)

    def probe(self) -> Tensor:
        """The model's output on a small fixed input, to compare before with after.

        Raises VerificationError, naming the layer, for weights that are finite and overflow.
        """
        generator = torch.Generator().manual_seed(0)
        lq = torch.rand(1, 3, PROBE_SIZE, PROBE_SIZE, generator=generator)
        noise = torch.randn(noise_shape(PROBE_SIZE, PROBE_SIZE), generator=generator)
        with torch.no_grad():
            output = self.model(lq, noise)
        if not torch.isfinite(output).all():
            layer = first_not_finite(self.model, lq, noise) or "its output"
            raise VerificationError(f"the model gives NaN or Inf, first in {layer}: check its weights")
        return output


class Pass(ABC):
    """One step of a recipe. ``exact`` passes may not change what the model computes, and are checked for it."""

    name: str
    exact: bool = False

    def __init__(self, settings: Strict) -> None:
        self.settings = settings

    def run(self, subject: Subject) -> None:
        """requires -> call -> ensures. Raises InputError when the pass makes no sense here."""
        self.requires(subject)
        before = subject.probe() if self.exact else None
        self.call(subject)
        self._ensure_finite(subject.model)
        if before is not None:
            self._ensure_exact(before, subject.probe())

    def requires(self, subject: Subject) -> None:
        """Raise InputError, with the reason, unless the pass may run on ``subject``."""
        if subject.quantized is not None:
            raise InputError(f"passes: {self.name} comes after a quantizing pass: put it before ptq")

    def check(self, model: Elir, task: Task) -> None:  # noqa: B027 - most have nothing to ask of the model
        """Raise InputError for settings that cannot go with ``model``, as it is loaded, its time folded where the
        recipe folds it. Asked before the run, which may train for hours before it comes to the pass.
        """

    @abstractmethod
    def call(self, subject: Subject) -> None:
        """Do the work on ``subject``, in place."""

    def _ensure_finite(self, model: Elir) -> None:
        """Raise VerificationError at the first tensor of ``model`` in which the pass left NaN or Inf."""
        for name, value in model.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise VerificationError(
                    f"passes: {self.name} left NaN or Inf in {name}: check the weights, or leave it out"
                )

    def _ensure_exact(self, before: Tensor, after: Tensor) -> None:
        error = ((after - before).abs().max() / before.abs().max()).item()
        if not error <= EXACT:
            raise RuntimeError(f"{self.name} changed the output by {error:.1e}, over {EXACT:.0e}")
