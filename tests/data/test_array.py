"""Arrays that are pictures, and what is said of those that are not."""

import numpy as np
import pytest
import torch

from compress.data.array import as_rgb8
from compress.errors import InputError

WHITE = np.full((2, 3, 3), 255, np.uint8)


def test_eight_bits_stay_as_they_are(photo: np.ndarray) -> None:
    assert np.array_equal(as_rgb8(photo), photo)
    assert as_rgb8(photo[::-1, ::2]).flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_is_rounded(dtype: type) -> None:
    levels = np.linspace(0, 1, 256, dtype=dtype).repeat(3).reshape(16, 16, 3)
    assert as_rgb8(levels).ravel()[::3].tolist() == list(range(256))
    assert as_rgb8([[[0.5, 0.1, 0.9]]]).tolist() == [[[128, 26, 230]]]


def test_masked_values_are_not_filled_silently() -> None:
    """numpy makes an array of what lies below the mask."""
    mask = np.zeros(WHITE.shape, bool)
    assert np.array_equal(as_rgb8(np.ma.masked_array(WHITE, mask)), WHITE)
    mask[0, 0] = True
    with pytest.raises(InputError, match=r"^picture: is a masked array with masked values.*: fill them, picture\.fill"):
        as_rgb8(np.ma.masked_array(WHITE, mask))


@pytest.mark.parametrize(
    "picture", [[[1, 2], [3]], torch.zeros(8, 9, 3, requires_grad=True), torch.zeros(8, 9, 3, dtype=torch.bfloat16)]
)
def test_what_numpy_cannot_take(picture: object) -> None:
    with pytest.raises(InputError, match=r"got .* that is no array .*: convert it to a numpy array"):
        as_rgb8(picture)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "got", "next_step"),
    [
        (WHITE[..., 0], "uint8 (2, 3)", "np.stack"),
        (np.zeros((3, 8, 9), np.float32), "float32 (3, 8, 9)", "picture.transpose(1, 2, 0)"),
        (np.zeros((8, 9, 4), np.uint8), "uint8 (8, 9, 4)", "picture[..., :3]"),
        (np.zeros((8, 9, 2), np.uint8), "uint8 (8, 9, 2)", "three channels"),
        (WHITE[None], "uint8 (1, 2, 3, 3)", "one by one"),
        (WHITE[:0], "uint8 (0, 3, 3)", "at least one pixel"),
        (np.uint8(7), "uint8 ()", "at least one pixel"),
        (WHITE.astype(np.uint16), "uint16", "divide it by its white"),
        (WHITE > 0, "bool", "divide it by its white"),
        (WHITE.astype(np.float32), "float32", "its values are 255 to 255, scale them"),
        (WHITE / 255 - 1.5, "float64", "its values are -0.5 to -0.5, scale them"),
        (WHITE * np.nan, "float64", "not finite numbers"),
    ],
)
def test_the_rest_is_refused_with_the_rule_and_the_next_step(array: np.ndarray, got: str, next_step: str) -> None:
    with pytest.raises(InputError) as refused:
        as_rgb8(array)
    message = str(refused.value)
    assert message.startswith("picture: must be (height, width, 3), RGB, uint8 or floating point in [0, 1], got ")
    assert got in message and next_step in message


@pytest.mark.parametrize("one", [np.uint8(7), np.float32(0.5), np.float64(0.5)])
@pytest.mark.parametrize("size", [(10**6, 10**6), (1, 2**31), (2**31, 1)])
def test_an_array_that_takes_no_room_is_refused_at_once(size: tuple[int, int], one: np.generic) -> None:
    with pytest.raises(InputError, match="cut it into smaller pictures"):
        as_rgb8(np.broadcast_to(one, (*size, 3)))
