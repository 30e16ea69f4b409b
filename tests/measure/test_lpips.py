import numpy as np
import pytest
import torch

from compress.data.pictures import to_float
from compress.data.sets import load_set
from compress.measure.lpips import Lpips


@pytest.fixture(scope="module")
def model() -> Lpips:
    return Lpips().eval()


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Bicubic x4 and clean, each (1, 3, 256, 256)."""
    return {
        item.name: (torch.from_numpy(to_float([item.degraded])), torch.from_numpy(to_float([item.clean])))
        for item in load_set("photos_validation", "sr_x4")
    }


@pytest.mark.parametrize(("name", "expected"), [("fig_1", 0.3776), ("stream_1", 0.7465), ("astronaut_1", 0.3635)])
def test_stored_values_of_bicubic(model: Lpips, pairs: dict, name: str, expected: float) -> None:
    degraded, clean = pairs[name]
    assert model(degraded, clean).item() == pytest.approx(expected, abs=1e-3)


def test_equal_pictures_are_at_zero(model: Lpips, pairs: dict) -> None:
    degraded, clean = pairs["fig_1"]
    assert model(clean, clean).item() == 0
    assert model(degraded, degraded).item() == 0


def test_distance_is_symmetric_and_not_zero(model: Lpips, pairs: dict) -> None:
    degraded, clean = pairs["fig_1"]
    assert model(degraded, clean).item() == pytest.approx(model(clean, degraded).item(), abs=1e-6) != 0


def test_a_batch_equals_one_by_one(model: Lpips, pairs: dict) -> None:
    chosen = list(pairs.values())[:3]
    together = model(torch.cat([a for a, _ in chosen]), torch.cat([b for _, b in chosen]))
    assert together.shape == (3,)
    assert together.tolist() == pytest.approx([model(a, b).item() for a, b in chosen], abs=1e-5)


def test_more_damage_is_farther(model: Lpips, photo: np.ndarray) -> None:
    clean = torch.from_numpy(to_float([photo]))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    distances = [model((clean + s * noise).clamp(0, 1), clean).item() for s in (0.02, 0.05, 0.2)]
    assert distances == sorted(distances)
    assert distances[0] > 0.005


def test_it_is_a_loss(model: Lpips, pairs: dict) -> None:
    degraded, clean = pairs["fig_1"]
    degraded = degraded.clone().requires_grad_()
    model(degraded, clean).sum().backward()
    assert degraded.grad is not None and degraded.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_small_pictures_are_refused(model: Lpips) -> None:
    small = torch.zeros(1, 3, 31, 64)
    with pytest.raises(ValueError, match=r"LPIPS needs pictures of 32 px or more a side, got \(31, 64\)"):
        model(small, small)
