"""The discriminator: what its losses are by hand, that it learns to tell, and that the model learns from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compress.elir.train.adversary import PATCHES, PENALTY, Adversary, Discriminator, DiscriminatorLoss, deceit
from compress.elir.train.divergence import read_step, replay
from compress.elir.train.loop import Training
from compress.elir.train.processes import Processes
from compress.errors import InputError, VerificationError
from compress.recipe.train import TrainRecipe

pytestmark = pytest.mark.usefixtures("one_thread")

STAGE = {
    **{"space": "pixels", "steps": 3, "batch": 1, "crop": 32, "warmup": 0, "modules": ["enc", "mmse", "fmir", "dec"]},
    "weights": {"mmse": 0.2, "consistency": 0.2, "l1": 1.0, "adversarial": 0.1},
}


def recipe(*stages: dict[str, Any]) -> TrainRecipe:
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": stages, "checkpoint_minutes": 1e-9}
    return TrainRecipe.model_validate(data)


class Plane(nn.Module):
    """As many scores as pixels: ``a`` times the first channel."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a * x[:, :1]


def test_the_losses_by_hand() -> None:
    toy = Plane(0.5)
    clean, restored = torch.full((2, 3, 8, 8), 0.8), torch.full((2, 3, 8, 8), 0.2)
    hinge, penalty = DiscriminatorLoss(toy)(restored, clean)  # type: ignore[arg-type]
    assert hinge.item() == pytest.approx((1 - 0.5 * 0.8) + (1 + 0.5 * 0.2))
    assert penalty.item() == pytest.approx(PENALTY / 2 * 0.5**2 / PATCHES), "the gradient of a score is a, at one pixel"
    assert deceit(toy, restored).item() == pytest.approx(-0.5 * 0.2)  # type: ignore[arg-type]


def test_a_score_sees_forty_pixels() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 96, 96, requires_grad=True)
    scores = Discriminator(8)(picture)
    assert scores.shape == (1, 1, 12, 12)
    (slope,) = torch.autograd.grad(scores[0, 0, 6, 6], picture)
    rows = slope.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == 40


@pytest.mark.parametrize("seed", range(3))
def test_its_first_scores_differ_from_patch_to_patch(seed: int, photo: Any) -> None:
    """Where a start makes all alike (0.01 and less by torch's own), hundreds of steps teach it nothing."""
    torch.manual_seed(seed)
    with torch.no_grad():
        scores = Discriminator()(torch.tensor(photo).permute(2, 0, 1)[None] / 255)
    assert scores.std() > 0.1


def test_it_learns_to_tell_restored_from_clean_pictures(photo: Any) -> None:
    torch.manual_seed(0)
    adversary = Adversary(Processes())
    clean = torch.tensor(photo[:64, :64]).permute(2, 0, 1)[None] / 255
    blurred = nn.functional.avg_pool2d(clean, 5, stride=1, padding=2)
    losses = []
    for _ in range(40):
        adversary.judge(blurred)
        losses.append(adversary.learn(clean).item())
        adversary.step(1e-3)
    assert losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        assert adversary.judge(clean) < adversary.judge(blurred)


def test_its_verdict_gives_the_model_a_gradient_and_itself_none() -> None:
    torch.manual_seed(0)
    adversary = Adversary(Processes())
    restored = torch.rand(1, 3, 32, 32, requires_grad=True)
    adversary.judge(restored).backward()
    assert restored.grad is not None and restored.grad.abs().max() > 0
    assert all(p.grad is None for p in adversary.discriminator.parameters())


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def test_a_killed_run_goes_on_with_the_same_discriminator(start: Callable[..., Training]) -> None:
    given, records = recipe(STAGE, STAGE), []
    whole = start(given, "whole", records.append).run()
    steps = [record for record in records if "mmse" in record]
    assert len(steps) == 6 and all({"adversarial", "discriminator"} <= record.keys() for record in steps)

    seen = []

    def kill(record: dict[str, Any]) -> None:
        seen.append(record)
        if len(seen) == 5:
            raise Killed

    with pytest.raises(Killed):
        start(given, "killed", kill).run()
    resumed = start(given, "killed").run()
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("spoilt", ["x", {}, {"discriminator": {}, "optimizer": None}])
def test_a_discriminator_of_a_stranger_s_is_refused(
    start: Callable[..., Training], tmp_path: Path, spoilt: Any
) -> None:
    start(recipe(STAGE))._save()
    path = tmp_path / "run/checkpoint.pt"
    torch.save({**torch.load(path), "adversary": spoilt}, path)
    with pytest.raises(VerificationError, match="damaged training checkpoint: start again"):
        start(recipe(STAGE)).run()


def test_a_discriminator_that_diverges_stops_the_run_before_anything_changes(
    start: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(recipe(STAGE))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}

    def infinite(self: DiscriminatorLoss, restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        score = self.discriminator(clean).mean()
        return score * 0, score / 1e-30 * 1e30  # finite, its gradient is not

    monkeypatch.setattr(DiscriminatorLoss, "forward", infinite)
    with pytest.raises(InputError, match=r"step 0: gradient of discriminator\.layers\.\d+\.\w+ is not a finite"):
        run.run()
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert all(value.isfinite().all() for name, value in read_step(run.diverged)[0].items() if "." in name)


def test_a_diverged_step_is_kept_with_its_discriminator(start: Callable[..., Training]) -> None:
    run = start(recipe({**STAGE, "lr": 0.99, "steps": 50}))
    with pytest.raises(InputError, match="training diverged"):
        run.run()
    tensors, facts = read_step(run.diverged)
    assert any(name.startswith("discriminator.") for name in tensors)
    again = start(run.recipe, "again")
    result = replay(run.diverged, run.recipe, again.model, again.teacher)
    assert result.keys() == facts["terms"].keys()
    for name, value in facts["terms"].items():
        assert result[name] == pytest.approx(value, rel=1e-4, nan_ok=True)
