import json
from dataclasses import asdict

import numpy as np
import pytest

from compress.data.sets import load_set
from compress.errors import InputError
from compress.measure.quality import color_shift, histogram_shift, lpips, luma, psnr_db, psnr_y_db, score, ssim


def flat(red: int, green: int, blue: int, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), (red, green, blue), dtype=np.uint8)


def test_psnr_of_a_known_error() -> None:
    # Error 10 everywhere: 20 log10(255 / 10).
    assert psnr_db(flat(100, 100, 100), flat(110, 90, 110)) == pytest.approx(28.1308, abs=1e-4)
    # Error 30 in one channel of three: mean square 300.
    assert psnr_db(flat(100, 100, 100), flat(130, 100, 100)) == pytest.approx(23.3596, abs=1e-4)


def test_psnr_of_the_greatest_error_is_zero() -> None:
    assert psnr_db(flat(0, 0, 0), flat(255, 255, 255)) == 0


def test_equal_pictures_give_the_cap(photo: np.ndarray) -> None:
    assert psnr_db(photo, photo) == psnr_y_db(photo, photo, border=4) == 100
    nearly = np.pad(photo, ((0, 256), (0, 256), (0, 0)))
    one_off = nearly.copy()
    one_off[0, 0, 0] += 1
    assert psnr_db(nearly, one_off) == 100  # 107 dB


@pytest.mark.parametrize(
    ("rgb", "expected"), [((0, 0, 0), 16), ((255, 255, 255), 235), ((255, 0, 0), 81.481), ((0, 255, 0), 144.553)]
)
def test_luma_is_matlabs(rgb: tuple[int, int, int], expected: float) -> None:
    assert luma(flat(*rgb)) == pytest.approx(np.full((64, 64), expected), abs=1e-9)


def test_psnr_y_crops_the_border_and_weighs_channels() -> None:
    a, b = flat(100, 100, 100), flat(100, 110, 100)
    # Luma differs by 10 * 128.553 / 255.
    assert psnr_y_db(a, b, border=0) == pytest.approx(20 * np.log10(255 / 5.041294), abs=1e-4)
    b = flat(100, 100, 100)
    b[:4] = b[:, -4:] = 0
    assert psnr_y_db(a, b, border=4) == 100
    assert psnr_y_db(a, b, border=3) < 40


def test_a_border_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="pictures of 8 x 8 px: nothing left inside a border of 4 px"):
        psnr_y_db(flat(0, 0, 0, 8), flat(0, 0, 0, 8), border=4)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    # No variance: (2 ab + c1) / (a^2 + b^2 + c1), c1 = (0.01 * 255)^2.
    expected = (2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025)
    assert ssim(flat(100, 100, 100), flat(120, 120, 120)) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_equals_is_one_and_is_symmetric(photo: np.ndarray) -> None:
    other = np.roll(photo, 1, axis=0)
    assert ssim(photo, photo) == 1
    assert ssim(photo, other) == pytest.approx(ssim(other, photo), abs=1e-12)
    assert ssim(photo, other) < 0.95


def test_color_shift_is_of_the_means() -> None:
    assert color_shift(flat(100, 100, 100), flat(103, 94, 100)) == pytest.approx(3)
    halves = flat(100, 100, 100)
    halves[:32] += 20
    halves[32:] -= 20
    assert color_shift(flat(100, 100, 100), halves) == 0


def test_lpips_of_a_batch_equals_one_by_one(photo: np.ndarray) -> None:
    a = [np.roll(photo, i, axis=0)[:64, :64] for i in range(9)] + [photo[:96, :64]]
    b = [np.roll(photo, 5 * i, axis=1)[:64, :64] for i in range(9)] + [photo[96:192, :64]]
    together = lpips(a, b)
    assert together == pytest.approx([lpips([x], [y])[0] for x, y in zip(a, b, strict=True)], abs=1e-5)
    assert together[0] == 0 < together[9]


def test_score_of_bicubic_on_the_bundled_photographs() -> None:
    """Stored values: the figures that every table is compared with."""
    items = list(load_set("photos_validation", "sr_x4"))
    result = score([item.degraded for item in items], [item.clean for item in items], border=4)
    assert result.n == len(items) == 24
    assert result.psnr_db == pytest.approx(23.932, abs=0.01)
    assert result.psnr_y_db == pytest.approx(25.311, abs=0.01)
    assert result.ssim == pytest.approx(0.6779, abs=0.001)
    assert result.lpips == pytest.approx(0.4308, abs=0.001)
    assert result.color_shift == pytest.approx(0.0365, abs=0.001)


def test_score_of_equals_goes_into_json(photo: np.ndarray) -> None:
    text = json.dumps(asdict(score([photo], [photo])), allow_nan=False)
    assert json.loads(text) == {"psnr_db": 100, "psnr_y_db": 100, "ssim": 1, "lpips": 0, "color_shift": 0, "n": 1}


def test_scores_are_means_over_pictures() -> None:
    grey = flat(100, 100, 100)
    one, two = flat(110, 110, 110), flat(101, 101, 101)
    assert score([one, two], [grey, grey]).psnr_db == pytest.approx((28.1308 + 48.1308) / 2, abs=1e-4)


def test_pictures_of_different_sizes_are_refused() -> None:
    message = "pictures of 64 x 64 px and 32 x 32 px cannot be compared: they must have one size"
    for measure in (psnr_db, ssim, color_shift, lambda a, b: lpips([a], [b])):
        with pytest.raises(InputError, match=message):
            measure(flat(0, 0, 0), flat(0, 0, 0, 32))


def test_missing_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="2 pictures against 1: every output needs its clean picture"):
        score([flat(0, 0, 0)] * 2, [flat(0, 0, 0)])
    with pytest.raises(InputError, match="no pictures to score"):
        score([], [])


def test_floats_are_refused(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8, got \(256, 256, 3\) float32: use to_uint8"):
        psnr_db(photo.astype(np.float32) / 255, photo)


def test_histograms_tell_a_collapsed_range_where_means_agree(photo: np.ndarray) -> None:
    assert histogram_shift(photo, photo) == 0
    darker = (photo.astype(int) - 3).clip(0, 255).astype(np.uint8)
    assert psnr_db(photo, darker) > 38 and 2.5 < histogram_shift(photo, darker) <= 3
    mean = photo.mean((0, 1))
    flatter = ((photo - mean) * 0.9 + mean + 0.5).astype(np.uint8)
    assert color_shift(photo, flatter) < 0.2 and histogram_shift(photo, flatter) > 4
    noise = np.random.default_rng(0).integers(-3, 4, photo.shape)
    assert histogram_shift(photo, (photo + noise).clip(0, 255).astype(np.uint8)) < 0.5
    constant = np.full_like(photo, 128)
    assert histogram_shift(photo, constant) > 40
