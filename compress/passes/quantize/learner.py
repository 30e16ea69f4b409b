"""A quantized model that learns: weights and biases of its convolutions, one truth for the schemes of all formats."""

import io
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.latent import LATENT_STRIDE, noise_shape
from compress.elir.state import load_pickled
from compress.errors import InputError
from compress.files import write_buffer
from compress.passes.base import Pass, Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.elir import as_quantized, pack, unpack
from compress.passes.quantize.model import Conv, Layer, build, replace_module
from compress.passes.quantize.modules import QuantConv
from compress.passes.quantize.round_weights import WEIGHT_MAX, QuantizedWeight, limit_pairs
from compress.passes.quantize.schemes import SCHEMES, Scheme
from compress.passes.shrink.sparsity import hold
from compress.surroundings import fresh_start

KEPT_EVERY_S = 60.0
TINY = 1e-16  # Adam's epsilon: gradients of a step of a weight are far below its usual 1e-8


class LearningPass(Pass):
    """A pass after ``ptq`` of our own engine: the layers that it learns take the place of those that were settled."""

    def requires(self, subject: Subject) -> None:
        if subject.quantized is None:
            raise InputError(f"passes: {self.name} starts from a quantized model: put ptq before it")
        if not subject.quantized.layers:
            engine = subject.quantized.engine
            raise InputError(f"passes: {self.name} cannot learn what engine {engine} wrote: use engine elir")

    def call(self, subject: Subject) -> None:
        settings = subject.quantized.settings
        convs: dict[str, Any] = {name: subject.model.get_submodule(name) for name in subject.quantized.layers}
        kept = subject.keep(self.name, lambda: pack(self.learn(subject, convs), convs))
        settled = subject.quantized
        subject.quantized = as_quantized(subject, convs, unpack(kept, convs, settings), settings)
        subject.quantized.ranges = settled.ranges
        subject.notes.append(f"{self.name}: {self.summary(subject, list(convs))}")
        self.review(subject, settled)

    @abstractmethod
    def learn(self, subject: Subject, convs: dict[str, Conv]) -> dict[str, Layer]:
        """What is learnt of each convolution."""

    def review(self, subject: Subject, settled: QuantizedModel) -> None:
        """Put modules of ``settled`` back where what was learnt does not help. Here: nowhere."""

    @abstractmethod
    def summary(self, subject: Subject, convs: list[str]) -> str:
        """What was done, for the notes."""


def crops(subject: Subject, count: int, side: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """``count`` random squares of the calibration pictures in turn, (1, 3, S, S) in [0, 1], with noise of their own."""
    side = min(side, *subject.shape)
    pictures = _forever(subject)
    for _ in range(count):
        crop = _crop(next(pictures), side, generator)
        yield crop, torch.randn(noise_shape(side, side), generator=generator)


class TrainingProgress:
    """How far a training is, in a file: a run that was killed goes on there, to the same weights.

    ``parts`` have ``state_dict`` and ``load_state_dict``. ``path`` None keeps nothing.
    """

    def __init__(self, path: Path | None, **parts: Any) -> None:
        self.path, self.parts = path, parts
        self._kept = time.monotonic()

    def resume(self) -> int:
        """Put the parts where an earlier run left them; the steps that it had done, 0 where there was none."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            # A bundle's folder may come from a stranger.
            state: Any = load_pickled(self.path)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            return int(state["done"])
        except Exception:  # torch raises by where the damage lies
            raise InputError(f"{self.path}: damaged: delete it, or start again ({fresh_start()})") from None

    def did(self, steps: int) -> None:
        """``steps`` are done; kept every minute."""
        if self.path is None or time.monotonic() - self._kept < KEPT_EVERY_S:
            return
        buffer = io.BytesIO()
        torch.save({"done": steps, **{name: part.state_dict() for name, part in self.parts.items()}}, buffer)
        write_buffer(self.path, buffer)
        self._kept = time.monotonic()

    def end(self) -> None:
        """Everything is done: the file goes."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class Student:
    """The quantized model with weights and biases that learn: one of each, for the schemes of all formats.

    ``models``: (lq, noise) -> hq, not clipped, one for each scheme with numbers of its own. Weights are learnt in
    quantization steps, from where the float weight lies within the integer that ptq chose; Euler steps share them, and
    each has biases of its own.
    """

    def __init__(self, subject: Subject, convs: dict[str, Conv]) -> None:
        self.convs, self.before = convs, subject.quantized.layers
        self.weights: dict[int, LearntWeight] = {}
        self.shifts: dict[str, nn.Parameter] = {}
        for name, conv in convs.items():
            weight = self.before[name].weight
            if id(conv.weight) not in self.weights:
                learnt = self.weights[id(conv.weight)] = LearntWeight(conv, weight)
                if subject.sparse:
                    hold(learnt.steps, conv.weight == 0)
            self.shifts[name] = nn.Parameter(torch.zeros(len(weight.scales)))
        # XNNPACK's numbers are ONNX Runtime's, less 128.
        schemes = {
            replace(SCHEMES[name], signed=SCHEMES[name].symmetric, enlarges=False) for name in subject.quantized.modules
        }
        self.models = [self._learning(subject, scheme) for scheme in sorted(schemes, key=str)]

    def _learning(self, subject: Subject, scheme: Scheme) -> nn.Module:
        model = build(subject.model, scheme, self.convs, self.before).requires_grad_(False).train()
        for name, conv in self.convs.items():
            quantized = model.get_submodule(name)
            if isinstance(quantized, QuantConv):
                learnt = LearntConv(quantized, self.weights[id(conv.weight)], self.shifts[name], self._step(name))
                replace_module(model, name, learnt)
        return model

    def _step(self, name: str) -> float:
        """The 255th part of a convolution's output range."""
        outputs = self.before[name].outputs
        return (outputs.high - outputs.low) / 255

    def state_dict(self) -> dict[str, Tensor]:
        """What was learnt so far, by number."""
        return {str(i): parameter.detach() for i, parameter in enumerate(self._parameters())}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from ``state_dict``."""
        for i, parameter in enumerate(self._parameters()):
            parameter.copy_(state[str(i)])

    def _parameters(self) -> Sequence[nn.Parameter]:
        return [*(w.steps for w in self.weights.values()), *self.shifts.values()]

    def groups(self, bias_rate: float, weight_rate: float) -> list[dict[str, object]]:
        """The optimizer's parameter groups; what has rate 0 is not learnt."""
        weights = [w.steps for w in self.weights.values()]
        groups = [(weights, weight_rate), (list(self.shifts.values()), bias_rate)]
        for parameters, rate in groups:
            for parameter in parameters:
                parameter.requires_grad_(rate > 0)
        return [{"params": parameters, "lr": rate} for parameters, rate in groups if rate > 0]

    @torch.no_grad()
    def layers(self) -> dict[str, Layer]:
        """What was learnt, in place of what ptq settled."""
        weights = {key: weight.quantized() for key, weight in self.weights.items()}
        learnt = {}
        for name, layer in self.before.items():
            conv = self.convs[name]
            start = conv.bias if layer.bias is None else layer.bias
            bias = moved(start, self.shifts[name], self._step(name)).detach()
            learnt[name] = replace(layer, weight=weights[id(conv.weight)], bias=bias)
        return learnt


def moved(bias: Tensor | None, shift: Tensor, step: float) -> Tensor:
    """``bias`` plus ``shift`` steps."""
    return shift * step if bias is None else bias + shift * step


class LearntWeight(nn.Module):
    """A weight on its grid; the gradient goes straight through the rounding (arXiv 1308.3432)."""

    def __init__(self, conv: Conv, weight: QuantizedWeight) -> None:
        super().__init__()
        self.weight, self.limit = weight, WEIGHT_MAX[weight.bits]
        shape = [1] * conv.weight.ndim
        shape[weight.axis] = -1
        self.scale = weight.scales.view(shape)
        values = weight.values.float()
        # Just inside of the integer's cell: a learning rate of a step a hundred updates can move it either way.
        exact = (conv.weight.detach() / self.scale).clamp(values - 0.49, values + 0.49)
        self.steps = nn.Parameter(exact)

    def integers(self) -> Tensor:
        """Whole steps, within the limit."""
        rounded = self.steps.detach().round().clamp(-self.limit, self.limit)
        return limit_pairs(rounded, 1 - self.weight.axis) if self.weight.paired else rounded

    def forward(self) -> Tensor:
        return (self.steps + (self.integers() - self.steps).detach()) * self.scale

    def quantized(self) -> QuantizedWeight:
        """The weight as integers."""
        return replace(self.weight, values=self.integers().to(torch.int8))


class LearntConv(nn.Module):
    """A ``QuantConv`` whose weight and bias learn."""

    def __init__(self, conv: QuantConv, weight: LearntWeight, shift: nn.Parameter, step: float) -> None:
        super().__init__()
        self.conv, self.weight, self.shift, self.step = conv, weight, shift, step

    def forward(self, x: Tensor) -> Tensor:
        return self.conv.convolve(x, self.weight(), moved(self.conv.bias, self.shift, self.step))


def _forever(subject: Subject) -> Iterator[Tensor]:
    while True:
        for lq, _ in subject.calibration():
            yield lq


def _crop(picture: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random square of a (1, 3, S, S) picture, on the latent's grid."""
    y, x = (
        int(torch.randint((n - side) // LATENT_STRIDE + 1, (1,), generator=generator)) * LATENT_STRIDE
        for n in picture.shape[-2:]
    )
    return picture[..., y : y + side, x : x + side]
