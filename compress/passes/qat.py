"""qat: the quantized model learns to give what the float model gives, whatever format it is written to."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import InputError
from compress.measure.decibels import decibels
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.learner import TINY, LearningPass, Student, TrainingProgress, crops
from compress.passes.quantize.model import Conv, Layer
from compress.recipe.passes import QatSettings

WARM_UP = 5  # updates
JUDGED = 8  # crops
TOLERATED_DB = 0.1  # of fidelity: what so few crops cannot tell apart
EQUAL = {"xnnpack": "onnxruntime"}  # schemes that compute the same numbers


class Qat(LearningPass):
    """Biases and weights of the quantized convolutions, by distillation from the float model, on the fixed ranges."""

    name = "qat"
    settings: QatSettings

    def summary(self, subject: Subject, convs: list[str]) -> str:
        return f"{self.settings.steps} steps on {subject.calibration_count} pictures"

    def learn(self, subject: Subject, convs: dict[str, Conv]) -> dict[str, Layer]:
        s = self.settings
        student = Student(subject, convs)
        optimizer = torch.optim.Adam(student.groups(s.bias_rate, s.weight_rate), betas=(0.9, 0.99), eps=TINY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        underway = TrainingProgress(
            subject.underway(self.name), student=student, optimizer=optimizer, schedule=schedule
        )
        begin = underway.resume()
        for step, (lq, noise) in enumerate(self._batches(subject)):
            if step < begin:
                continue
            with torch.no_grad():
                wanted = subject.model(lq, noise)
            loss = functional.mse_loss(student.models[step % len(student.models)](lq, noise), wanted)
            if not torch.isfinite(loss):
                raise InputError(
                    f"passes.qat: the loss is not a number at step {step}: lower bias_rate and weight_rate"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            fidelity = decibels(loss.item())
            subject.advance(f"{fidelity:.1f} dB to the float model, step", step + 1, s.steps)
            underway.did(step + 1)
        underway.end()
        return student.layers()

    def review(self, subject: Subject, settled: QuantizedModel) -> None:
        """A scheme that is further from the float model than ptq had left it gets ptq's module back.

        What is learnt is shared by all schemes. Where their errors differ in sign, what helps those that were worst
        harms the one that was best.
        """
        modules = subject.quantized.modules
        before, after = (self._fidelity(subject, m) for m in (settled.modules, modules))
        for name in modules:
            if after[name] < before[name] - TOLERATED_DB:
                modules[name] = settled.modules[name]
                subject.notes.append(
                    f"{self.name}: {name} stays as ptq left it, {before[name]:.1f} dB from the float model, "
                    f"{after[name]:.1f} dB with what was learnt"
                )

    @torch.no_grad()
    def _fidelity(self, subject: Subject, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """dB by scheme, on crops with noise that no update saw."""
        generator = torch.Generator().manual_seed(self.settings.seed + 1)
        pairs = list(crops(subject, JUDGED, self.settings.crop, generator))
        wanted = [subject.model(*pair).clamp(0, 1) for pair in pairs]
        fidelities: dict[str, float] = {}
        for name, module in modules.items():
            if EQUAL.get(name) in fidelities:
                fidelities[name] = fidelities[EQUAL[name]]
                continue
            outputs = [module(*pair).clamp(0, 1) for pair in pairs]
            error = sum(functional.mse_loss(y, w).item() for y, w in zip(outputs, wanted, strict=True)) / JUDGED
            fidelities[name] = decibels(error)
        return fidelities

    def _rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine."""
        return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / self.settings.steps))

    def _batches(self, subject: Subject) -> Iterator[tuple[Tensor, Tensor]]:
        s = self.settings
        stream = crops(subject, s.steps * s.batch, s.crop, torch.Generator().manual_seed(s.seed))
        for _ in range(s.steps):
            batch = [next(stream) for _ in range(s.batch)]
            yield torch.cat([lq for lq, _ in batch]), torch.cat([noise for _, noise in batch])
