"""A stage's loss: each term's value by hand, what it teaches, and settings that would have no effect."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compress.elir.model import Elir
from compress.elir.train.loop import Training
from compress.elir.train.losses import SIGMA_MIN
from compress.elir.train.objective import TEACHES, Objective, check_stage, slow_bf16
from compress.errors import InputError
from compress.recipe.train import LossWeights, TrainModel, TrainRecipe, TrainStage

pytestmark = pytest.mark.usefixtures("one_thread")

LATENTS = {"space": "latents", "steps": 4, "batch": 2, "crop": 64}
PIXELS = {**LATENTS, "space": "pixels", "modules": ["enc", "mmse", "fmir", "dec"], "weights": {"lpips": 0.3}}
OFF = dict.fromkeys(LossWeights.model_fields, 0.0)


def only(*terms: str, weight: float = 1.0) -> dict[str, float]:
    """Weights that leave every other term out."""
    return OFF | dict.fromkeys(terms, weight)


# --- values, on networks that multiply by one number ------------------------------------------------------------


class Times(nn.Module):
    """Its input, resized by ``stride``, in ``channels`` equal channels, times ``a``."""

    def __init__(self, a: float, stride: float, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))
        self.stride, self.channels = stride, channels

    def forward(self, x: Tensor) -> Tensor:
        resized = nn.functional.interpolate(x.mean(1, keepdim=True), scale_factor=self.stride)
        return self.a * resized.expand(-1, self.channels, -1, -1)


class Constant(nn.Module):
    """The velocity ``a``, everywhere and always."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        return self.a.expand_as(z)

    def velocity(self, z: Tensor, k: int, steps: int) -> Tensor:
        return self.forward(z, torch.tensor([k / steps]))


class Toy(nn.Module):
    """enc, mmse, fmir and dec that multiply, or move, by one number each; no noise; two Euler steps."""

    k_steps, sigma_s = 2, 0.0

    def __init__(self, enc: float, mmse: float, fmir: float, dec: float) -> None:
        super().__init__()
        self.enc, self.mmse = Times(enc, 1 / 8, 16), Times(mmse, 1, 16)
        self.fmir, self.dec = Constant(fmir), Times(dec, 8, 3)

    def decode(self, z: Tensor, lq: Tensor) -> Tensor:
        return self.dec(z)


LQ, HQ = 0.5, 0.8  # every pixel of the input and of the clean picture
ENC, MMSE, V, DEC, TEACHER_DEC = 0.5, 2.0, 0.25, 1.5, 0.9
X = MMSE * ENC * LQ  # the estimate, and, without noise, the source
U = HQ - (1 - SIGMA_MIN) * X  # the path's derivative
DT = 0.1


def terms(weights: dict[str, float], seed: int = 3) -> dict[str, float]:
    stage = TrainStage.model_validate({**PIXELS, "batch": 4, "weights": weights})
    objective = Objective(
        Toy(ENC, MMSE, V, DEC),  # type: ignore[arg-type]
        Toy(1.0, 9.0, 9.0, TEACHER_DEC),  # type: ignore[arg-type]
        TrainModel(k_steps=2, dt=DT),
        stage,
    )
    torch.manual_seed(seed)
    pictures = torch.ones(4, 3, 64, 64)
    return {name: value.item() for name, value in objective(LQ * pictures, HQ * pictures).items()}


def times_and_ends(seed: int = 3) -> tuple[Tensor, Tensor]:
    """The four t that ``terms`` draws after its noise, and the ends of their halves of [0, 1]."""
    torch.manual_seed(seed)
    torch.randn(4, 16, 8, 8)
    t = torch.rand(4) * (1 - DT)
    assert {bool(x) for x in t < 0.5} == {True, False}
    return t, torch.where(t < 0.5, 0.5, 1.0)


def test_mmse_term() -> None:
    assert terms(only("mmse", weight=3.0)) == {"mmse": pytest.approx(3 * (X - HQ) ** 2)}


def test_flow_matching_term() -> None:
    assert terms(only("flow_matching", weight=2.0)) == {"flow_matching": pytest.approx(2 * (V - U) ** 2)}


def test_consistency_term() -> None:
    # Inside a segment f and its target are dt * (v - u) apart; where r is past its end, (e - t) * (v - u).
    t, e = times_and_ends()
    apart = torch.where(t + DT < e, torch.full_like(t, DT), e - t) * (V - U)
    assert terms(only("consistency", weight=0.5)) == {
        "consistency": pytest.approx(0.5 * apart.square().mean().item(), rel=1e-4)
    }


def test_pixel_term() -> None:
    # From the segment's end f, one step of 1 - e, through the teacher's decoder.
    t, e = times_and_ends()
    f = X + t * U + (e - t) * V
    out = TEACHER_DEC * (f + (1 - e) * V)
    assert terms(only("pixel", weight=0.5)) == {"pixel": pytest.approx(0.5 * (HQ - out).square().mean().item())}


def test_output_terms() -> None:
    off = DEC * (X + V) - HQ  # two steps of V / 2
    assert terms(only("l1", weight=2.0)) == {"l1": pytest.approx(2 * abs(off))}
    assert terms(only("color", weight=3.0)) == {"color": pytest.approx(3 * abs(off), rel=1e-5)}


@pytest.mark.parametrize("mmse", [0.0, 1.0])
@pytest.mark.parametrize("pixel", [0.0, 0.001])
@pytest.mark.parametrize("objective", ["consistency", "flow_matching"])
def test_objectives_combine_freely(objective: str, mmse: float, pixel: float) -> None:
    weights = OFF | {objective: 0.999, "mmse": mmse, "pixel": pixel}
    result = terms(weights)
    assert set(result) == {name for name, weight in weights.items() if weight}
    if not pixel:  # it draws times of its own, after those of plain flow matching
        assert result[objective] == terms(only(objective, weight=0.999))[objective]


# --- what learns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", TEACHES)
def test_term_teaches_its_networks_and_no_other(start: Callable[..., Training], term: str) -> None:
    stage = {**PIXELS, "batch": 1, "weights": only(term)}
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": [stage]}
    run = start(TrainRecipe.model_validate(data))
    run.model.requires_grad_(True)
    objective = Objective(run.model, run.teacher, run.recipe.model, run.recipe.stages[0], judge=judge)
    torch.manual_seed(0)
    result = objective(*run.batch(0, 1, 64, slice(None)))
    assert set(result) == {term}
    result[term].backward()
    assert taught(run.model) == TEACHES[term]
    assert all(p.grad is None for p in run.teacher.parameters())


def judge(restored: Tensor) -> Tensor:
    """A discriminator's verdict on the pictures: their mean slope to the right."""
    return restored.diff(dim=-1).square().mean()


def taught(model: Elir) -> set[str]:
    """Networks that have a gradient."""
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_share_of_a_batch_sees_what_it_sees_in_the_whole(start: Callable[..., Training]) -> None:
    stage = {**PIXELS, "batch": 4, "weights": dict.fromkeys(TEACHES, 0.5)}
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": [stage]}
    run = start(TrainRecipe.model_validate(data))
    result = []
    for share in (slice(0, 4), slice(0, 2), slice(2, 4)):
        objective = Objective(run.model, run.teacher, run.recipe.model, run.recipe.stages[0], share, judge)
        torch.manual_seed(1)
        with torch.no_grad():
            result.append(objective(*run.batch(0, 4, 64, share)))
    whole, first, second = result
    assert set(whole) == set(TEACHES)
    for name, value in whole.items():
        assert first[name] != second[name]
        torch.testing.assert_close((first[name] + second[name]) / 2, value, rtol=1e-5, atol=0)


def test_lpips_term_is_shifted_off_the_decoder_s_grid() -> None:
    seen: list[tuple[int, int]] = []

    class Seen(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            assert a.shape == b.shape
            seen.append((64 - a.shape[-2], 64 - a.shape[-1]))
            return (a - b).square().mean((1, 2, 3))

    stage = TrainStage.model_validate(PIXELS)
    toy = Toy(1.0, 1.0, 1.0, 1.0)
    objective = Objective(toy, toy, TrainModel(), stage)  # type: ignore[arg-type]
    objective.lpips = Seen()  # type: ignore[assignment]
    torch.manual_seed(0)
    for _ in range(40):
        list(objective._output_terms(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)))
    assert {dy for dy, _ in seen} == {dx for _, dx in seen} == {0, 1, 2, 3}


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": {"lpips": 0.3}}, "stages[0]: weights.lpips needs pixels, space is latents: set it to 0"),
        ({"modules": ["mmse", "enc"]}, "stages[0]: enc cannot learn in space latents: leave it out of modules"),
        ({"weights": {"mmse": 0.0, "consistency": 0.0}}, "stages[0]: nothing to learn: give one of weights a value"),
        ({"modules": []}, "stages[0]: nothing to learn"),
        (
            {"modules": ["fmir"], "weights": {"mmse": 1.0, "consistency": 0.0}},
            "stages[0]: nothing to learn: mmse teaches enc, mmse, modules is [fmir]: add one of those",
        ),
        ({**PIXELS, "crop": 32}, "stages[0]: weights.lpips needs crops of 64 px or more, crop is 32: raise it"),
    ],
)
def test_settings_without_effect_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        check_stage(TrainStage.model_validate({**LATENTS, **change}), "stages[0]")
    assert text in str(caught.value)


@pytest.fixture()
def features(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """The CPU's features, to set."""
    result: dict[str, bool] = {}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: result)
    yield result


def test_bf16_is_slow_where_the_cpu_lacks_it(features: dict[str, bool]) -> None:
    wanted, other = (TrainStage.model_validate({**LATENTS, "bf16": bf16}) for bf16 in (True, False))
    features["avx2"] = True
    assert slow_bf16(wanted, torch.device("cpu")) and not slow_bf16(other, torch.device("cpu"))
    features["avx512_bf16"] = True
    assert not slow_bf16(wanted, torch.device("cpu"))
