"""Distillation: a smaller ELIR learns to do what a trained one does, in fewer Euler steps (the flow is consistent along
its trajectory, arXiv 2407.02398, so that one long step can end where several short ones do)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from compress.elir.latent import noise_shape
from compress.elir.model import Elir
from compress.elir.train.loop import WHOLE, Training
from compress.elir.train.objective import COLOR_CELL, LPIPS_STRIDE
from compress.elir.train.state import recipe_hash
from compress.errors import InputError, VerificationError
from compress.files import whole_file
from compress.measure.lpips import MIN_SIZE as LPIPS_MIN_SIZE
from compress.measure.lpips import Lpips
from compress.recipe.train import DistillStage
from compress.surroundings import fresh_start
from compress.tensors import read_tensors

TEACHER_TERMS = ("latent", "mmse", "trajectory", "output")
PICTURE_TERMS = ("output", "l1", "lpips", "color")
# Networks that a term's gradient reaches, where each reads the teacher's: with the student's own, those before, too.
TEACHES = {"latent": "enc", "mmse": "mmse", "trajectory": "fmir", **dict.fromkeys(PICTURE_TERMS, "dec")}
ORDER = ("enc", "mmse", "fmir", "dec")
# What a model made of a batch, by name: latent and mmse (n, 16, h, w), path (n, steps, 16, h, w), output (n, 3, H, W).
Made: TypeAlias = dict[str, Tensor]


class Distillation(nn.Module):
    """(lq, hq, noise, what the teacher made of them) -> the stage's weighted terms by name, scalars.

    Pictures are (n, 3, H, W) in [0, 1], noise (n, 16, H/8, W/8) standard normal.
    """

    def __init__(self, student: Elir, stage: DistillStage) -> None:
        super().__init__()
        self.student, self.stage = student, stage
        self.lpips = Lpips().to(next(student.parameters()).device) if stage.weights.lpips else None

    def forward(self, lq: Tensor, hq: Tensor, noise: Tensor, taught: Made) -> dict[str, Tensor]:
        """The terms that have a weight; their sum is the loss."""
        with self._autocast(lq.device.type):
            made = self._forced(lq, noise, taught) if self.stage.inputs == "teacher" else self._free(lq, noise)
            weights = self.stage.weights
            return {name: getattr(weights, name) * value for name, value in self._terms(made, hq, taught)}

    def _free(self, lq: Tensor, noise: Tensor) -> Made:
        latent = self.student.enc(lq.contiguous(memory_format=torch.channels_last))
        mmse = self.student.mmse(latent)
        path = self._path(mmse, noise)
        return {"latent": latent, "mmse": mmse, "path": path, "output": self.student.decode(path[:, -1], lq)}

    def _forced(self, lq: Tensor, noise: Tensor, taught: Made) -> Made:
        """Each network on the teacher's own input to that network; those without a term of theirs do not run."""
        w = self.stage.weights
        made: Made = {}
        if w.latent:
            made["latent"] = self.student.enc(lq.contiguous(memory_format=torch.channels_last))
        if w.mmse:
            made["mmse"] = self.student.mmse(taught["latent"])
        if w.trajectory:
            made["path"] = self._path(taught["mmse"], noise)
        if any(getattr(w, name) for name in PICTURE_TERMS):
            made["output"] = self.student.decode(taught["path"][:, -1], lq)
        return made

    def _path(self, mmse: Tensor, noise: Tensor) -> Tensor:
        """Latents after each of the student's Euler steps (n, steps, 16, h, w)."""
        z = mmse + self.student.sigma_s * noise
        steps, path = self.student.k_steps, []
        for k in range(steps):
            z = z + self.student.fmir.velocity(z, k, steps) / steps
            path.append(z)
        return torch.stack(path, 1)

    def _terms(self, made: Made, hq: Tensor, taught: Made) -> Iterator[tuple[str, Tensor]]:
        w = self.stage.weights
        for name in ("latent", "mmse"):
            if getattr(w, name):
                yield name, (made[name].float() - taught[name]).square().mean()
        if w.trajectory:
            own, given = at_same_times(made["path"], taught["path"])
            yield "trajectory", (own.float() - given).square().mean()
        if "output" not in made:
            return
        out = made["output"].float()
        if w.output:
            yield "output", (out - taught["output"]).abs().mean()
        if w.l1:
            yield "l1", (out - hq).abs().mean()
        if w.color:
            yield "color", nn.functional.avg_pool2d(out - hq, COLOR_CELL).abs().mean()
        if self.lpips is not None:
            # Shifted, or the decoder learns to weave a pattern of AlexNet's stride, as in `objective`.
            dy, dx = (int(torch.randint(LPIPS_STRIDE, (1,))) for _ in range(2))
            shift = (slice(None), slice(None), slice(dy, None), slice(dx, None))
            yield "lpips", self.lpips(out[shift], hq[shift]).mean()

    def _autocast(self, device: str) -> contextlib.AbstractContextManager:
        return torch.autocast(device, torch.bfloat16) if self.stage.bf16 else contextlib.nullcontext()


def at_same_times(own: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """The latents of two paths (n, steps, ...) at the times t = k / steps that both have; t = 1 always is one."""
    short, long = own.shape[1], given.shape[1]
    pairs = [(i, (i + 1) * long // short - 1) for i in range(short) if (i + 1) * long % short == 0]
    mine, theirs = zip(*pairs, strict=True)
    return own[:, list(mine)], given[:, list(theirs)]


class DistillTraining(Training):
    """Training of a student, ``model``, by ``teacher``, a whole restorer; resumable as any training is."""

    _taught_cache: tuple[int, Made] | None = None  # number of the stage, and its crops

    def _check(self, stage: DistillStage, name: str) -> None:
        check_distill_stage(stage, name)

    def _objective(self, stage: DistillStage, share: slice) -> nn.Module:
        return Distillation(self.model, stage)

    def _taught(self, stage: DistillStage) -> set[str]:
        return taught_modules(stage)

    def _draw(self, stage: DistillStage, share: slice) -> tuple[Tensor | Made, ...]:
        """Seed torch's generator for this step; (lq, hq, noise, what the teacher made of them)."""
        torch.manual_seed(self._step_seed)
        if stage.cached_crops:
            return self._cached(stage, share)
        lq, hq = self._on_device(self.batch(self._index, stage.batch, stage.crop, share))
        noise = torch.randn(noise_shape(stage.crop, stage.crop, stage.batch))[share].to(lq.device)
        taught = teach(self.teacher, lq, noise, stage) if needs_teacher(stage) else {}
        return lq, hq, noise, taught

    def _cached(self, stage: DistillStage, share: slice) -> tuple[Tensor | Made, ...]:
        if self._taught_cache is None or self._taught_cache[0] != self.stage_index:
            self._taught_cache = self.stage_index, self._encode_all(stage)
            torch.manual_seed(self._step_seed)  # encoding draws, reading what was encoded does not
        pick = torch.randint(stage.cached_crops, (stage.batch,))[share]
        targets = {
            name: _unpack(value[pick]).to(self.processes.device) for name, value in self._taught_cache[1].items()
        }
        return targets.pop("lq"), targets.pop("hq"), targets.pop("noise"), targets

    def _encode_all(self, stage: DistillStage) -> Made:
        """What the teacher makes of ``cached_crops`` crops, kept in the run's folder for when the run is resumed."""
        from safetensors.torch import save_file

        path, made_by = self.folder / f"teacher_{self.stage_index}.safetensors", {"recipe": recipe_hash(self.recipe)}
        if path.exists():
            cache, facts = _read(path)
            if facts == made_by:  # else by another teacher, or of other crops
                _check(path, cache, self._encode_one(stage, 0), stage.cached_crops)
                return cache
        rows = []
        for i in range(stage.cached_crops):
            rows.append(self._encode_one(stage, i))
            if i % 100 == 0:
                self._log(encoded=i, of=stage.cached_crops)
        cache = {name: torch.cat([row[name] for row in rows]).contiguous() for name in rows[0]}
        with whole_file(path) as part:
            save_file(cache, part, made_by)
        return cache

    def _encode_one(self, stage: DistillStage, number: int) -> Made:
        lq, hq = self._on_device(self.batch(self._index + number, 1, stage.crop, WHOLE))
        noise = torch.randn(noise_shape(stage.crop, stage.crop)).to(lq.device)
        made = {"lq": lq, "hq": hq, "noise": noise, **teach(self.teacher, lq, noise, stage)}
        return {name: _pack(value) for name, value in made.items()}


@torch.no_grad()
def teach(teacher: Elir, lq: Tensor, noise: Tensor, stage: DistillStage) -> Made:
    """What the teacher makes of a batch; its picture only where a term asks for it."""
    context = torch.autocast(lq.device.type, torch.bfloat16) if stage.bf16 else contextlib.nullcontext()
    made: Made = {}
    path = []
    with context:
        for name, value in teacher.iter_stages(lq.contiguous(memory_format=torch.channels_last), noise):
            if name.startswith("step_"):
                path.append(value.float())
                if len(path) == teacher.k_steps and not stage.weights.output:
                    break
            else:
                made[name] = value.float()
    return {**made, "path": torch.stack(path, 1)}


def needs_teacher(stage: DistillStage) -> bool:
    """Whether the stage has a term, or inputs, of the teacher's."""
    return stage.inputs == "teacher" or any(getattr(stage.weights, name) for name in TEACHER_TERMS)


def _read(path: Path) -> tuple[Made, dict[str, str]]:
    """What a run kept, and what it was made by. Raises VerificationError for a file that cannot be read."""
    try:
        return read_tensors(path)
    except Exception:  # safetensors' own, OSError and ValueError by what the file is
        raise _damaged(path) from None


def _check(path: Path, kept: Made, first: Made, count: int) -> None:
    """Raise VerificationError unless ``kept`` is of ``count`` crops, each as ``first``."""
    wanted = {name: (value.dtype, (count, *value.shape[1:])) for name, value in first.items()}
    if {name: (value.dtype, value.shape) for name, value in kept.items()} != wanted:
        raise _damaged(path)


def _damaged(path: Path) -> VerificationError:
    return VerificationError(f"{path}: damaged: start again ({fresh_start()})")


def _pack(value: Tensor) -> Tensor:
    """Pictures in 8 bits, which is what files held; latents in float16."""
    if value.ndim == 4 and value.shape[1] == 3:
        return (value * 255).round().clamp(0, 255).to(torch.uint8).cpu()
    return value.half().cpu()


def _unpack(value: Tensor) -> Tensor:
    return value.float() / 255 if value.dtype == torch.uint8 else value.float()


def taught_modules(stage: DistillStage) -> set[str]:
    """Networks that a gradient of the stage's terms reaches."""
    last = {TEACHES[term] for term, weight in stage.weights.model_dump().items() if weight}
    if stage.inputs == "teacher":
        return last
    return set(ORDER[: max(map(ORDER.index, last), default=-1) + 1])


def check_distill_stage(stage: DistillStage, name: str) -> None:
    """Raise InputError where a setting would have no effect, or nothing would be learnt."""
    w = stage.weights
    if w.lpips and stage.crop < LPIPS_MIN_SIZE + LPIPS_STRIDE:
        raise InputError(f"{name}: weights.lpips needs crops of 64 px or more, crop is {stage.crop}: raise it")
    if stage.cached_crops and not needs_teacher(stage):
        raise InputError(f"{name}: cached_crops keeps what the teacher makes, no term asks for that: set it to 0")
    terms = [term for term, weight in w.model_dump().items() if weight]
    if not (taught := taught_modules(stage)) & set(stage.modules):
        what = f"{', '.join(terms) or 'no term'} teaches {', '.join(sorted(taught)) or 'nothing'}"
        raise InputError(
            f"{name}: nothing to learn: {what}, modules is [{', '.join(stage.modules)}]: give weights a term of one of "
            "those, or add to modules"
        )
