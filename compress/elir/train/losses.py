"""The training losses of ELIR (arXiv 2502.03500, section 4; consistency flow matching, arXiv 2407.02398).

All latents are (N, 16, h, w); ``flow(z, t)`` is the velocity at times t (N,).
"""

from collections.abc import Callable

import torch
from torch import Tensor

SIGMA_MIN = 1e-5
ALPHA = 1e-3  # weight of the velocity-consistency term
Flow = Callable[[Tensor, Tensor], Tensor]


def path(x_0: Tensor, x_1: Tensor, t: Tensor) -> Tensor:
    """Point at times t (N,) on the straight path from the source x_0 to the clean latent x_1."""
    t = t.view(-1, 1, 1, 1)
    return (1 - (1 - SIGMA_MIN) * t) * x_0 + t * x_1


def segment_end(t: Tensor, segments: int) -> Tensor:
    """End of the segment of [0, 1], cut in equal parts, that holds each t in [0, 1); a border opens its segment."""
    return (torch.floor(t * segments) + 1) / segments


def mmse_loss(x_mmse: Tensor, x_hq: Tensor) -> Tensor:
    """Mean squared error of the latent estimate."""
    return (x_hq - x_mmse).square().mean()


def flow_matching_loss(flow: Flow, x_0: Tensor, x_hq: Tensor, t: Tensor) -> Tensor:
    """Plain flow matching: the velocity is regressed onto the path's derivative."""
    u = x_hq - (1 - SIGMA_MIN) * x_0
    return (flow(path(x_0, x_hq, t), t) - u).square().mean()


def consistency_loss(
    flow: Flow, x_0: Tensor, x_hq: Tensor, t: Tensor, dt: float, segments: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Consistency flow matching over equal segments.

    Returns (loss, f, e): f is the point at its segment's end e that the velocity at t leads to, with gradient.
    Where r = t + dt lies past the segment's end, the target is the path's own point at e.
    """
    r = t + dt
    e = segment_end(t, segments)
    x_t, x_r = path(x_0, x_hq, t), path(x_0, x_hq, r)
    v_t = flow(x_t, t)
    f = x_t + _per_picture(e - t) * v_t
    with torch.no_grad():
        v_r = flow(x_r, r)
        target = torch.where(_per_picture(r) < _per_picture(e), x_r + _per_picture(e - r) * v_r, path(x_0, x_hq, e))
    return (f - target).square().mean() + ALPHA * (v_t - v_r).square().mean(), f, e


def pixel_loss(flow: Flow, decode: Callable[[Tensor], Tensor], f: Tensor, e: Tensor, x_pixels: Tensor) -> Tensor:
    """Published pixel term: from the detached segment end f, one step to t = 1, decoded, against the picture."""
    f = f.detach()
    x_1 = f + _per_picture(1 - e) * flow(f, e)
    return (x_pixels - decode(x_1)).square().mean()


def _per_picture(t: Tensor) -> Tensor:
    return t.view(-1, 1, 1, 1)
