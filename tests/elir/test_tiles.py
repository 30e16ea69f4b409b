"""Tiles cover every pixel, share what they must, and blend to one."""

import threading
import time

import numpy as np
import pytest

from compress.elir.tiles import blend, plan, plan_axis
from compress.errors import InputError, VerificationError


@pytest.mark.parametrize("size", [1, 31, 32, 250, 256, 257, 288, 300, 511, 1000])
@pytest.mark.parametrize(("tile", "overlap"), [(256, 64), (256, 32), (64, 32), (64, 0), (128, 96)])
@pytest.mark.parametrize("unit", [1, 8])
def test_weights_sum_to_one_over_the_padded_side(size: int, tile: int, overlap: int, unit: int) -> None:
    axis = plan_axis(size, tile, overlap, fixed=False)
    total = np.zeros(axis.padded // unit)
    for start, weight in zip(axis.starts, axis.weights(unit), strict=True):
        total[start // unit : (start + axis.tile) // unit] += weight
    assert np.allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("size", [257, 300, 511, 1000])
def test_tiles_start_on_the_grid_and_share_the_overlap(size: int) -> None:
    axis = plan_axis(size, 128, 40, fixed=False)
    assert all(start % 32 == 0 for start in axis.starts)
    assert all(left + 128 - right >= 40 for left, right in zip(axis.starts, axis.starts[1:], strict=False))
    assert axis.starts[-1] + 128 == axis.padded >= size


def test_the_cut_off_outer_quarter_of_the_overlap_counts_for_nothing() -> None:
    weights = plan_axis(448, 256, 64, fixed=False).weights()
    assert weights[1, :16].max() < 1e-5
    assert weights[1, 48:].min() > 1 - 1e-5


def test_a_smaller_picture_is_one_tile_padded_only_where_the_model_is_fixed() -> None:
    assert plan_axis(40, 256, 64, fixed=False).padded == 64
    assert plan_axis(40, 256, 64, fixed=True).padded == 256


def test_zero_takes_the_whole_side() -> None:
    axis = plan_axis(1000, 0, 64, fixed=False)
    assert (axis.tile, axis.starts) == (1024, (0,))


def test_padding_mirrors_the_picture() -> None:
    assert plan_axis(3, 32, 0, fixed=True).source()[:8].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert set(plan_axis(1, 32, 0, fixed=True).source().tolist()) == {0}


def test_blending_copies_gives_the_whole_back() -> None:
    tiles = plan(200, 330, (96, 128), 32)
    whole = np.random.default_rng(0).random((2, tiles.rows.padded, tiles.columns.padded), np.float32)
    strips = [strip.copy() for _, strip in blend(tiles, 2, lambda y, x: whole[:, y, x])]
    assert np.allclose(np.concatenate(strips, axis=1), whole, atol=1e-6)


@pytest.mark.parametrize("tile", [-32, 100, 8])
def test_a_tile_off_the_grid_is_refused(tile: int) -> None:
    with pytest.raises(InputError, match=rf"tile \(={tile}\) must be 0 .* or a multiple of 32 px: use 256"):
        plan_axis(500, tile, 32, fixed=False)


@pytest.mark.parametrize("overlap", [-8, 4, 104, 128])
def test_an_overlap_that_leaves_no_step_is_refused(overlap: int) -> None:
    with pytest.raises(InputError, match=rf"overlap \(={overlap}\) must be a multiple of 8 px from 0 to 96 .*: use 64"):
        plan_axis(500, 128, overlap, fixed=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tile_that_is_no_number_is_refused(value: float) -> None:
    def compute(y: slice, x: slice) -> np.ndarray:
        tile = np.zeros((3, y.stop - y.start, x.stop - x.start), np.float32)
        tile[0, 0, 0] = value if x.start else 0
        return tile

    with pytest.raises(VerificationError, match=r"gives NaN or Inf for the tile at row 0, column 32: check it"):
        list(blend(plan(64, 96, (64, 64), 32), 3, compute))


def test_a_small_picture_is_mirrored_by_its_edge() -> None:
    """Enlarged, it goes on as the enlarged picture mirrored, to half a px; a single sample is repeated."""
    axis = plan_axis(40, 64, 32, fixed=True)
    assert axis.reduced(4).tolist() == [*range(10), *range(9, 3, -1)]
    assert plan_axis(4, 64, 32, fixed=True).reduced(4).tolist() == [0] * 16
    assert axis.reduced(1).tolist() == axis.source().tolist(), "not enlarged, it is padded as everywhere"


@pytest.mark.parametrize("streams", [2, 3])
def test_tiles_at_once_are_blended_in_their_order(streams: int) -> None:
    """The later a tile of a row, the sooner it is done here: sums in that order would differ in their last bits."""
    tiles = plan(200, 330, (96, 128), 32)
    noise = np.random.default_rng(0).random((len(list(tiles.windows)), 2, 96, 128), np.float32)
    of, at_once = {(y.start, x.start): i for i, (y, x) in enumerate(tiles.windows)}, threading.Barrier(streams)

    def compute(y: slice, x: slice) -> np.ndarray:
        i = of[y.start, x.start]
        if i < streams:
            at_once.wait(60)  # ends only where so many are computed at the same time
        time.sleep(0.002 * (streams - i % streams))
        return noise[i]

    announced: list[None] = []
    made = blend(tiles, 2, compute, streams=streams, on_tile=lambda: announced.append(None))
    strips = [strip.copy() for _, strip in made]
    one_by_one = [strip.copy() for _, strip in blend(tiles, 2, lambda y, x: noise[of[y.start, x.start]])]
    assert np.array_equal(np.concatenate(strips, axis=1), np.concatenate(one_by_one, axis=1))
    assert len(announced) == tiles.tiles


def test_a_tile_that_fails_ends_the_others() -> None:
    tiles, begun = plan(64, 3200, (64, 64), 32), []

    def compute(y: slice, x: slice) -> np.ndarray:
        begun.append(x.start)
        raise VerificationError("fails")

    with pytest.raises(VerificationError, match="fails"):
        list(blend(tiles, 3, compute, streams=2))
    assert len(begun) <= 4 < tiles.tiles
