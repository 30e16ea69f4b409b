"""Training: MMSE and flow on cached latents, then the whole model on pixels; EMA, resumable, seeded.

What step i sees depends on the seed and i alone, so that a run that was killed ends where an undisturbed one does, and
several processes train what one would.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from compress.elir.model import Elir
from compress.elir.train.adversary import Adversary
from compress.elir.train.divergence import save_step
from compress.elir.train.objective import Objective, check_stage, taught_modules
from compress.elir.train.processes import Processes
from compress.elir.train.record import Record
from compress.elir.train.state import damaged_state, read_state, take_state, write_state
from compress.errors import InputError, VerificationError
from compress.recipe.train import DistillRun, Stage, TrainRecipe, TrainStage
from compress.surroundings import fresh_start

Log = Callable[[Record], None]
GRAD_CLIP = 1.0
STAGE_STRIDE = 10_000_000  # batch numbers between two stages: no stage has so many steps
WHOLE = slice(None)


class Batch(Protocol):
    """(degraded, clean) pictures (n, 3, crop, crop) in [0, 1]: those of ``share`` in batch ``index`` of ``count``."""

    def __call__(self, index: int, count: int, crop: int, share: slice) -> tuple[Tensor, Tensor]: ...


@dataclass
class Training:
    """Everything that a checkpoint must hold, and what the steps need.

    ``teacher`` holds a frozen copy of the autoencoder (``enc``, ``dec``).
    ``log`` receives a dict a step (``stage``, ``step``, ``of`` and the weighted terms of the loss), and others with
    ``validation``, ``encoded`` or ``resumed``. ``validate`` measures the averaged model. Of several ``processes`` the
    first alone calls both, and writes files.
    """

    recipe: TrainRecipe | DistillRun
    model: Elir
    teacher: Elir
    batch: Batch
    folder: Path
    log: Log
    validate: Callable[[Elir], dict[str, float]] | None = None
    processes: Processes = field(default_factory=Processes)
    ema: Elir = field(init=False)
    stage_index: int = 0
    step: int = 0
    optimizer: torch.optim.AdamW | None = None
    _optimizer_state: dict[str, Any] | None = None  # a resumed stage's, until its optimiser exists
    _adversary: Adversary | None = None
    _adversary_state: dict[str, Any] | None = None  # a resumed stage's, until its adversary exists
    _cache: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        for i, stage in enumerate(self.recipe.stages):
            self._check(stage, f"stages[{i}]")
            self.processes.share(stage.batch, f"stages[{i}].batch")
        self.model.to(self.processes.device)
        self.teacher.to(self.processes.device).requires_grad_(False)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.folder / "checkpoint.pt"

    @property
    def diverged(self) -> Path:
        """Where a step whose loss or gradient was not finite is kept."""
        return self.folder / "diverged.safetensors"

    def run(self) -> Elir:
        """Train to the end, from the last checkpoint where there is one; returns the averaged model.

        Raises InputError (the loss diverged; a checkpoint of another recipe, or one that cannot be written),
        VerificationError (a damaged one) or Unavailable (another process stopped).
        """
        with torch.random.fork_rng(devices=[]):
            self._resume()
            while self.stage_index < len(self.recipe.stages):
                self._stage(self.recipe.stages[self.stage_index])
                self.stage_index, self.step = self.stage_index + 1, 0
                self.optimizer = self._adversary = self._cache = None
                self._save()
        return self.ema.eval()

    # --- what a stage learns by ---------------------------------------------------------------------------------

    def _check(self, stage: Any, name: str) -> None:
        check_stage(stage, name)

    def _objective(self, stage: Any, share: slice) -> nn.Module:
        assert isinstance(self.recipe, TrainRecipe)
        judge = self._adversary.judge if self._adversary else None
        return Objective(self.model, self.teacher, self.recipe.model, stage, share, judge)

    def _taught(self, stage: Any) -> set[str]:
        return taught_modules(stage)

    # --- one stage ---------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage) -> None:
        learn = self._learning_parameters(stage)
        self.optimizer = torch.optim.AdamW(list(learn.values()), lr=stage.lr)
        if self._optimizer_state is not None:
            with self._damage_refused():
                take_state(self.optimizer, self._optimizer_state)
            self._optimizer_state = None
        share = self.processes.share(stage.batch, f"stages[{self.stage_index}].batch")
        if isinstance(stage, TrainStage) and stage.weights.adversarial:
            torch.manual_seed(self._step_seed)
            self._adversary = Adversary(self.processes)
            if self._adversary_state is not None:
                with self._damage_refused():
                    self._adversary.resume(self._adversary_state)
                self._adversary_state = None
        untaught = bool(set(stage.modules) - self._taught(stage))
        loss = self.processes.together(self._objective(stage, share), untaught=untaught)
        saved = time.monotonic()
        while self.step < stage.steps:
            terms = self._step(stage, learn, self.optimizer, loss, share)
            self.step += 1
            self._log(of=stage.steps, **terms)
            if self.step % self.recipe.validate_every == 0 and self.validate and self.processes.first:
                self._log(validation=self.validate(self.ema))
            if time.monotonic() - saved > 60 * self.recipe.checkpoint_minutes:
                self._save()
                saved = time.monotonic()

    def _learning_parameters(self, stage: Any) -> dict[str, nn.Parameter]:
        self.model.requires_grad_(False)
        for name in stage.modules:
            getattr(self.model, name).requires_grad_(True)
        return {
            f"{name}.{own}": value
            for name in stage.modules
            for own, value in getattr(self.model, name).named_parameters()
        }

    def _step(
        self,
        stage: Stage,
        learn: dict[str, nn.Parameter],
        optimizer: torch.optim.AdamW,
        loss: nn.Module,
        share: slice,
    ) -> dict[str, float]:
        batch = self._draw(stage, share)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(stage, self.step)
        terms = loss(*batch)
        # Every process sees the mean: a term that is not a number in one of them stops all.
        values = self.processes.mean(torch.stack([term.detach().float() for term in terms.values()])).tolist()
        seen = dict(zip(terms, values, strict=True))
        if bad := [name for name, value in seen.items() if not math.isfinite(value)]:
            self._stop(stage, ", ".join(f"{name} is {seen[name]}" for name in bad), seen)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        norm = self._gradient_norm(stage, learn, seen)
        nn.utils.clip_grads_with_norm_(learn.values(), GRAD_CLIP, norm)
        if self._adversary is not None:
            self._teach(self._adversary, stage, batch[1], seen)
        optimizer.step()
        self._average()
        return seen

    def _teach(self, adversary: Adversary, stage: Stage, clean: Tensor, seen: dict[str, float]) -> None:
        """The discriminator's step, before the model's: where it diverges, neither has changed."""
        own = self.processes.mean(adversary.learn(clean)).item()
        if not math.isfinite(own):
            self._stop(stage, f"discriminator is {own}", seen)
        parameters = {f"discriminator.{name}": p for name, p in adversary.discriminator.named_parameters()}
        self._gradient_norm(stage, parameters, seen)
        adversary.step(learning_rate(stage, self.step))
        seen["discriminator"] = own

    def _gradient_norm(self, stage: Stage, learn: dict[str, nn.Parameter], terms: dict[str, float]) -> Tensor:
        norm = nn.utils.get_total_norm([p.grad for p in learn.values() if p.grad is not None])
        # A finite loss can have an infinite gradient: one such step would fill weights and average with NaN.
        if not torch.isfinite(norm):
            bad = [n for n, p in learn.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
            which = f"gradient of {bad[0]}" if bad else "norm of the gradient"
            more = f", and of {len(bad) - 1} more" if len(bad) > 1 else ""
            self._stop(stage, f"{which} is not a finite number{more}", terms)
        return norm

    def _stop(self, stage: Stage, what: str, terms: dict[str, float]) -> NoReturn:
        where = f"stages[{self.stage_index}]"
        kept = ""
        if self.processes.first:
            kept = self._keep_step(stage, what, terms)
        raise InputError(
            f"training diverged in {where}, step {self.step}: {what}: lower {where}.lr (it is {stage.lr:g}) and start "
            f"again ({fresh_start()}){kept}"
        )

    def _keep_step(self, stage: Stage, what: str, terms: dict[str, float]) -> str:
        """Save the whole batch, drawn again, and all else that the step depends on; says where."""
        batch = self._draw(stage, WHOLE)
        facts = {
            **{"what": what, "terms": terms, "stage": self.stage_index, "step": self.step},
            **{"seed": self.recipe.model.seed, "step_seed": self._step_seed, "batch_index": self._index},
            "recipe": self.recipe.model_dump(mode="json"),
        }
        try:
            discriminator = self._adversary.discriminator if self._adversary else None
            save_step(self.diverged, batch, torch.get_rng_state(), self.model, discriminator, facts)
        except InputError as error:
            return f"; its batch could not be kept: {error}"
        return f"; its batch, weights and seeds are in {self.diverged}"

    def _average(self) -> None:
        # A young average would hold mostly the start: let the decay grow with the steps taken.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step)) if self.stage_index == 0 else self.recipe.ema
        with torch.no_grad():
            for mean, value in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)

    # --- what a step sees --------------------------------------------------------------------------------------

    @property
    def _index(self) -> int:
        return self.stage_index * STAGE_STRIDE + self.step

    @property
    def _step_seed(self) -> int:
        """Mixed into 32 bits: torch's generator on the CPU ignores those above, so a sum of shifts would lose one."""
        return int(np.random.SeedSequence((self.recipe.model.seed, self._index)).generate_state(1)[0])

    def _draw(self, stage: Any, share: slice) -> tuple[Tensor, ...]:
        """Seed torch's generator for this step; ``share`` of the step's batch, as ``Objective`` takes it."""
        torch.manual_seed(self._step_seed)
        if stage.space == "pixels":
            return self._on_device(self.batch(self._index, stage.batch, stage.crop, share))
        if self._cache is None:
            self._cache = self._encode(stage)
        x_lq, x_hq = self._cache
        pick = torch.randint(len(x_lq), (stage.batch,))[share]
        # Random windows of the cached latents: more variety for no encoding; a multiple of 4 for the flow net.
        side = max(4, x_lq.shape[-1] // 2 // 4 * 4)
        y, x = (int(torch.randint(x_lq.shape[-1] - side + 1, (1,))) for _ in range(2))
        window = (pick, slice(None), slice(y, y + side), slice(x, x + side))
        return x_lq[window], x_hq[window]

    @torch.no_grad()
    def _encode(self, stage: TrainStage) -> tuple[Tensor, Tensor]:
        pairs = []
        for i in range(stage.cached_crops):
            lq, hq = self._on_device(self.batch(i, 1, stage.crop, WHOLE))
            pairs.append((self.model.enc(lq), self.teacher.enc(hq)))
            if i % 100 == 0:
                self._log(encoded=i, of=stage.cached_crops)
        return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])

    def _on_device(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0].to(self.processes.device), pair[1].to(self.processes.device)

    # --- checkpoints and log -----------------------------------------------------------------------------------

    def _save(self) -> None:
        if not self.processes.first:
            return
        state = {
            "stage_index": self.stage_index,
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "adversary": self._adversary.state() if self._adversary else None,
        }
        write_state(self.checkpoint, self.recipe, state)

    def _resume(self) -> None:
        """Every process reads the file: the folder must be one that all of them see."""
        if self.checkpoint.exists():
            state = read_state(self.checkpoint, self.recipe)
            with self._damage_refused():
                self.model.load_state_dict(state["model"])
                self.ema.load_state_dict(state["ema"])
            self.stage_index, self.step = state["stage_index"], state["step"]
            self._optimizer_state, self._adversary_state = state["optimizer"], state.get("adversary")
            self._log(resumed=True)
        self.processes.agree(self._index, "checkpoint")

    @contextmanager
    def _damage_refused(self) -> Iterator[None]:
        """Around what takes a stranger's values into torch, which raises what it likes."""
        try:
            yield
        except Exception:
            raise VerificationError(damaged_state(self.checkpoint)) from None

    def _log(self, **values: Any) -> None:
        if self.processes.first:
            self.log({"stage": self.stage_index, "step": self.step, **values})


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up to ``lr``, which then stays, or falls as a cosine to 1 % of itself at the stage's end."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    if stage.schedule == "constant":
        return stage.lr
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
