"""Training on tiny networks: resuming is bit-exact, and what cannot go on stops with a line that says why."""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from compress.elir.model import Elir, ElirConfig
from compress.elir.train.fresh import fresh_model, teacher_model
from compress.elir.train.loop import Training, learning_rate
from compress.elir.train.state import take_state
from compress.errors import VerificationError
from compress.recipe.train import TrainRecipe, TrainStage

LATENTS = {"space": "latents", "steps": 4, "batch": 2, "crop": 32, "cached_crops": 3, "warmup": 2}
PIXELS = {
    **{"space": "pixels", "steps": 3, "batch": 1, "crop": 64, "warmup": 1, "modules": ["enc", "mmse", "fmir", "dec"]},
    "weights": {"mmse": 0.2, "consistency": 0.2, "pixel": 0.1, "l1": 1.0, "lpips": 0.3, "color": 0.5},
}
QUICK = {**PIXELS, "crop": 32, "weights": {**PIXELS["weights"], "lpips": 0.0}}  # LPIPS needs 64 px


pytestmark = pytest.mark.usefixtures("one_thread")


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def recipe(*stages: dict[str, Any], **settings: Any) -> TrainRecipe:
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": stages, "checkpoint_minutes": 1e-9}
    return TrainRecipe.model_validate({**data, **settings})


def equal(a: Elir, b: Elir) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and torch.equal(x, y) for (name, x), (other, y) in pairs)


# --- fresh networks -------------------------------------------------------------------------------------------


def test_fresh_encoder_ends_halved_and_the_teacher_s_does_not(autoencoder: dict[str, Tensor]) -> None:
    model, teacher = fresh_model(ElirConfig(32, 1, 8, 1), autoencoder, seed=0), teacher_model(autoencoder)
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(2 * model.enc(x), teacher.enc(x), atol=1e-6, rtol=0)
    z = torch.randn(1, 16, 4, 4)
    assert torch.equal(model.dec(z), teacher.dec(z))
    assert not any(p.requires_grad for p in teacher.parameters())


def test_fresh_networks_follow_the_seed_alone(autoencoder: dict[str, Tensor]) -> None:
    config = ElirConfig(32, 1, 8, 1)
    torch.manual_seed(1)
    first = fresh_model(config, autoencoder, seed=7)
    torch.manual_seed(2)
    assert equal(first, fresh_model(config, autoencoder, seed=7))
    assert not equal(first, fresh_model(config, autoencoder, seed=8))


# --- determinism and resuming ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(one_thread: None, start_in: Callable[..., Training], tmp_path_factory: pytest.TempPathFactory) -> Elir:
    """What an undisturbed run gives."""
    return start_in(tmp_path_factory.mktemp("whole"), recipe(LATENTS, PIXELS)).run()


@pytest.mark.parametrize("stop", [1, 3, 5, 6])  # in the latent stage, after a checkpoint of it, in the pixel stage
def test_killed_run_ends_where_an_undisturbed_one_does(start: Callable[..., Training], whole: Elir, stop: int) -> None:
    given, seen = recipe(LATENTS, PIXELS), []

    def kill(record: dict[str, Any]) -> None:
        seen.append(record)
        if len([r for r in seen if "mmse" in r]) == stop:
            raise Killed

    with pytest.raises(Killed):
        start(given, "killed", kill).run()
    records: list[dict[str, Any]] = []
    resumed = start(given, "killed", records.append).run()
    assert equal(whole, resumed)
    assert records[0].get("resumed", False) is (stop > 1)


ODD = [None, 1, "x", [], {}, torch.ones(3), torch.ones(()), torch.eye(2).to_sparse(), torch.ones((), device="meta")]


def spoilt(kept: dict[Any, Any]) -> Iterator[Any]:
    """What an optimizer remembered, in each shape that a stranger may give it."""
    yield from ({"state": odd} for odd in ODD)
    for term, value in kept[0].items():
        one = torch.ones(()).expand(value.shape)  # every value at one place
        others = [value.to(torch.complex64), value > 0, value * float("nan"), value + float("inf"), -1 - value]
        yield from ({"state": {**kept, 0: {**kept[0], term: odd}}} for odd in (*ODD, one, *others))
    for own in ({0: {}}, {0: kept[1]}, {"x": kept[0]}, {0: {**kept[0], "more": torch.ones(1)}}, {10**20: kept[0]}):
        yield {"state": own}
    yield from (ODD[0], ODD[2], ODD[-1], {"state": kept, "param_groups": [{"params": "x", "betas": None, "lr": "x"}]})


def test_an_optimizer_of_a_stranger_s_is_refused_or_goes_on() -> None:
    layer = torch.nn.Linear(2, 2)

    def one_step(before: Any) -> torch.optim.AdamW:
        optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
        if before is not None:
            take_state(optimizer, before)
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return optimizer

    good = one_step(None).state_dict()
    one_step(good)
    went_on = 0
    for before in spoilt(good["state"]):
        optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
        try:
            take_state(optimizer, copy.deepcopy(before))
        except Exception:
            continue
        went_on += 1
        one_step(before)
        assert all(value.isfinite().all() for value in layer.parameters())
    assert 5 <= went_on <= 16


@pytest.mark.parametrize("spoil", [{"model": None}, {"ema": {"x": torch.ones(1)}}, {"optimizer": []}])
def test_a_checkpoint_of_a_stranger_s_is_refused(
    start: Callable[..., Training], tmp_path: Path, spoil: dict[str, Any]
) -> None:
    """Whoever knows the recipe knows its hash."""
    run = start(recipe(LATENTS))
    run._save()
    path = tmp_path / "run/checkpoint.pt"
    torch.save({**torch.load(path), **spoil}, path)
    with pytest.raises(VerificationError, match=r"checkpoint\.pt: damaged training checkpoint: start again"):
        start(recipe(LATENTS)).run()


def test_same_seed_gives_the_same_model_and_another_another(start: Callable[..., Training]) -> None:
    first = start(recipe(LATENTS), "a").run()
    torch.manual_seed(99)
    assert equal(first, start(recipe(LATENTS), "b").run())
    assert not equal(first, start(recipe(LATENTS, model={"seed": 1}), "c").run())


def test_callers_random_numbers_are_left_alone(start: Callable[..., Training]) -> None:
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    start(recipe(LATENTS)).run()
    assert torch.equal(torch.rand(3), wanted)


def test_finished_run_is_not_trained_again(start: Callable[..., Training]) -> None:
    first = start(recipe(LATENTS)).run()
    records: list[dict[str, Any]] = []
    again = start(recipe(LATENTS), log=records.append).run()
    assert equal(first, again)
    assert [r for r in records if "mmse" in r] == []


# --- what learns ----------------------------------------------------------------------------------------------


def test_only_the_stage_s_modules_learn(start: Callable[..., Training]) -> None:
    run = start(recipe({**QUICK, "modules": ["mmse", "dec"]}))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run()
    moved = {
        name.split(".")[0] for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"mmse", "dec"}


def test_teacher_stays(start: Callable[..., Training], autoencoder: dict[str, Tensor]) -> None:
    run = start(recipe(QUICK))
    run.run()
    state = run.teacher.state_dict()
    assert all(torch.equal(state[name], value) for name, value in autoencoder.items())


def test_consistency_loss_does_not_reach_the_mmse_net(start: Callable[..., Training]) -> None:
    weights = {"mmse": 0.0, "consistency": 1.0}
    run = start(recipe({**QUICK, "modules": ["mmse", "fmir"], "weights": weights, "steps": 1}))
    run.run()
    assert all(p.grad is None for p in run.model.mmse.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in run.model.fmir.parameters())


@pytest.mark.parametrize("space", ["latents", "pixels"])
def test_plain_flow_matching_is_an_objective_of_its_own(start: Callable[..., Training], space: str) -> None:
    base = LATENTS if space == "latents" else QUICK
    stage = {**base, "modules": ["mmse", "fmir"], "weights": {"mmse": 0, "consistency": 0, "flow_matching": 2.0}}
    records: list[dict[str, Any]] = []
    training = start(recipe(stage), log=records.append)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.run()
    steps = [r for r in records if "flow_matching" in r]
    assert len(steps) == stage["steps"] and all({*r} == {"stage", "step", "of", "flow_matching"} for r in steps)
    changed = {n.split(".")[0] for n, v in training.model.state_dict().items() if not torch.equal(v, before[n])}
    # AdamW decays what it is given: the MMSE net has no gradient, and is skipped.
    assert changed == {"fmir"}


def test_training_lowers_the_latent_error(start: Callable[..., Training]) -> None:
    records: list[dict[str, Any]] = []
    stage = {**LATENTS, "steps": 40, "lr": 2e-3, "modules": ["mmse"], "weights": {"consistency": 0.0}}
    start(recipe(stage, checkpoint_minutes=60.0), log=records.append).run()
    errors = [r["mmse"] for r in records if "mmse" in r]
    assert sum(errors[-5:]) < 0.8 * sum(errors[:5])


def test_average_follows_the_weights_by_its_decay(start: Callable[..., Training]) -> None:
    run = start(recipe({**LATENTS, "steps": 1}, ema=0.05))
    name = "mmse.lrm.0.RDB1.conv1.block.0.weight"
    before = run.model.state_dict()[name].clone()
    ema = run.run().state_dict()[name]
    after = run.model.state_dict()[name]
    assert not torch.equal(before, after)
    torch.testing.assert_close(ema, 0.05 * before + 0.95 * after)


def test_log_holds_every_step_and_the_validations(start: Callable[..., Training]) -> None:
    records: list[dict[str, Any]] = []
    start(recipe(LATENTS, validate_every=2), log=records.append, validate=lambda m: {"psnr_db": 1.0}).run()
    steps = [r for r in records if "mmse" in r]
    assert [r["step"] for r in steps] == [1, 2, 3, 4]
    assert set(steps[0]) == {"stage", "step", "of", "mmse", "consistency"}
    assert [r["step"] for r in records if "validation" in r] == [2, 4]


def test_bf16_keeps_the_weights_in_float32(start: Callable[..., Training]) -> None:
    result = start(recipe({**QUICK, "bf16": True, "steps": 1})).run()
    assert {p.dtype for p in result.parameters()} == {torch.float32}
    assert all(torch.isfinite(p).all() for p in result.parameters())


# --- learning rate --------------------------------------------------------------------------------------------


def test_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    stage = TrainStage(space="pixels", steps=110, lr=0.01, warmup=10)
    assert learning_rate(stage, 0) == pytest.approx(0.001)
    assert learning_rate(stage, 9) == pytest.approx(0.01)
    assert learning_rate(stage, 10) == pytest.approx(0.01)
    assert learning_rate(stage, 60) == pytest.approx(0.01 * (0.01 + 0.99 / 2))
    assert learning_rate(stage, 110) == pytest.approx(0.0001)
    quarter = 0.01 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(stage, 35) == pytest.approx(quarter)


def test_learning_rate_without_warm_up_starts_at_the_top() -> None:
    assert learning_rate(TrainStage(space="pixels", steps=10, lr=0.01, warmup=0), 0) == pytest.approx(0.01)


def test_constant_schedule_stays_at_the_top_after_the_warm_up() -> None:
    stage = TrainStage(space="pixels", steps=110, lr=0.01, warmup=10, schedule="constant")
    assert learning_rate(stage, 4) == pytest.approx(0.005)
    assert {learning_rate(stage, step) for step in (10, 60, 109)} == {0.01}


@pytest.mark.parametrize(("schedule", "last"), [("constant", 0.01), ("cosine", 0.01 * (0.01 + 0.99 / 2))])
def test_schedule_reaches_the_optimiser(start: Callable[..., Training], schedule: str, last: float) -> None:
    seen: list[float] = []

    def note(record: dict[str, Any]) -> None:
        if "mmse" in record and run.optimizer:
            seen.append(run.optimizer.param_groups[0]["lr"])

    run = start(recipe({**LATENTS, "lr": 0.01, "schedule": schedule}), log=note)
    run.run()
    assert seen == pytest.approx([0.005, 0.01, 0.01, last])


def test_step_s_random_numbers_fit_torch_s_generator_and_differ(start: Callable[..., Training]) -> None:
    seeds = set()
    run = start(recipe(LATENTS, model={"seed": 7}))
    for run.stage_index in range(3):
        for run.step in range(50):
            seeds.add(run._step_seed)
    assert len(seeds) == 150 and all(0 <= seed < 2**32 for seed in seeds)
