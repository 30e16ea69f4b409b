"""reconstruct: block by block, the quantized model learns to give what the float model's block gives.

As BRECQ (arXiv 2102.05426), on the sampling trajectory: the blocks of the flow are reconstructed on what every Euler
step gives them, since the steps share their weights. Rounding is learnt with a straight-through gradient from where
the float weight lies between two integers (AdaRound, arXiv 2004.10568, has a soft rounding in its place). Every block
reads what the float model's blocks before it give: one that learnt from the quantized ones would take back their
error, which is gone once they have learnt themselves, and a dozen blocks did so to 32 dB where ptq alone had 45.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.elir.autoencoder import Block
from compress.elir.flow import NormConv, ResnetBlock
from compress.elir.hooks import hooks
from compress.elir.mmse import ResidualDenseBlock
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.quantize.learner import TINY, LearningPass, LearntConv, Student, TrainingProgress, crops
from compress.passes.quantize.model import Conv, Layer
from compress.recipe.passes import ReconstructSettings

BLOCKS = (Block, ResidualDenseBlock, ResnetBlock, NormConv)
NETWORKS = ("enc", "mmse", "fmir", "dec")


@dataclass
class BlockExamples:
    """What one module of the float model reads and gives, a tensor a crop."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


class Reconstruct(LearningPass):
    """Weights and biases of one block after the other, by the squared error of its output, on the fixed ranges."""

    name = "reconstruct"
    settings: ReconstructSettings

    def summary(self, subject: Subject, convs: list[str]) -> str:
        count = len(units(subject.model, convs, self.settings.by))
        return f"{count} {self.settings.by}s, {self.settings.steps} steps each"

    def learn(self, subject: Subject, convs: dict[str, Conv]) -> dict[str, Layer]:
        student = Student(subject, convs)
        student.groups(self.settings.bias_rate, self.settings.weight_rate)
        groups = units(subject.model, list(convs), self.settings.by)
        underway = TrainingProgress(subject.underway(self.name), student=student)
        begin, done = underway.resume(), 0
        for network in NETWORKS:  # all of them at once would be a gigabyte and more
            mine = [names for names in groups if names[0].startswith(network + ".")]
            learnt = max(0, min(begin - done, len(mine)))
            done, mine = done + learnt, mine[learnt:]
            taught = self._teach(subject, [n for names in mine for n in names]) if mine else {}
            for names in mine:
                self._reconstruct(student, names, taught)
                done += 1
                subject.advance(f"reconstruct {names[-1]},", done, len(groups))
                underway.did(done)
        underway.end()
        return student.layers()

    @torch.no_grad()
    def _teach(self, subject: Subject, names: list[str]) -> dict[str, BlockExamples]:
        """What the float model's modules ``names`` read and give."""
        taught = {name: BlockExamples() for name in names}

        def watch(name: str, one: BlockExamples) -> torch.utils.hooks.RemovableHandle:
            def hook(_: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
                one.inputs.append(given[0])
                one.outputs.append(result)

            return subject.model.get_submodule(name).register_forward_hook(hook)

        s = self.settings
        with hooks(watch(name, one) for name, one in taught.items()):
            for lq, noise in crops(subject, s.crops, s.crop, torch.Generator().manual_seed(s.seed)):
                subject.model(lq, noise)
        return taught

    def _reconstruct(self, student: Student, names: list[str], taught: dict[str, BlockExamples]) -> None:
        """Learn one unit's parameters; ``names``: its module in every Euler step."""
        s = self.settings
        groups = _parameters(student, names, s.bias_rate, s.weight_rate)
        if not groups:  # a scheme with quantized outputs leaves it in float, and no other is written
            return
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=TINY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, s.steps)
        generator = torch.Generator().manual_seed(s.seed)
        for step in range(s.steps):
            name = names[int(torch.randint(len(names), (1,), generator=generator))]
            one = taught[name]
            crop = int(torch.randint(len(one.inputs), (1,), generator=generator))
            unit = student.models[step % len(student.models)].get_submodule(name)
            if not any(isinstance(m, LearntConv) for m in unit.modules()):
                continue
            given = (one.inputs[crop], None) if isinstance(unit, ResnetBlock) else (one.inputs[crop],)
            loss = functional.mse_loss(unit(*given), one.outputs[crop])
            if not torch.isfinite(loss):
                raise InputError(
                    f"passes.reconstruct: the loss of {name} is not a number at step {step}: lower bias_rate and "
                    "weight_rate"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def units(model: nn.Module, convs: list[str], by: str) -> list[list[str]]:
    """Modules to reconstruct in the model's order, each with its likes in all Euler steps: the blocks that hold
    ``convs``, and those of them that stand alone; by layer: each of ``convs``."""
    names: dict[str, None] = {}
    for conv in convs:
        names[_holder(model, conv) if by == "block" else conv] = None
    likes: dict[str, list[str]] = {}
    for name in names:
        likes.setdefault(re.sub(r"^fmir\.steps\.\d+\.", "fmir.", name), []).append(name)
    return list(likes.values())


def _holder(model: nn.Module, conv: str) -> str:
    """The outermost block that holds ``conv``; itself, where none does."""
    return next((name for name in _above(conv) if isinstance(model.get_submodule(name), BLOCKS)), conv)


def _above(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))


def _parameters(student: Student, names: list[str], bias_rate: float, weight_rate: float) -> list[dict[str, object]]:
    """The optimizer's groups: what the unit learns, in any scheme."""
    units = [model.get_submodule(name) for model in student.models for name in names]
    learnt = [m for unit in units for m in unit.modules() if isinstance(m, LearntConv)]
    weights = {id(m.weight): m.weight.steps for m in learnt}.values()
    shifts = {id(m.shift): m.shift for m in learnt}.values()
    groups = [(list(weights), weight_rate), (list(shifts), bias_rate)]
    return [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters and rate > 0]
