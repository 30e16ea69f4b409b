"""The device's own PSNR is the one of this machine."""

import numpy as np
import pytest

from compress.measure.quality import psnr_db
from compress.targets.runner import accuracy


def test_psnr_is_the_one_of_this_machine() -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    assert accuracy.psnr_db(a, b) == pytest.approx(psnr_db(a, b))
    assert accuracy.psnr_db(a, a) == psnr_db(a, a) == 100
