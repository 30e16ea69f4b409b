"""Pictures that come as arrays: what is taken, and what a caller does about the rest."""

from typing import TYPE_CHECKING

import numpy as np

from compress.errors import InputError
from compress.text import one_line

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST_PIXELS = 2**30
"""An array that repeats one value takes no room, and has no end."""
RULE = "must be (height, width, 3), RGB, uint8 or floating point in [0, 1]"


def as_array(picture: "ArrayLike") -> np.ndarray:
    """``picture`` as numpy's array. Raises InputError for what can be none, or has no value at some places."""
    if np.ma.is_masked(picture):
        raise InputError(
            "picture: is a masked array with masked values, which no model can see past: fill them, "
            "picture.filled(value), or restore picture.data"
        )
    try:
        return np.asarray(picture)
    except MemoryError:
        raise
    except Exception as error:  # a list of uneven rows; a tensor of another library, whose errors have no common class
        got = f"{type(picture).__name__} that is no array ({one_line(str(error))})"
        raise InputError(f"picture: {RULE}, got {got}: convert it to a numpy array") from None


def as_rgb8(picture: "ArrayLike") -> np.ndarray:
    """``picture``, (H, W, 3) RGB, uint8 or floating point in [0, 1] -> (H, W, 3) uint8, rounded half up.

    Raises InputError for any other array.
    """
    array = as_array(picture)
    if next_step := _shape_mistake(array.shape) or _type_mistake(array):
        raise InputError(f"picture: {RULE}, got {array.dtype} {array.shape}: {next_step}")
    if array.dtype != np.uint8:
        array = (array * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(array)


def _shape_mistake(shape: tuple[int, ...]) -> str:
    """What to do about a shape; "" where it is right."""
    if len(shape) == 2:
        return "repeat a grey picture, np.stack([picture] * 3, axis=-1)"
    if len(shape) == 4:
        return "give the pictures of a batch one by one"
    if len(shape) != 3 or 0 in shape:
        return "give one picture of at least one pixel"
    if shape[0] * shape[1] > MOST_PIXELS:
        return f"at most {MOST_PIXELS} pixels are restored at once, cut it into smaller pictures"
    if shape[2] == 3:
        return ""
    if shape[0] == 3:
        return "put the channels last, picture.transpose(1, 2, 0)"
    return "leave transparency out, picture[..., :3]" if shape[2] == 4 else "give three channels"


def _type_mistake(array: np.ndarray) -> str:
    """What to do about a type or a range; "" where they are right."""
    if array.dtype == np.uint8:
        return ""
    if not np.issubdtype(array.dtype, np.floating):
        return "convert it to floating point and divide it by its white"
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "replace values that are not finite numbers"
    if low >= 0 and high <= 1:
        return ""
    return f"its values are {low:.4g} to {high:.4g}, scale them (0 is black, 1 is white) or clip them"
