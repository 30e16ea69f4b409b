"""smooth: exact, channels' ranges become equal, steps share what their weights share."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.smooth import ScaledSiLU, Smooth, find_sites
from compress.recipe.passes import PtqSettings, SmoothSettings


@pytest.fixture()
def uneven(folded: Callable[..., Subject]) -> Callable[..., Subject]:
    """A subject whose flow's and MMSE estimator's activations differ widely from channel to channel."""

    def make(**given: object) -> Subject:
        subject = folded(**given)
        generator = torch.Generator().manual_seed(1)
        for norm in (m for m in subject.model.fmir.modules() if isinstance(m, nn.GroupNorm)):
            norm.weight.mul_(torch.exp(1.5 * torch.randn(norm.num_channels, generator=generator)))
        return subject

    return make


def peaks(subject: Subject) -> list[Tensor]:
    """Largest magnitude of each channel behind every SiLU, over one picture."""
    sites = [sequence[i] for site in find_sites(subject.model) for sequence, i in site.activations]
    result: dict[int, Tensor] = {}
    handles = [
        m.register_forward_hook(lambda _, x, y, n=n: result.__setitem__(n, y.abs().amax((0, 2, 3))))
        for n, m in enumerate(sites)
    ]
    with torch.no_grad():
        subject.model(*next(iter(subject.calibration())))
    for handle in handles:
        handle.remove()
    return [result[n] for n in range(len(sites))]


def spread(result: list[Tensor]) -> float:
    return torch.stack([p.clamp_min(1e-6).log().std() for p in result]).mean().item()


@pytest.mark.parametrize(("strength", "share"), [(0.5, 0.8), (1.0, 0.35)])
def test_exact_and_more_even(uneven: Callable[..., Subject], strength: float, share: float) -> None:
    subject = uneven(k_steps=2)
    pair = next(iter(subject.calibration()))
    before, ranges = subject.model.stages(*pair), peaks(subject)
    Smooth(SmoothSettings(strength=strength, pictures=2)).run(subject)
    for name, value in subject.model.stages(*pair).items():
        torch.testing.assert_close(value, before[name], rtol=1e-3, atol=1e-4 * value.abs().max().item())
    assert spread(peaks(subject)) < share * spread(ranges)
    assert subject.notes[-1].startswith("smooth: ")


def test_every_silu_of_both_networks_is_scaled_and_steps_share_their_factors(folded: Callable[..., Subject]) -> None:
    subject = folded(k_steps=2)
    siluses = sum(isinstance(m, nn.SiLU) for m in subject.model.modules())
    Smooth(SmoothSettings(pictures=1)).run(subject)
    scaled = [m for m in subject.model.modules() if isinstance(m, ScaledSiLU)]
    assert len(scaled) == siluses and not any(isinstance(m, nn.SiLU) for m in subject.model.modules())
    first, second = subject.model.fmir.steps
    assert first.final_block.block[1].factors is second.final_block.block[1].factors


@pytest.mark.parametrize("zero", ["readers", "activations"])
def test_what_is_all_zero_stays_finite(folded: Callable[..., Subject], zero: str) -> None:
    subject = folded()
    site = next(s for s in find_sites(subject.model) if len(s.readers) > 1)
    if zero == "readers":
        for weight in site.weights():
            weight.zero_()
    else:
        writer, _ = site.activations[0]
        for parameter in (p for m in writer if isinstance(m, nn.Conv2d) for p in m.parameters()):
            parameter.zero_()
    Smooth(SmoothSettings(pictures=1)).run(subject)
    factors = [m.factors for m in subject.model.modules() if isinstance(m, ScaledSiLU)]
    assert all(f.isfinite().all() and (f > 0).all() for f in factors)


def test_the_fp32_artifact_stays_as_it_was(folded: Callable[..., Subject]) -> None:
    subject = folded()
    Smooth(SmoothSettings(pictures=1)).run(subject)
    assert subject.reference is not None
    assert not any(isinstance(m, ScaledSiLU) for m in subject.reference.modules())
    pair = next(iter(subject.calibration()))
    with torch.no_grad():
        torch.testing.assert_close(subject.reference(*pair), subject.model(*pair), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.numerics
def test_it_helps_where_channels_differ(uneven: Callable[..., Subject], closeness: Callable[..., float]) -> None:
    result = []
    for smooth in (False, True):
        subject = uneven(formats=("openvino",))
        if smooth:
            Smooth(SmoothSettings(strength=0.7)).run(subject)
        Ptq(PtqSettings(rounding="nearest", keep_float=["enc", "dec"])).run(subject)
        result.append(closeness(subject, subject.quantized.modules["openvino"]))
    assert result[1] > result[0] + 2, result


def test_where_it_cannot_stand(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    subject.calibration_count = 0
    with pytest.raises(InputError, match=r"smooth needs calibration pictures: give data.calibration"):
        Smooth(SmoothSettings()).run(subject)
    subject.quantized = QuantizedModel("elir")
    with pytest.raises(InputError, match="smooth comes after a quantizing pass: put it before ptq"):
        Smooth(SmoothSettings()).run(subject)


def test_it_comes_once(uneven: Callable[..., Subject]) -> None:
    subject = uneven()
    Smooth(SmoothSettings(strength=0.0)).run(subject)
    with pytest.raises(InputError, match=r"^passes: smooth comes twice: remove one$"):
        Smooth(SmoothSettings()).run(subject)
