"""Strips cover a picture once; measures of a large picture are those of the whole."""

import numpy as np
import pytest

from compress.measure import strips as module
from compress.measure.niqe import niqe
from compress.measure.quality import histogram_shift, lpips, psnr_db, psnr_y_db, ssim
from compress.measure.strips import strips


@pytest.mark.parametrize(("height", "width", "unit"), [(8000, 8000, 1), (8001, 6000, 96), (700, 70_000, 16), (5, 5, 1)])
def test_they_cover_every_row_once(height: int, width: int, unit: int) -> None:
    result = list(strips(height, width, unit))
    assert [row for top, bottom in result for row in range(top, bottom)] == list(range(height))
    assert all((bottom - top) % unit == 0 for top, bottom in result[:-1])
    assert len(result) == 1 or result[0][1] * width <= max(module.PIXELS, module.LEAST * width)


def test_measures_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from skimage import data

    clean = np.ascontiguousarray(np.tile(data.astronaut(), (2, 1, 1))[:871, :507])
    spoilt = np.random.default_rng(0).normal(clean, 12).clip(0, 255).astype(np.uint8)

    def measured() -> list[float]:
        figures = [m(spoilt, clean) for m in (psnr_db, ssim, histogram_shift)]
        return [*figures, psnr_y_db(spoilt, clean, 4), lpips([spoilt], [clean])[0], niqe(spoilt, 4) or 0]

    whole = measured()
    monkeypatch.setattr(module, "PIXELS", 1)
    assert len(list(strips(*clean.shape[:2]))) == 4
    assert measured() == pytest.approx(whole, rel=1e-6)
    assert lpips([spoilt, clean], [clean, clean]) == pytest.approx([whole[4], 0], rel=1e-6)
