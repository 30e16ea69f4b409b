"""Distillation: its terms, what they teach, the cache, and resuming."""

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from compress.elir.model import Elir, ElirConfig
from compress.elir.train.distillation import (
    Distillation,
    DistillTraining,
    at_same_times,
    check_distill_stage,
    taught_modules,
    teach,
)
from compress.errors import InputError, VerificationError
from compress.recipe.train import DistillRun, DistillStage
from compress.tensors import read_tensors

ALL = {"latent": 1.0, "mmse": 1.0, "trajectory": 1.0, "output": 1.0, "l1": 1.0, "color": 1.0}
pytestmark = pytest.mark.usefixtures("one_thread")


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


@pytest.fixture()
def teacher() -> Elir:
    torch.manual_seed(0)
    config = ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1, k_steps=2, enc_widths=(8,) * 4, dec_widths=(8,) * 4)
    return Elir(config).eval().requires_grad_(False)


@pytest.fixture()
def student(teacher: Elir) -> Elir:
    return Elir(replace(teacher.config, k_steps=1)).eval()


def stage(**settings: Any) -> DistillStage:
    return DistillStage.model_validate({"steps": 3, "batch": 2, "crop": 64, "warmup": 1, "weights": ALL, **settings})


def pictures(index: int, count: int, crop: int, share: slice) -> tuple[Tensor, Tensor]:
    clean = torch.rand(count, 3, crop, crop, generator=torch.Generator().manual_seed(index))[share]
    return clean.mean(1, keepdim=True).expand_as(clean).contiguous(), clean


@pytest.fixture()
def start(teacher: Elir, student: Elir, tmp_path: Path) -> Callable[..., DistillTraining]:
    def start(*stages: DistillStage, folder: str = "run", log: Callable = lambda r: None) -> DistillTraining:
        (tmp_path / folder).mkdir(exist_ok=True)
        run = DistillRun(stages=list(stages), checkpoint_minutes=1e-9)
        return DistillTraining(run, copy.deepcopy(student), teacher, pictures, tmp_path / folder, log)

    return start


# --- terms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", ["teacher", "student"])
def test_a_copy_of_the_teacher_has_nothing_to_learn_from_it(teacher: Elir, inputs: str) -> None:
    given = stage(inputs=inputs)
    lq, noise = torch.rand(2, 3, 64, 64), torch.randn(2, 16, 8, 8)
    taught = teach(teacher, lq, noise, given)
    terms = Distillation(teacher, given)(lq, torch.rand(2, 3, 64, 64), noise, taught)
    assert set(terms) == set(ALL)
    assert max(terms[name].item() for name in ("latent", "mmse", "trajectory", "output")) < 1e-6
    assert terms["l1"] > 0.1


def test_weights_scale_their_terms(teacher: Elir, student: Elir) -> None:
    lq, hq, noise = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), torch.randn(1, 16, 8, 8)
    once, twice = (
        Distillation(student, given)(lq, hq, noise, teach(teacher, lq, noise, given))
        for given in (stage(), stage(weights=dict.fromkeys(ALL, 2.0)))
    )
    for name, value in once.items():
        torch.testing.assert_close(2 * value, twice[name])


def test_a_path_meets_the_teacher_s_where_both_are() -> None:
    own, given = torch.arange(2.0)[None], 10 * torch.arange(6.0)[None]
    assert [p.tolist() for p in at_same_times(own, given)] == [[[0.0, 1.0]], [[20.0, 50.0]]]
    assert [p.tolist() for p in at_same_times(own, given[:, :3])] == [[[1.0]], [[20.0]]]
    assert [p.tolist() for p in at_same_times(own[:, :1], given[:, :3])] == [[[0.0]], [[20.0]]]


def test_the_teacher_draws_its_picture_only_when_asked(teacher: Elir) -> None:
    lq, noise = torch.rand(1, 3, 64, 64), torch.randn(1, 16, 8, 8)
    assert "output" not in teach(teacher, lq, noise, stage(weights={"latent": 1.0}))
    assert teach(teacher, lq, noise, stage())["path"].shape == (1, 2, 16, 8, 8)


# --- what learns ----------------------------------------------------------------------------------------------


def test_what_a_stage_teaches() -> None:
    assert taught_modules(stage(inputs="teacher", weights={"latent": 1.0, "l1": 1.0})) == {"enc", "dec"}
    assert taught_modules(stage(weights={"trajectory": 1.0})) == {"enc", "mmse", "fmir"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": {}}, "s: nothing to learn: no term teaches nothing, modules is"),
        (
            {"weights": {"latent": 1.0}, "modules": ["dec"]},
            r"s: nothing to learn: latent teaches enc, modules is \[dec\]",
        ),
        (
            {"weights": {"lpips": 1.0}, "crop": 32},
            "s: weights.lpips needs crops of 64 px or more, crop is 32: raise it",
        ),
        ({"weights": {"l1": 1.0}, "cached_crops": 3}, "s: cached_crops keeps what the teacher makes, no term asks"),
    ],
)
def test_stages_without_effect_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_distill_stage(stage(**settings), "s")


def test_only_the_stage_s_modules_learn_and_the_teacher_stays(
    start: Callable[..., DistillTraining], teacher: Elir
) -> None:
    run = start(stage(modules=["enc", "fmir"]))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    fixed = {name: value.clone() for name, value in teacher.state_dict().items()}
    run.run()
    moved = {n.split(".")[0] for n, value in run.model.state_dict().items() if not torch.equal(value, before[n])}
    assert moved == {"enc", "fmir"}
    assert all(torch.equal(value, fixed[name]) for name, value in teacher.state_dict().items())


# --- the cache, and resuming ----------------------------------------------------------------------------------


def test_cached_crops_are_seen_by_the_teacher_once(
    start: Callable[..., DistillTraining], teacher: Elir, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(teacher, "iter_stages", lambda *a, real=teacher.iter_stages: seen.append(1) or real(*a))
    start(stage(cached_crops=3, inputs="teacher", steps=4)).run()
    assert len(seen) == 3


@pytest.mark.parametrize("stop", [1, 2, 5])  # before the first checkpoint, in the first stage, in the second
def test_killed_run_ends_where_an_undisturbed_one_does(start: Callable[..., DistillTraining], stop: int) -> None:
    stages = stage(cached_crops=8, inputs="teacher"), stage(weights={"l1": 1.0})
    seen: list[dict[str, Any]] = []

    def kill(record: dict[str, Any]) -> None:
        seen.append(record)
        if len([r for r in seen if "l1" in r]) == stop:
            raise Killed

    whole = start(*stages, folder="whole").run()
    with pytest.raises(Killed):
        start(*stages, folder="killed", log=kill).run()
    resumed = start(*stages, folder="killed").run()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_crops_of_another_teacher_are_encoded_again(
    start: Callable[..., DistillTraining], teacher: Elir, tmp_path: Path
) -> None:
    given = stage(cached_crops=3, inputs="teacher", steps=1)
    start(given).run()
    (tmp_path / "run/checkpoint.pt").unlink()
    path = tmp_path / "run/teacher_0.safetensors"
    first = read_tensors(path)[0]
    next(teacher.parameters()).add_(0.5)
    run = start(given)
    run.recipe = run.recipe.model_copy(update={"start": "another"})
    run.run()
    assert not torch.equal(read_tensors(path)[0]["path"], first["path"])


@pytest.mark.parametrize("spoil", ["pipe", "text", "name", "shape", "type"])
def test_a_cache_of_a_stranger_s_is_refused(start: Callable[..., DistillTraining], tmp_path: Path, spoil: str) -> None:
    given = stage(cached_crops=3, inputs="teacher", steps=1)
    start(given).run()
    path = tmp_path / "run/teacher_0.safetensors"
    kept, facts = read_tensors(path)
    if spoil in ("pipe", "text"):
        path.unlink()
        os.mkfifo(path) if spoil == "pipe" else path.write_text("{}")
    else:
        other = {
            "name": {"x": kept["lq"].clone()},
            "shape": {"hq": kept["hq"][:2].clone()},
            "type": {"lq": kept["lq"].float()},
        }
        save_file({**kept, **other[spoil]}, path, facts)
    (tmp_path / "run/checkpoint.pt").unlink()
    with pytest.raises(VerificationError, match=r"teacher_0\.safetensors: damaged: start again"):
        start(given).run()
