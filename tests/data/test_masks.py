import numpy as np
import pytest

from compress.data import masks
from compress.data.masks import Pattern, draw_mask

PATTERNS: list[Pattern] = ["pixels", "boxes", "strokes", "square"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("side", [(256, 256), (190, 257)])
def test_the_share_is_lost(pattern: Pattern, share: float, side: tuple[int, int]) -> None:
    for seed in range(3):
        lost = draw_mask(np.random.default_rng(seed), *side, pattern, share)
        assert lost.shape == side and lost.dtype == bool
        assert lost.mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("pattern", PATTERNS[:3])
def test_a_mask_depends_on_the_seed_alone(pattern: Pattern) -> None:
    first, again, other = (draw_mask(np.random.default_rng(s), 64, 96, pattern, 0.3) for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_pixels_are_lost_independently() -> None:
    lost = draw_mask(np.random.default_rng(0), 256, 256, "pixels", 0.9).astype(float)
    assert abs(np.corrcoef(lost[:, 1:].ravel(), lost[:, :-1].ravel())[0, 1]) < 0.02


def test_a_square_is_the_centre_whatever_the_seed() -> None:
    for seed in range(2):
        lost = draw_mask(np.random.default_rng(seed), 64, 96, "square", 0.25)
        assert lost[16:48, 24:72].all() and lost.sum() == 32 * 48


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 64), (2, 3)])
def test_a_square_leaves_an_edge(size: tuple[int, int]) -> None:
    assert not draw_mask(np.random.default_rng(0), *size, "square", 0.99).all()


@pytest.mark.parametrize("pattern", PATTERNS[1:])
def test_boxes_and_strokes_hang_together(pattern: Pattern) -> None:
    lost = draw_mask(np.random.default_rng(0), 256, 256, pattern, 0.3).astype(float)
    assert np.corrcoef(lost[:, 1:].ravel(), lost[:, :-1].ravel())[0, 1] > 0.9


def test_the_first_box_has_corners() -> None:
    """Less than the smallest box, 16 x 16 px: one rectangle, cut."""
    lost = draw_mask(np.random.default_rng(4), 256, 256, "boxes", 0.003)
    rows, columns = np.flatnonzero(lost.any(1)), np.flatnonzero(lost.any(0))
    assert lost[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_no_box_is_larger_than_a_quarter_of_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[slice] = []
    monkeypatch.setattr(masks, "_span", lambda *given, real=masks._span: spans.append(real(*given)) or spans[-1])
    lost = draw_mask(np.random.default_rng(0), 256, 256, "boxes", 0.3)
    within = np.zeros_like(lost)
    for rows, columns in zip(spans[::2], spans[1::2], strict=True):
        within[rows, columns] = True
    assert not (lost & ~within).any()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_tiny_picture_has_a_mask(pattern: Pattern) -> None:
    assert draw_mask(np.random.default_rng(0), 3, 2, pattern, 0.5).shape == (3, 2)
