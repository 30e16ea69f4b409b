"""Training: MMSE and flow on cached latents, then the whole model on pixels; EMA, resumable, seeded.

What step i sees depends on the seed and i alone, so that a run that was killed ends where an undisturbed one does.
"""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.elir.losses import consistency_loss, flow_matching_loss, mmse_loss, pixel_loss
from compress.elir.model import Elir, noise_shape
from compress.errors import InputError, VerificationError
from compress.files import sha256_text, whole_file
from compress.lpips import MIN_SIZE as LPIPS_MIN_SIZE
from compress.lpips import Lpips
from compress.schema import TrainRecipe, TrainStage

Batch = Callable[[int, int, int], tuple[Tensor, Tensor]]
Log = Callable[[dict[str, Any]], None]
Terms = Iterator[tuple[str, Tensor]]
LPIPS_STRIDE = 4  # of AlexNet's first convolution
COLOR_CELL = 16  # px
GRAD_CLIP = 1.0
STAGE_STRIDE = 10_000_000  # batch numbers between two stages: no stage has so many steps


@dataclass
class Training:
    """Everything that a checkpoint must hold, and what the steps need.

    ``batch(index, count, crop)`` -> (degraded, clean) pictures (count, 3, crop, crop) in [0, 1].
    ``teacher`` holds a frozen copy of the autoencoder (``enc``, ``dec``).
    ``log`` receives a dict a step (``stage``, ``step``, ``of`` and the weighted terms of the loss), and others with
    ``validation``, ``encoded`` or ``resumed``. ``validate`` measures the averaged model.
    """

    recipe: TrainRecipe
    model: Elir
    teacher: Elir
    batch: Batch
    folder: Path
    log: Log
    validate: Callable[[Elir], dict[str, float]] | None = None
    ema: Elir = field(init=False)
    stage_index: int = 0
    step: int = 0
    optimizer: torch.optim.AdamW | None = None
    _optimizer_state: dict[str, Any] | None = None  # a resumed stage's, until its optimiser exists
    _cache: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        for i, stage in enumerate(self.recipe.stages):
            check_stage(stage, f"stages[{i}]")
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.teacher.requires_grad_(False)

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.folder / "checkpoint.pt"

    @property
    def recipe_hash(self) -> str:
        """Names the recipe that a checkpoint belongs to."""
        return sha256_text(self.recipe.model_dump_json())

    def run(self) -> Elir:
        """Train to the end, from the last checkpoint where there is one; returns the averaged model.

        Raises InputError (the loss diverged; a checkpoint of another recipe) or VerificationError (a damaged one).
        """
        with torch.random.fork_rng(devices=[]):
            self._resume()
            while self.stage_index < len(self.recipe.stages):
                self._stage(self.recipe.stages[self.stage_index])
                self.stage_index, self.step, self.optimizer, self._cache = self.stage_index + 1, 0, None, None
                self._save()
        return self.ema.eval()

    # --- one stage ---------------------------------------------------------------------------------------------

    def _stage(self, stage: TrainStage) -> None:
        learn = self._learning_parameters(stage)
        self.optimizer = torch.optim.AdamW(learn, lr=stage.lr)
        if self._optimizer_state is not None:
            self.optimizer.load_state_dict(self._optimizer_state)
            self._optimizer_state = None
        lpips = Lpips().to(self._device) if stage.weights.lpips else None
        saved = time.monotonic()
        while self.step < stage.steps:
            losses = self._step(stage, learn, self.optimizer, lpips)
            self.step += 1
            self._log(of=stage.steps, **losses)
            if self.step % self.recipe.validate_every == 0 and self.validate:
                self._log(validation=self.validate(self.ema))
            if time.monotonic() - saved > 60 * self.recipe.checkpoint_minutes:
                self._save()
                saved = time.monotonic()

    def _learning_parameters(self, stage: TrainStage) -> list[nn.Parameter]:
        self.model.requires_grad_(False)
        for name in stage.modules:
            getattr(self.model, name).requires_grad_(True)
        return [p for name in stage.modules for p in getattr(self.model, name).parameters()]

    def _step(
        self, stage: TrainStage, learn: list[nn.Parameter], optimizer: torch.optim.AdamW, lpips: Lpips | None
    ) -> dict[str, float]:
        index = self.stage_index * STAGE_STRIDE + self.step
        torch.manual_seed(_step_seed(self.recipe.model.seed, index))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(stage, self.step)
        terms = dict(self._latent_terms(stage) if stage.space == "latents" else self._pixel_terms(stage, index, lpips))
        loss = torch.stack(list(terms.values())).sum()
        self._check_finite("loss", loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # A finite loss can have an infinite gradient: one such step would fill weights and average with NaN.
        self._check_finite("gradient", nn.utils.clip_grad_norm_(learn, GRAD_CLIP))
        optimizer.step()
        self._average()
        return {name: round(value.item(), 5) for name, value in terms.items()}

    def _check_finite(self, name: str, value: Tensor) -> None:
        if not torch.isfinite(value):
            where = f"stage {self.stage_index}, step {self.step}"
            raise InputError(f"training diverged at {where}: {name} is {value.item()}: lower the stage's lr")

    def _average(self) -> None:
        # A young average would hold mostly the start: let the decay grow with the steps taken.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step)) if self.stage_index == 0 else self.recipe.ema
        with torch.no_grad():
            for mean, value in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)

    # --- the terms of the loss, weighted ------------------------------------------------------------------------

    def _latent_terms(self, stage: TrainStage) -> Terms:
        if self._cache is None:
            self._cache = self._encode(stage)
        x_lq, x_hq = self._cache
        pick = torch.randint(len(x_lq), (stage.batch,))
        # Random windows of the cached latents: more variety for no encoding; a multiple of 4 for the flow net.
        side = max(4, x_lq.shape[-1] // 2 // 4 * 4)
        y, x = (int(torch.randint(x_lq.shape[-1] - side + 1, (1,))) for _ in range(2))
        window = (pick, slice(None), slice(y, y + side), slice(x, x + side))
        with self._autocast(stage):
            yield from self._flow_terms(stage, self.model.mmse(x_lq[window]), x_hq[window], None)

    @torch.no_grad()
    def _encode(self, stage: TrainStage) -> tuple[Tensor, Tensor]:
        pairs = []
        for i in range(stage.cached_crops):
            lq, hq = self._batch(i, 1, stage.crop)
            pairs.append((self.model.enc(lq), self.teacher.enc(hq)))
            if i % 100 == 0:
                self._log(encoded=i, of=stage.cached_crops)
        return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])

    def _pixel_terms(self, stage: TrainStage, index: int, lpips: Lpips | None) -> Terms:
        lq, hq = self._batch(index, stage.batch, stage.crop)
        lq = lq.contiguous(memory_format=torch.channels_last)
        with self._autocast(stage):
            with torch.no_grad():
                x_hq = self.teacher.enc(hq)
            x_mmse = self.model.mmse(self.model.enc(lq))
            yield from self._flow_terms(stage, x_mmse, x_hq, hq)
            if stage.weights.l1 or stage.weights.lpips or stage.weights.color:
                yield from self._output_terms(stage, self._sample(x_mmse), hq, lpips)

    def _sample(self, x_mmse: Tensor) -> Tensor:
        """Output of the K-step sampler from the latent estimate, with gradient through every step."""
        height, width = (8 * n for n in x_mmse.shape[-2:])
        noise = torch.randn(noise_shape(height, width, len(x_mmse))).to(x_mmse.device)
        z = x_mmse + self.model.sigma_s * noise
        for k in range(self.model.k_steps):
            z = z + self.model.fmir.velocity(z, k, self.model.k_steps) / self.model.k_steps
        return self.model.dec(z).float()

    def _output_terms(self, stage: TrainStage, out: Tensor, hq: Tensor, lpips: Lpips | None) -> Terms:
        w = stage.weights
        if w.l1:
            yield "l1", w.l1 * (out - hq).abs().mean()
        if w.color:
            yield "color", w.color * nn.functional.avg_pool2d(out - hq, COLOR_CELL).abs().mean()
        if lpips is not None:
            # AlexNet's stride of 4 sits on the decoder's grid of 8: unshifted, the decoder learns to weave a
            # pattern of that period which LPIPS does not see.
            dy, dx = (int(torch.randint(LPIPS_STRIDE, (1,))) for _ in range(2))
            shift = (slice(None), slice(None), slice(dy, None), slice(dx, None))
            yield "lpips", w.lpips * lpips(out[shift], hq[shift]).mean()

    def _flow_terms(self, stage: TrainStage, x_mmse: Tensor, x_hq: Tensor, pixels: Tensor | None) -> Terms:
        w, settings = stage.weights, self.recipe.model
        x_hq = x_hq.float()
        if w.mmse:
            yield "mmse", w.mmse * mmse_loss(x_mmse.float(), x_hq)
        if not (w.consistency or w.pixel or w.flow_matching):
            return
        x_0 = x_mmse.detach().float() + self.model.sigma_s * torch.randn(x_hq.shape).to(x_hq.device)
        if w.flow_matching:
            t = torch.rand(len(x_0)).to(x_hq.device)
            yield "flow_matching", w.flow_matching * flow_matching_loss(self.model.fmir, x_0, x_hq, t)
        if not (w.consistency or w.pixel):
            return
        t = (torch.rand(len(x_0)) * (1 - settings.dt)).to(x_hq.device)
        loss, f, e = consistency_loss(self.model.fmir, x_0, x_hq, t, settings.dt, settings.k_steps)
        if w.consistency:
            yield "consistency", w.consistency * loss
        if w.pixel and pixels is not None:
            yield "pixel", w.pixel * pixel_loss(self.model.fmir, self.teacher.dec, f, e, pixels)

    # --- checkpoints -------------------------------------------------------------------------------------------

    def _save(self) -> None:
        state = {
            "recipe_hash": self.recipe_hash,
            "stage_index": self.stage_index,
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
        }
        with whole_file(self.checkpoint) as part:
            torch.save(state, part)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = _read_training_state(self.checkpoint)
        if state["recipe_hash"] != self.recipe_hash:
            raise InputError(f"{self.checkpoint}: belongs to another recipe: use another --out or --fresh")
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.stage_index, self.step = state["stage_index"], state["step"]
        self._optimizer_state = state["optimizer"]
        self._log(resumed=True)

    # --- small things ------------------------------------------------------------------------------------------

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _batch(self, index: int, count: int, crop: int) -> tuple[Tensor, Tensor]:
        degraded, clean = self.batch(index, count, crop)
        return degraded.to(self._device), clean.to(self._device)

    def _log(self, **values: Any) -> None:
        self.log({"stage": self.stage_index, "step": self.step, **values})

    def _autocast(self, stage: TrainStage) -> contextlib.AbstractContextManager:
        return torch.autocast(self._device.type, torch.bfloat16) if stage.bf16 else contextlib.nullcontext()


def _step_seed(seed: int, index: int) -> int:
    """Mixed into 32 bits: torch's generator on the CPU ignores the bits above, so a sum of shifts would lose one."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


def check_stage(stage: TrainStage, name: str) -> None:
    """Raise InputError where a setting would have no effect, or nothing would be learnt."""
    w = stage.weights
    if stage.space == "latents":
        if idle := [term for term in ("pixel", "l1", "lpips", "color") if getattr(w, term)]:
            raise InputError(f"{name}: weights.{idle[0]} needs pixels, space is latents: set it to 0, or space: pixels")
        if idle := [module for module in stage.modules if module in ("enc", "dec")]:
            raise InputError(f"{name}: {idle[0]} cannot learn in space latents: leave it out of modules")
    # The random shift takes up to LPIPS_STRIDE - 1 px.
    if w.lpips and stage.crop < LPIPS_MIN_SIZE + LPIPS_STRIDE:
        raise InputError(f"{name}: weights.lpips needs crops of 64 px or more, crop is {stage.crop}: raise it")
    if not any(w.model_dump().values()) or not stage.modules:
        raise InputError(f"{name}: nothing to learn: give one of weights a value above 0, and modules a name")


def _read_training_state(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        # torch raises UnpicklingError, RuntimeError, EOFError ... by where the damage lies.
        raise VerificationError(f"{path}: damaged training checkpoint: start anew with --fresh") from None
    if not isinstance(state, dict) or not {"recipe_hash", "model", "ema", "optimizer"} <= state.keys():
        raise VerificationError(f"{path}: not a training checkpoint: use another --out or --fresh")
    return state


def learning_rate(stage: TrainStage, step: int) -> float:
    """Linear warm-up, then cosine from ``lr`` to 1 % of it at the stage's end."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
