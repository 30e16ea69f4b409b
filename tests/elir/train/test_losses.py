"""The losses against cases worked out by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from compress.elir.train.losses import (
    ALPHA,
    SIGMA_MIN,
    consistency_loss,
    flow_matching_loss,
    mmse_loss,
    path,
    pixel_loss,
    segment_end,
)

SHAPE = (1, 16, 4, 4)
ZERO, ONE = torch.zeros(SHAPE), torch.ones(SHAPE)


def constant(speed: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, t: torch.full_like(z, speed)


def linear_in_time(z: Tensor, t: Tensor) -> Tensor:
    return t.view(-1, 1, 1, 1).expand_as(z)


class Slope(nn.Module):
    """Velocity a * t, so that gradients are known."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(2.0))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        return self.a * linear_in_time(z, t)


def test_path_ends() -> None:
    assert torch.equal(path(ZERO, ONE, torch.zeros(1)), ZERO)
    torch.testing.assert_close(path(ONE, ZERO, torch.ones(1)), torch.full(SHAPE, SIGMA_MIN), atol=1e-7, rtol=0)
    torch.testing.assert_close(path(ZERO, ONE, torch.tensor([0.3])), torch.full(SHAPE, 0.3))


def test_segment_end_and_a_border_opens_its_segment() -> None:
    t = torch.tensor([0.0, 0.2, 0.25, 0.49, 0.5, 0.75, 0.99])
    assert segment_end(t, 4).tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0]
    assert segment_end(t, 1).tolist() == [1.0] * 7


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 7, 64])
def test_borders_open_their_segment_in_float32_too(segments: int) -> None:
    t = torch.arange(segments) / segments
    torch.testing.assert_close(segment_end(t, segments), (torch.arange(segments) + 1) / segments, rtol=0, atol=0)


def test_mmse_loss() -> None:
    assert mmse_loss(ZERO, 3 * ONE).item() == 9


def test_flow_matching_loss_of_the_true_velocity_is_nothing() -> None:
    t = torch.tensor([0.4])
    assert flow_matching_loss(constant(1.0), ZERO, ONE, t).item() == 0
    assert flow_matching_loss(constant(3.0), ZERO, ONE, t).item() == 4


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_flow_matching_loss_at_the_path_s_point(t: float) -> None:
    # X_t = t (x_0 = 0, x_1 = 1), velocity 2 X_t, derivative 1.
    assert flow_matching_loss(lambda z, t: 2 * z, ZERO, ONE, torch.tensor([t])).item() == (2 * t - 1) ** 2


def test_true_velocity_is_consistent() -> None:
    loss, f, e = consistency_loss(constant(1.0), ZERO, ONE, torch.tensor([0.1]), 0.05, 4)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(f, torch.full(SHAPE, 0.25))
    assert e.item() == 0.25


def test_inside_a_segment_the_target_follows_the_velocity_at_r() -> None:
    # x_0 = 0, x_1 = 1: X_t = t. v(t) = t. t = 0.1, r = 0.2, e = 0.5.
    loss, f, _ = consistency_loss(linear_in_time, ZERO, ONE, torch.tensor([0.1]), 0.1, 2)
    at_t, at_r = 0.1 + 0.4 * 0.1, 0.2 + 0.3 * 0.2
    torch.testing.assert_close(f, torch.full(SHAPE, at_t))
    assert loss.item() == pytest.approx((at_t - at_r) ** 2 + ALPHA * 0.1**2, rel=1e-4)


@pytest.mark.parametrize("dt", [0.1, 0.25])  # r = e, and r past e
def test_from_the_segment_s_end_on_the_target_is_the_path(dt: float) -> None:
    # t = 0.4, e = 0.5: f = 0.4 + 0.1 * 0.4, the path at e is 0.5 whatever the velocity at r.
    loss, _, _ = consistency_loss(linear_in_time, ZERO, ONE, torch.tensor([0.4]), dt, 2)
    assert loss.item() == pytest.approx((0.44 - 0.5) ** 2 + ALPHA * dt**2, rel=1e-4)


@pytest.mark.parametrize(("t", "e"), [(0.0, 0.5), (0.5, 1.0)])
def test_t_on_a_border_belongs_to_the_segment_that_it_opens(t: float, e: float) -> None:
    loss, f, end = consistency_loss(linear_in_time, ZERO, ONE, torch.tensor([t]), 0.1, 2)
    r = t + 0.1
    at_t, at_r = t + 0.5 * t, r + (e - r) * r
    assert end.item() == e
    torch.testing.assert_close(f, torch.full(SHAPE, at_t))
    assert loss.item() == pytest.approx((at_t - at_r) ** 2 + ALPHA * 0.1**2, rel=1e-4)


def test_in_the_last_segment_the_target_ends_in_the_clean_latent() -> None:
    # The latest t there is, 1 - dt: r = e = 1, and the path's end is x_1 (x_0 = 0).
    loss, f, e = consistency_loss(linear_in_time, ZERO, ONE, torch.tensor([0.75]), 0.25, 2)
    torch.testing.assert_close(f, torch.full(SHAPE, 0.75 + 0.25 * 0.75))
    assert e.item() == 1.0
    assert loss.item() == pytest.approx((0.9375 - 1) ** 2 + ALPHA * 0.25**2, rel=1e-4)


def test_pictures_of_a_batch_have_times_of_their_own() -> None:
    both = torch.tensor([0.1, 0.4])
    zero, one = ZERO.repeat(2, 1, 1, 1), ONE.repeat(2, 1, 1, 1)
    loss, f, e = consistency_loss(linear_in_time, zero, one, both, 0.1, 2)
    alone = [consistency_loss(linear_in_time, ZERO, ONE, t.view(1), 0.1, 2)[0].item() for t in both]
    assert loss.item() == pytest.approx(sum(alone) / 2, rel=1e-5)
    torch.testing.assert_close(f[:, 0, 0, 0], torch.tensor([0.14, 0.44]))
    assert e.tolist() == [0.5, 0.5]


def test_gradient_comes_through_the_velocity_at_t_alone() -> None:
    # f = 0.1 + 0.4 a t, target = 0.2 + 0.3 a r held fixed; a = 2, t = 0.1, r = 0.2.
    flow = Slope()
    loss, _, _ = consistency_loss(flow, ZERO, ONE, torch.tensor([0.1]), 0.1, 2)
    loss.backward()
    f, target = 0.1 + 0.4 * 0.2, 0.2 + 0.3 * 0.4
    wanted = 2 * (f - target) * 0.4 * 0.1 + ALPHA * 2 * (0.2 - 0.4) * 0.1
    assert flow.a.grad is not None
    assert flow.a.grad.item() == pytest.approx(wanted, rel=1e-4)


def test_pixel_loss_steps_from_the_detached_segment_end() -> None:
    # f = a / 10, detached; x_1 = f + (1 - e) v(f, e) with e = 0.5, a = 2: 0.2 + 0.5 * 1.
    flow = Slope()
    f = flow.a * 0.1 * ONE
    loss = pixel_loss(flow, lambda z: 2 * z, f, torch.tensor([0.5]), ONE)
    assert loss.item() == pytest.approx((1 - 2 * 0.7) ** 2, rel=1e-5)
    loss.backward()
    assert flow.a.grad is not None
    assert flow.a.grad.item() == pytest.approx(2 * (1.4 - 1) * 2 * 0.5 * 0.5, rel=1e-5)
